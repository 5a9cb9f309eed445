"""Starting a job: on this machine, on the hosts of a file through ssh, or as a task of Slurm's or MPI's."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import List, Optional, Sequence, Union

from gluon_nrm.distributed.addresses import LOOPBACK, address_towards, check_port, free_port, resolve
from gluon_nrm.distributed.hosts import Host, check_hosts, read_hosts
from gluon_nrm.distributed.plan import Job, Process, plan
from gluon_nrm.distributed.supervise import supervise
from gluon_nrm.distributed.task import Task, find_task
from gluon_nrm.errors import DistributedError


def launch(
    command: Sequence[str],
    *,
    workers: Optional[int] = None,
    servers: Optional[int] = None,
    hosts: Union[str, Path, None] = None,
    port: Optional[int] = None,
    root: Optional[str] = None,
    started_by: str = "the same command",
) -> None:
    """Run ``command`` as every worker of a job, with MXNet's scheduler and servers, until all have ended.

    Args:
        command: what a worker runs, e.g. ``["python", "tools/train.py", RECIPE, "--kvstore", "dist_sync"]``.
        workers: how many; None: one a task, under Slurm and MPI.
        servers: how many; None: one a host.
        hosts: file of hosts (``hosts.read_hosts``); None: this machine.
        port: of the scheduler; None: a free one, or under Slurm and MPI one that all tasks reckon.
        root: under MPI on several machines, the one of task 0.
        started_by: the command line, for messages that say how to go on.

    Raises:
        DistributedError: the job cannot be started; nothing of it runs.
        JobError: a process of it failed; all have ended.
        KeyboardInterrupt: the user stopped it.
    """
    if shutil.which(command[0]) is None:
        raise DistributedError(f"{command[0]!r} is no command here; give the one that a worker is to run")
    task = find_task(os.environ, root) if hosts is None else None
    if task is not None:
        supervise(_of_task(command, task, workers, servers, port, started_by))
        return
    if workers is None:
        raise DistributedError("-n: give the number of workers, such as -n 2")
    if root is not None:
        raise DistributedError("--root: is for tasks of mpirun; leave it out")
    supervise(_of_hosts(command, read_hosts(hosts) if hosts else [], workers, servers, port, started_by))


def _of_hosts(
    command: Sequence[str],
    hosts: List[Host],
    workers: int,
    servers: Optional[int],
    port: Optional[int],
    started_by: str,
) -> List[Process]:
    """All processes of a job that this process starts alone."""
    check_hosts(hosts)
    address = address_towards(hosts[0].name) if hosts else LOOPBACK
    if port is not None:
        check_port(address, port)
    here = Host("this machine", address)
    job = Job(
        workers, servers or max(len(hosts), 1), address, port or free_port(address), command, started_by
    )
    return plan(job, hosts or [here], here)


def _of_task(
    command: Sequence[str],
    task: Task,
    workers: Optional[int],
    servers: Optional[int],
    port: Optional[int],
    started_by: str,
) -> List[Process]:
    """The processes of one task: a worker, its share of the servers, and with task 0 the scheduler."""
    if workers not in (None, task.size):
        raise DistributedError(
            f"-n: {workers} workers, but there are {task.size} tasks, of which each is a worker; leave -n out"
        )
    address, own = task_addresses(task)
    port = port or task.port
    if task.rank == 0:
        check_port(address, port)
    job = Job(task.size, servers or max(len(task.nodes), 1), address, port, command, started_by)
    here = Host("this machine", own)
    return [
        *([job.scheduler(here)] if task.rank == 0 else []),
        *(job.server(number, here) for number in range(task.rank, job.servers, task.size)),
        job.worker(task.rank, here),
    ]


def task_addresses(task: Task) -> List[str]:
    """Where the scheduler listens, and this task's own address on that network."""
    if task.on_one_machine and not (task.nodes and task.rank):
        # one machine, or the first of several that only the user knows
        first = resolve(task.nodes[0]) if task.nodes else LOOPBACK
        return [first, first]
    first = resolve(task.nodes[0])
    if task.rank == 0 and first.startswith("127."):
        # how a machine calls itself; the others know it by its address on the way to them
        first = address_towards(task.nodes[1])
    return [first, first if task.rank == 0 else address_towards(first)]
