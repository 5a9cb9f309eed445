"""Training: step, loop, teacher, schedules, run folders and checkpoints.

``gluon_nrm.training.fit`` puts them together; modules that only read run folders do not import MXNet.
"""

import gluon_nrm.system.needs_mxnet  # noqa: F401
