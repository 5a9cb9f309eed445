"""Classifiers of the adversarial methods: Improved GAN and ALI. They classify and do not render."""

import gluon_nrm.system.needs_mxnet  # noqa: F401
