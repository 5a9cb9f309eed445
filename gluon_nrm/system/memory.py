"""Where arrays lie in memory: freed memory is kept for the next ones, and all of it is in huge pages.

A training step passes over hundreds of feature maps that no cache holds. Only glibc and Linux let themselves
be told; elsewhere, and where the environment tunes glibc already, nothing is done.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
from pathlib import Path
from typing import Any, List, Tuple

# mallopt(3) of glibc, and madvise(2)
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -3, -4, -8
_HUGE_PAGES = 14
#: Where the heap is full, arrays up to this size come from it all the same; glibc allows no more.
LARGEST = 32 * 2**20
#: Free memory that the heap keeps at its end, where it is not in huge pages.
KEPT = 512 * 2**20
#: glibc's own limit of the number of larger ones.
_MAPPINGS = 65536
#: The usual page, in bytes.
PAGE = 4096
#: What the heap becomes at once, or half of the machine's memory where that is less.
HEAP = 16 * 2**30

OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")
MAPS = Path("/proc/self/maps")


def keep_freed_memory() -> bool:
    """Have glibc keep freed arrays for the next ones; False where the library is another or tuned already.

    A training step allocates some of its feature maps anew. By itself glibc hands their memory back to the
    system, which clears every page and maps it again a moment later. Where the environment has a MALLOC_
    variable, that stands.
    """
    if platform.libc_ver()[0] != "glibc" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    # one heap, or every thread of MXNet's keeps free memory to itself
    settings = ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, LARGEST), (_TRIM_THRESHOLD, KEPT))
    return all(_libc().mallopt(*setting) == 1 for setting in settings)


def use_huge_pages() -> bool:
    """Have the heap in huge pages, once ``keep_freed_memory`` is True; False where that is not to be had.

    The processor finds the 2 MB of a huge page by one entry of its page tables, where pages of 4 kB take 512.
    Linux hands huge pages to whoever asks (its usual setting, ``madvise``), but glibc asks only if it was
    told to before the program began (its tunable ``glibc.malloc.hugetlb``), and only as its heap grows. So
    the heap is made large at once, and asked for as a whole: addresses, which take no memory before they are
    used. Where the system counts them all the same (strict overcommit), it is left alone; where the
    environment has GLIBC_TUNABLES, they stand.
    """
    page = os.sysconf("SC_PAGE_SIZE")
    # of larger pages the huge ones are hundreds of megabytes
    if "GLIBC_TUNABLES" in os.environ or _read(OVERCOMMIT).strip() == "2" or page != PAGE:
        return False
    _grow_heap(min(HEAP, os.sysconf("SC_PHYS_PAGES") * page // 2))
    heap = _heap()
    return bool(heap) and all(_libc().madvise(start, end - start, _HUGE_PAGES) == 0 for start, end in heap)


def _libc() -> Any:
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return libc


def _grow_heap(size: int) -> None:
    """Let the heap reach ``size`` bytes further, for good; no further, if there are no addresses for it."""
    libc = _libc()
    # else so large a block would not come from the heap
    libc.mallopt(_MMAP_MAX, 0)
    block = libc.malloc(size)
    libc.mallopt(_MMAP_MAX, _MAPPINGS)
    if block is not None:
        # else the heap would not stay so large
        libc.mallopt(_TRIM_THRESHOLD, -1)
        libc.free(block)


def _heap() -> List[Tuple[int, int]]:
    """First and last address of each part of the heap; none where the system does not say."""
    parts = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) .*\[heap\]$", _read(MAPS), re.MULTILINE)
    return [(int(start, 16), int(end, 16)) for start, end in parts]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
