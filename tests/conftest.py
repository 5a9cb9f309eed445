"""What holds for all tests."""

import os

# Networks this small run faster on one thread than on two; set before anything imports MXNet.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from gluon_nrm import tune

tune()
