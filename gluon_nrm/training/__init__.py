"""Training: assembly of a recipe's parts, step, loop, teacher; ``gluon_nrm.training.fit`` runs them."""

import gluon_nrm.system.needs_mxnet  # noqa: F401
