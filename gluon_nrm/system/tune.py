"""Make MXNet fast in this process: threads, operators, memory.

Importing the package changes nothing in the process. The tools and the benchmarks call ``tune`` when they
start, ``fit`` when it is called; a script of your own may call ``gluon_nrm.tune()`` before it imports MXNet.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Dict, List, NamedTuple, Optional

from gluon_nrm.system.memory import keep_freed_memory, use_huge_pages
from gluon_nrm.system.processor import thread_defaults
from gluon_nrm.system.wheels import mxnet_version

#: MXNet logs every operator without a sparse form, and none of our arrays are sparse. Read at the first one.
QUIET = {"MXNET_STORAGE_FALLBACK_LOG_VERBOSE": "0"}


class Tuning(NamedTuple):
    """Changes that ``tune`` has made to this process."""

    #: environment variables that were set; those of the user stay
    variables: Dict[str, str]
    #: environment variables that were left, because MXNet reads them when it is imported, and that was before
    too_late: List[str]
    #: whether glibc keeps freed arrays for the next ones
    keeps_freed_memory: bool
    #: whether the heap lies in huge pages
    huge_pages: bool


_tuning: Optional[Tuning] = None


def tune() -> Tuning:
    """Let MXNet use every core in every operator, and keep freed memory in huge pages.

    Sets OMP_NUM_THREADS, MXNET_USE_OPERATOR_TUNING and MXNET_STORAGE_FALLBACK_LOG_VERBOSE where the user has
    not, and tunes glibc's allocator unless the environment has a MALLOC_ variable or GLIBC_TUNABLES. MXNet
    reads the first two when it is imported: call this before. A second call changes nothing.

    Returns:
        What the first call changed, and what came too late.
    """
    global _tuning
    if _tuning is None:
        threads = {name: value for name, value in thread_defaults().items() if name not in os.environ}
        imported = "mxnet" in sys.modules
        changes = {name: value for name, value in QUIET.items() if name not in os.environ}
        if not imported:
            changes.update(threads)
        os.environ.update(changes)
        keeps = mxnet_version() is not None and keep_freed_memory()
        _tuning = Tuning(changes, list(threads) if imported else [], keeps, keeps and use_huge_pages())
    return _tuning


def describe_tuning() -> Optional[Dict[str, Any]]:
    """Describe the process's ``Tuning`` as JSON values; None without one."""
    return None if _tuning is None else _tuning._asdict()
