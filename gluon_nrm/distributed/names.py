"""Environment variables of a job's processes, besides MXNet's own (DMLC_*)."""

from __future__ import annotations

#: The worker's number; without it, MXNet's own, which is the outcome of a race.
RANK = "GLUON_NRM_WORKER"
#: The command that started the job, for messages that say how to go on.
COMMAND = "GLUON_NRM_COMMAND"
#: Workers on the same machine, which share its cores.
NEIGHBOURS = "GLUON_NRM_WORKERS_HERE"
#: Seconds that a worker waits for the scheduler.
PATIENCE = "GLUON_NRM_PATIENCE"
