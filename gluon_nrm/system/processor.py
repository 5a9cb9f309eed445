"""Processor settings of MXNet: cores, threads of operators, and matrix tiles for bfloat16."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from pathlib import Path
from typing import Dict, Optional, Set

from gluon_nrm.system.job_variables import WORKERS_HERE

# Linux on x86-64 permits AMX's registers on request: arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA).
_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA = 158, 0x1023, 18
#: Environment variable that limits the instruction sets of MXNet's convolutions.
INSTRUCTIONS = "DNNL_MAX_CPU_ISA"
#: Values of it that leave AVX-512 out.
BELOW_AVX512 = ("SSE41", "AVX", "AVX2")

TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


def thread_defaults() -> Dict[str, str]:
    """Environment variables that let MXNet use every core in every operator; read when MXNet is imported.

    By itself MXNet takes half of the processors it sees, in case two of them share a core. It runs most
    element-wise operators on one of these, after a measurement at its start of what is worth sharing: at the
    sizes of feature maps, two to four times slower than on two cores. Workers of a job on one machine share
    its cores.
    """
    workers = int(os.environ.get(WORKERS_HERE, "1"))
    cores = max(usable_cores() // workers, 1)
    return {"OMP_NUM_THREADS": str(cores), "MXNET_USE_OPERATOR_TUNING": "0"}


def usable_cores() -> int:
    """Count the physical cores that this process may run on."""
    if sys.platform != "linux":
        return os.cpu_count() or 1
    cores: Set[str] = set()
    for processor in os.sched_getaffinity(0):
        try:
            cores.add(Path(TOPOLOGY.format(processor)).read_text(encoding="ascii").strip())
        except OSError:
            cores.add(str(processor))
    return len(cores)


def allow_matrix_tiles() -> bool:
    """Let MXNet's convolutions in bfloat16 use AMX; True if the processor has it and Linux permits it.

    The oneDNN of MXNet 1.9.1 does not request AMX's tiles, and uses them only if an environment variable says
    so; its other bfloat16 kernels are slower than float32. It reads the variable once, at its first operator,
    so call this before any. The variable is removed afterwards: child processes lack the permission and would
    crash with it.
    """
    if INSTRUCTIONS in os.environ or not has_instructions("amx_bf16") or not _ask_for_tiles():
        return False
    import mxnet as mx

    os.environ[INSTRUCTIONS] = "AVX512_CORE_AMX"
    try:
        one = mx.nd.ones((1, 1))
        mx.nd.FullyConnected(one, one, num_hidden=1, no_bias=True).wait_to_read()
    finally:
        del os.environ[INSTRUCTIONS]
    return True


def has_instructions(name: str) -> bool:
    """Return True if Linux on x86-64 lists the processor's flag ``name``; False on any other system."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    try:
        return f" {name} " in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False


def precision_warning(dtype: str) -> Optional[str]:
    """Warn of a precision that is not faster than float32 on this processor.

    Without instructions for bfloat16 (AVX512_BF16 or AMX), oneDNN 2.4.4 converts every value to float32.

    Args:
        dtype: the recipe's ``train.dtype``.
    """
    if dtype != "bfloat16" or any(map(has_instructions, ("avx512_bf16", "amx_bf16"))):
        return None
    return (
        "train.dtype: bfloat16 is no faster on this processor, which has no instructions for it "
        "(avx512_bf16 or amx_bf16); use float32"
    )


def channels_at_once() -> int:
    """Number of channels that MXNet's convolutions compute at a time: 8 with AVX2 only, else 16."""
    limited = os.environ.get(INSTRUCTIONS, "") in BELOW_AVX512
    return 8 if has_instructions("avx2") and (limited or not has_instructions("avx512f")) else 16


def _ask_for_tiles() -> bool:
    """Request the tiles for this process and its forks; kernels before 5.16 refuse."""
    return ctypes.CDLL(None).syscall(_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA) == 0
