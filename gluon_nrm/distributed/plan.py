"""Which processes make up a job, where they run, and with which variables."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence

from gluon_nrm.distributed.hosts import Host
from gluon_nrm.distributed.names import COMMAND, NEIGHBOURS, RANK

ROOT = Path(__file__).resolve().parents[2]
GUARD = str(Path(__file__).resolve().with_name("guard.py"))

#: Variables of this shell that processes on other hosts get too, by their beginnings.
PASSED_ON = ("MXNET_", "OMP_", "GLUON_NRM_", "PS_", "CUDA_", "NCCL_", "DMLC_")


class Process(NamedTuple):
    """One process of a job."""

    role: str
    number: int
    host: Host
    arguments: Sequence[str]
    variables: Dict[str, str]

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.role if self.role == "scheduler" else f"{self.role} {self.number}"

    def command(self) -> List[str]:
        """The command that starts it, guarded, from this machine."""
        passed = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
        return self.host.command([sys.executable, GUARD, *self.arguments], {**passed, **self.variables})

    def environment(self) -> Dict[str, str]:
        """The environment in which that command is to be run here."""
        return {**os.environ, **({} if self.host.remote else self.variables)}


class Job(NamedTuple):
    """What all processes of a job know."""

    workers: int
    servers: int
    #: where the scheduler listens
    address: str
    port: int
    #: what a worker runs
    command: Sequence[str]
    #: the whole command line that starts the job, for a message
    started_by: str

    def scheduler(self, host: Host) -> Process:
        """The scheduler, which has to be on the machine of ``address``."""
        return self._process("scheduler", 0, host)

    def server(self, number: int, host: Host) -> Process:
        """A server, which holds a part of the sums."""
        return self._process("server", number, host)

    def worker(self, number: int, host: Host) -> Process:
        """A worker, which trains."""
        return self._process("worker", number, host)

    def _process(self, role: str, number: int, host: Host) -> Process:
        variables = {
            "DMLC_ROLE": role,
            "DMLC_PS_ROOT_URI": self.address,
            "DMLC_PS_ROOT_PORT": str(self.port),
            "DMLC_NUM_WORKER": str(self.workers),
            "DMLC_NUM_SERVER": str(self.servers),
            # where it listens: without it, MXNet takes the first address that is not the loopback's
            "DMLC_NODE_HOST": host.address,
        }
        if role == "worker":
            return Process(
                role, number, host, self.command,
                {**variables, RANK: str(number), COMMAND: self.started_by},
            )  # fmt: skip
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        arguments = [sys.executable, "-m", "gluon_nrm.distributed.serve"]
        return Process(role, number, host, arguments, {**variables, "PYTHONPATH": path})


def plan(job: Job, hosts: Sequence[Host], launching: Host) -> List[Process]:
    """Lay a job out over ``hosts``, in turn; the scheduler is on the machine that launches."""
    workers = [job.worker(number, hosts[number % len(hosts)]) for number in range(job.workers)]
    for worker in workers:
        worker.variables[NEIGHBOURS] = str(sum(other.host == worker.host for other in workers))
    return [
        job.scheduler(launching),
        *(job.server(number, hosts[number % len(hosts)]) for number in range(job.servers)),
        *workers,
    ]
