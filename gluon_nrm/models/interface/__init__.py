"""The interface of a network that infers and renders: ``Network``, its results, the zero image's path."""

import gluon_nrm.system.needs_mxnet  # noqa: F401
