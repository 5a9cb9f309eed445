"""A scheduler or a server of MXNet's, as DMLC_ROLE says: ``python -m gluon_nrm.distributed.serve``.

Importing MXNet in one of these roles serves until the job ends, and then ends the process.
"""

from __future__ import annotations

# the schedule that dist_async sends has to be there before MXNet is
import gluon_nrm.distributed.rates  # noqa: F401

if __name__ == "__main__":
    import mxnet  # noqa: F401
