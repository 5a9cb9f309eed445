"""Networks that stand beside a classifier: generators, encoders and discriminators of images.

Each is a plain HybridBlock: codes to images, images to codes, images to scores. The methods that train them
are in ``gluon_nrm/training``, their losses in ``gluon_nrm/losses``.
"""

import gluon_nrm.system.needs_mxnet  # noqa: F401
