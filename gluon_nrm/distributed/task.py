"""Read rank, size and hosts of a task from the variables of Slurm's ``srun`` or MPI's ``mpirun``."""

from __future__ import annotations

import itertools
import re
import zlib
from typing import List, Mapping, NamedTuple, Optional, Tuple

from gluon_nrm.errors import DistributedError
from gluon_nrm.system.commands import command_name

#: Variables of a task's rank and of the number of tasks: Slurm, Open MPI, MPICH and its kin.
RANKS = (
    ("SLURM_PROCID", "SLURM_NTASKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
)
#: Variables of the number of tasks on this machine.
LOCAL_SIZES = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS")
#: Variables that differ between jobs on one machine.
JOBS = ("SLURM_JOB_ID", "SLURM_STEP_ID", "PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid", "PMI_ID")


class Task(NamedTuple):
    """One of several tasks that were started with the same command."""

    rank: int
    size: int
    #: the machines, that of task 0 first; empty if unknown
    nodes: Tuple[str, ...]
    #: a port that is the same for all tasks of a job, and most likely another for the next job
    port: int

    @property
    def on_one_machine(self) -> bool:
        """True if all tasks are on this machine, as far as is known."""
        return len(self.nodes) <= 1


def find_task(variables: Mapping[str, str], root: Optional[str] = None) -> Optional[Task]:
    """Find the task that ``variables`` describe; None outside ``srun`` and ``mpirun``.

    Args:
        variables: the environment.
        root: the machine of task 0, if the user gives it.

    Raises:
        DistributedError: a variable holds no number, or MPI's tasks are on several machines and ``root`` is
            not given.
    """
    for rank_name, size_name in RANKS:
        if rank_name in variables and size_name in variables:
            rank, size = _number(variables, rank_name), _number(variables, size_name)
            break
    else:
        return None
    if not 0 <= rank < size:
        raise DistributedError(f"{rank_name}: {rank} of {size} tasks is none; start the job anew")
    port = 15000 + zlib.crc32(" ".join(variables.get(name, "") for name in JOBS).encode()) % 15000
    return Task(rank, size, (root,) if root else _nodes(variables, size), port)


def _nodes(variables: Mapping[str, str], size: int) -> Tuple[str, ...]:
    nodes = variables.get("SLURM_STEP_NODELIST") or variables.get("SLURM_JOB_NODELIST")
    if nodes:
        return tuple(expand(nodes))
    for name in LOCAL_SIZES:
        if name in variables and _number(variables, name) < size:
            raise DistributedError(
                "the tasks are on several machines, and MPI does not say which one has rank 0;\n"
                f"give {command_name('launch')} its name with --root"
            )
    return ()


def expand(text: str) -> List[str]:
    """Expand a host list of Slurm: ``n[08-10,12],login1`` is n08, n09, n10, n12 and login1."""
    names: List[str] = []
    for entry in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", text):
        parts = re.split(r"\[([^\]]*)\]", entry)
        choices = [_numbers(part) if place % 2 else [part] for place, part in enumerate(parts)]
        names += ["".join(choice) for choice in itertools.product(*choices)]
    return names


def _numbers(text: str) -> List[str]:
    found: List[str] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        stop = int(last) if dash else int(first)
        found += [str(number).zfill(len(first)) for number in range(int(first), stop + 1)]
    return found


def _number(variables: Mapping[str, str], name: str) -> int:
    if not variables[name].isdigit():
        raise DistributedError(f"{name}: {variables[name]!r} is no number; start the job anew")
    return int(variables[name])
