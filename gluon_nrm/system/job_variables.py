"""Environment variables of a job's processes, besides MXNet's own (DMLC_*)."""

from __future__ import annotations

import os

from gluon_nrm.errors import DistributedError

#: The worker's or server's number.
RANK = "GLUON_NRM_WORKER"
SERVER = "GLUON_NRM_SERVER"
#: The command that started the job, for messages that say how to go on.
COMMAND = "GLUON_NRM_COMMAND"
#: Number of workers on the same machine, which share its cores.
WORKERS_HERE = "GLUON_NRM_WORKERS_HERE"
#: Seconds that a process waits for the others when a job starts; 0: without limit.
PATIENCE = "GLUON_NRM_PATIENCE"
#: ADDRESS:PORT of the hub, which is worker 0.
HUB = "GLUON_NRM_HUB"
#: The job's key, known to its processes alone.
KEY = "GLUON_NRM_KEY"
#: Hosts of the job's processes, for messages: ``worker 1=n2;server 0=n1``.
PLACES = "GLUON_NRM_PLACES"
#: Set to 1 where public addresses are allowed.
PUBLIC = "GLUON_NRM_ALLOW_PUBLIC"

#: Seconds, if the user sets none.
DEFAULT_PATIENCE = 120.0


def patience() -> float:
    """Read how many seconds to wait for the other processes; infinity without a limit.

    Raises:
        DistributedError: the variable is not a number of at least 0.
    """
    text = os.environ.get(PATIENCE, "")
    try:
        seconds = float(text or DEFAULT_PATIENCE)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise DistributedError(f"{PATIENCE}: {text!r} is no number of seconds; give one from 0 on")
    return seconds or float("inf")
