"""How MXNet uses the processor: variables that it reads once, when it is first imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Set

TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


def set_thread_defaults() -> None:
    """Let MXNet use every core, in every operator, unless the user's environment says otherwise.

    By itself MXNet takes half of the processors it sees, which it supposes to be halves of cores, and runs
    most element-wise operators on one of them, after a measurement at its start of what is worth sharing out:
    at the sizes of feature maps, two to four times slower than on two cores.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))
    os.environ.setdefault("MXNET_USE_OPERATOR_TUNING", "0")


def usable_cores() -> int:
    """Cores that this process may run on: in a container perhaps fewer than there are; halves are not counted."""
    if sys.platform != "linux":
        return os.cpu_count() or 1
    cores: Set[str] = set()
    for processor in os.sched_getaffinity(0):
        try:
            cores.add(Path(TOPOLOGY.format(processor)).read_text(encoding="ascii").strip())
        except OSError:
            cores.add(str(processor))
    return len(cores)
