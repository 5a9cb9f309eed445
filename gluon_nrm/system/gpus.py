"""List the NVIDIA GPUs of this machine, and check that MXNet has code for them."""

from __future__ import annotations

import subprocess
from typing import List, NamedTuple, Optional, Tuple

# The wheel has machine code for these compute capabilities, and no PTX that a driver could compile for
# others. Code for one capability also runs on later ones with the same major number.
CODE_FOR = ((5, 0), (6, 0), (7, 0), (8, 0), (8, 6))
NEWEST = "8.9"


class Gpu(NamedTuple):
    """A GPU's name and compute capability; None if the driver is too old to tell the latter."""

    name: str
    capability: Optional[Tuple[int, int]]


def list_gpus(time_limit: float = 20.0) -> List[Gpu]:
    """List GPUs by ``nvidia-smi``; none if it is absent, fails or takes over ``time_limit`` seconds."""
    rows = _query("name,compute_cap", time_limit) or _query("name", time_limit)
    return [_parse(row) for row in rows]


def has_code_for(capability: Tuple[int, int]) -> bool:
    """Return True if MXNet 1.9.1's CUDA 11.2 wheel runs on a GPU of this compute capability."""
    return any(major == capability[0] and minor <= capability[1] for major, minor in CODE_FOR)


def _query(fields: str, time_limit: float) -> List[str]:
    """Return the lines of an ``nvidia-smi`` query; none if it fails (old drivers lack ``compute_cap``)."""
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=time_limit, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def _parse(row: str) -> Gpu:
    """Read ``NAME, MAJOR.MINOR`` or ``NAME``."""
    name, _, capability = row.rpartition(", ")
    major, dot, minor = capability.partition(".")
    if name and dot and major.isdigit() and minor.isdigit():
        return Gpu(name, (int(major), int(minor)))
    return Gpu(name or row, None)
