"""Plan the processes of a job: their hosts, commands and environment variables."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence

from gluon_nrm.distributed.hosts import Host
from gluon_nrm.system.job_variables import (
    COMMAND,
    DEFAULT_PATIENCE,
    HUB,
    KEY,
    PATIENCE,
    PLACES,
    PUBLIC,
    RANK,
    SERVER,
    WORKERS_HERE,
)

ROOT = Path(__file__).resolve().parents[2]
GUARD = str(Path(__file__).resolve().with_name("guard.py"))

#: Prefixes of the environment variables that are passed to processes on other hosts.
PASSED_ON = ("MXNET_", "OMP_", "GLUON_NRM_", "PS_", "CUDA_", "NCCL_", "DMLC_")


class Process(NamedTuple):
    """One process of a job."""

    role: str
    number: int
    host: Host
    arguments: Sequence[str]
    variables: Dict[str, str]
    #: variables that must not be on a command line, which other users can read
    secrets: Dict[str, str]

    @property
    def name(self) -> str:
        """Role and number, for messages."""
        return self.role if self.role == "scheduler" else f"{self.role} {self.number}"

    def command(self) -> List[str]:
        """The command that starts it from this machine, under its guard."""
        passed = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(PASSED_ON) and name not in self.secrets
        }
        return self.host.command([sys.executable, GUARD, *self.arguments], {**passed, **self.variables})

    def environment(self) -> Dict[str, str]:
        """The environment of that command."""
        kept = {name: value for name, value in os.environ.items() if name not in self.secrets}
        return {**kept, **({} if self.host.remote else self.variables)}

    def whisper(self) -> str:
        """The first line that its guard reads: the secret variables."""
        return json.dumps(self.secrets) + "\n"


class Job(NamedTuple):
    """Settings that all processes of a job share."""

    workers: int
    servers: int
    #: address of the scheduler
    address: str
    port: int
    #: command of a worker
    command: Sequence[str]
    #: command line that starts the job, for a message
    started_by: str
    #: HOST:PORT of worker 0, which all processes connect to
    hub: str = ""
    #: secret key of the job
    key: str = ""
    #: seconds that each process waits for the others at the start
    patience: float = DEFAULT_PATIENCE
    #: public addresses are allowed
    public: bool = False

    def scheduler(self, host: Host) -> Process:
        """The scheduler, on the machine of ``address``."""
        return self._process("scheduler", 0, host)

    def server(self, number: int, host: Host) -> Process:
        """A server, which sums a part of the gradients."""
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
            # without it, MXNet listens on the first address that is not the loopback
            "DMLC_NODE_HOST": host.address,
            HUB: self.hub,
            PATIENCE: f"{self.patience:g}",
            PUBLIC: "1" if self.public else "0",
        }
        secrets = {KEY: self.key}
        if role == "worker":
            return Process(
                role, number, host, self.command,
                {**variables, RANK: str(number), COMMAND: self.started_by}, secrets,
            )  # fmt: skip
        if role == "server":
            variables[SERVER] = str(number)
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        arguments = [sys.executable, "-m", "gluon_nrm.distributed.serve"]
        return Process(role, number, host, arguments, {**variables, "PYTHONPATH": path}, secrets)


def plan(job: Job, hosts: Sequence[Host], launching: Host) -> List[Process]:
    """Assign workers and servers to ``hosts`` in turn; the scheduler runs on the launching machine."""
    workers = [job.worker(number, hosts[number % len(hosts)]) for number in range(job.workers)]
    for worker in workers:
        worker.variables[WORKERS_HERE] = str(sum(other.host == worker.host for other in workers))
    processes = [
        job.scheduler(launching),
        *(job.server(number, hosts[number % len(hosts)]) for number in range(job.servers)),
        *workers,
    ]
    workers[0].variables[PLACES] = ";".join(f"{process.name}={process.host.name}" for process in processes)
    return processes
