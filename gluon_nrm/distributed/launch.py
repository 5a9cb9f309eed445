"""Starting a job: on this machine, on the hosts of a file through ssh, or as a task of Slurm's or MPI's."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence, Union

from gluon_nrm.console.display import say
from gluon_nrm.distributed.addresses import (
    LOOPBACK,
    address_towards,
    check_port,
    check_private,
    free_port,
    resolve,
)
from gluon_nrm.distributed.enclosure import enclose
from gluon_nrm.distributed.hosts import Host, check_hosts, read_hosts
from gluon_nrm.distributed.plan import Job, Process, plan
from gluon_nrm.distributed.supervise import supervise
from gluon_nrm.distributed.task import Task, find_task
from gluon_nrm.errors import DistributedError
from gluon_nrm.system.job_variables import KEY, patience


class Options(NamedTuple):
    """Options of ``launch``."""

    #: None: one a task, under Slurm and MPI
    workers: Optional[int] = None
    #: None: one a host
    servers: Optional[int] = None
    #: the scheduler's; worker 0 has the next one. None: free ones, or under Slurm and MPI reckoned ones
    port: Optional[int] = None
    #: the command line, for messages that say how to go on
    started_by: str = "the same command"
    #: seconds that each process waits for the others at the start; 0: without end
    patience: Optional[float] = None
    #: whether public addresses are allowed
    public: bool = False
    #: whether a job on this machine gets a network of its own
    enclosed: bool = False


def launch(
    command: Sequence[str],
    options: Options,
    *,
    hosts: Union[str, Path, None] = None,
    root: Optional[str] = None,
) -> None:
    """Run ``command`` as every worker of a job, with MXNet's scheduler and servers, until all have ended.

    Args:
        command: what a worker runs, e.g. ``["python", "tools/train.py", RECIPE, "--kvstore", "dist_sync"]``.
        options: how. An enclosed job moves this process, for good, into a network namespace.
        hosts: file of hosts (``hosts.read_hosts``); None: this machine.
        root: under MPI on several machines, the one of task 0.

    Raises:
        DistributedError: the job cannot be started; nothing of it runs.
        JobError: a process of it failed; all have ended.
        KeyboardInterrupt: the user stopped it.
    """
    if shutil.which(command[0]) is None:
        raise DistributedError(f"{command[0]!r} is no command here; give the one that a worker is to run")
    task = find_task(os.environ, root) if hosts is None else None
    if task is not None:
        supervise(_of_task(command, task, options))
        return
    if options.workers is None:
        raise DistributedError("-n: give the number of workers, such as -n 2")
    if root is not None:
        raise DistributedError("--root: is for tasks of mpirun; leave it out")
    supervise(_of_hosts(command, read_hosts(hosts) if hosts else [], options))


def _of_hosts(command: Sequence[str], hosts: List[Host], options: Options) -> List[Process]:
    """All processes of a job that this process starts alone."""
    address = address_towards(hosts[0].name) if hosts else LOOPBACK
    for host in [*hosts, Host("this machine", address)]:
        check_private(host.address, host.name, options.public)
    check_hosts(hosts)
    if not hosts and options.enclosed:
        _enclose()
    port = options.port or free_port(address)
    if options.port is not None:
        check_port(address, port)
    here = Host("this machine", address)
    hub = (hosts or [here])[0].address
    hub_port = port + 1 if options.port is not None else free_port(address)
    servers = options.servers or max(len(hosts), 1)
    job = _job(command, options, options.workers or 1, servers, f"{address}:{port}", f"{hub}:{hub_port}")
    return plan(job, hosts or [here], here)


def _enclose() -> None:
    """Give the job a network of its own, or say that it has none."""
    reason = enclose()
    if reason is not None:
        say(f"note: no network of its own for this job ({reason}); all users of this machine reach its ports")


def _job(
    command: Sequence[str], options: Options, workers: int, servers: int, scheduler: str, hub: str
) -> Job:
    address, _, port = scheduler.rpartition(":")
    seconds = patience() if options.patience is None else options.patience
    key = os.environ.get(KEY) or secrets.token_hex(32)
    return Job(
        workers, servers, address, int(port), command, options.started_by, hub, key, seconds, options.public
    )


def _of_task(command: Sequence[str], task: Task, options: Options) -> List[Process]:
    """The processes of one task: a worker, its share of the servers, and with task 0 the scheduler."""
    if options.workers not in (None, task.size):
        raise DistributedError(
            f"-n: {options.workers} workers, but there are {task.size} tasks, of which each is a worker; "
            "leave -n out"
        )
    address, own = task_addresses(task)
    check_private(address, "the address of task 0", options.public)
    check_private(own, "the address of this task", options.public)
    port = options.port or task.port
    if task.rank == 0:
        check_port(address, port)
    servers = options.servers or max(len(task.nodes), 1)
    job = _job(command, options, task.size, servers, f"{address}:{port}", f"{address}:{port + 1}")
    if KEY not in os.environ:
        job = job._replace(key=_computed_key(task))
    here = Host("this machine", own)
    return [
        *([job.scheduler(here)] if task.rank == 0 else []),
        *(job.server(number, here) for number in range(task.rank, job.servers, task.size)),
        job.worker(task.rank, here),
    ]


def _computed_key(task: Task) -> str:
    """Compute a key that all tasks, and other users, can compute; warn that the user should give one."""
    if task.rank == 0:
        say(
            f"note: {KEY} is not set, so other users can compute the key of the job; in the job's script:\n"
            f"  export {KEY}=$(openssl rand -hex 32)"
        )
    return hashlib.sha256(f"{task.port} {task.size}".encode()).hexdigest()


def task_addresses(task: Task) -> List[str]:
    """Return the address of the scheduler, and the address of this task on that network."""
    if task.on_one_machine and not (task.nodes and task.rank):
        # one machine, or the first of several that only the user knows
        first = resolve(task.nodes[0]) if task.nodes else LOOPBACK
        return [first, first]
    first = resolve(task.nodes[0])
    if task.rank == 0 and first.startswith("127."):
        # how a machine calls itself; the others know it by its address on the way to them
        first = address_towards(task.nodes[1])
    return [first, first if task.rank == 0 else address_towards(first)]
