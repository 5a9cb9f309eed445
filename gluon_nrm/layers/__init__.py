"""HybridBlocks of one operator or one layer, each knowing both directions.

A layer's latents are outputs of its inference and inputs of its rendering; no block remembers anything of a
call. What an operator becomes top-down comes from ``gluon_nrm.rules``; the blocks here own the parameters.
"""

import gluon_nrm.system.needs_mxnet  # noqa: F401
