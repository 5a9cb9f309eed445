"""HybridBlocks of one operator or one NRM layer, in both directions.

Inference returns a layer's latents, rendering takes them as arguments; blocks keep no state between calls.
The blocks here own the parameters; the arithmetic is in ``gluon_nrm.rules``.
"""

import gluon_nrm.system.needs_mxnet  # noqa: F401
