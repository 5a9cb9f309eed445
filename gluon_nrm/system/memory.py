"""Tune glibc's allocator: keep freed memory for the next arrays, and put the heap into huge pages.

A training step reads and writes hundreds of feature maps that no cache can hold. This needs glibc and Linux.
Elsewhere, and if the environment tunes glibc already, nothing is done.
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
#: A full heap grows for arrays up to this size, the most that glibc allows; larger ones are mapped.
LARGEST = 32 * 2**20
#: Free memory that the heap keeps at its end, unless it is in huge pages.
KEPT = 512 * 2**20
#: Largest number of mapped arrays, glibc's default.
_MAPPINGS = 65536
#: The usual page, in bytes.
PAGE = 4096
#: Bytes by which the heap grows at once, at most half of the machine's memory.
HEAP = 16 * 2**30

OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")
MAPS = Path("/proc/self/maps")


def keep_freed_memory() -> bool:
    """Let glibc keep freed arrays for the next ones; False for another library or one tuned already.

    A training step allocates some feature maps anew. By default glibc returns their memory to the system,
    which clears every page and maps it again a moment later. A MALLOC_ variable in the environment turns
    this off.
    """
    if platform.libc_ver()[0] != "glibc" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    # one heap for all threads, or each thread of MXNet keeps its own free memory
    settings = ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, LARGEST), (_TRIM_THRESHOLD, KEPT))
    return all(_libc().mallopt(*setting) == 1 for setting in settings)


def use_huge_pages() -> bool:
    """Put the heap into huge pages, after ``keep_freed_memory`` returned True; False if that is impossible.

    A huge page of 2 MB takes one entry of the processor's page tables; pages of 4 kB take 512. By its usual
    setting (``madvise``) Linux gives huge pages on request. glibc requests them only if its tunable
    ``glibc.malloc.hugetlb`` was set before the program began. So we grow the heap at once and request huge
    pages for all of it; it takes addresses, and memory only when it is used. Under strict overcommit, which
    counts addresses as memory, and with GLIBC_TUNABLES in the environment, nothing is changed.
    """
    page = os.sysconf("SC_PAGE_SIZE")
    # with larger pages, a huge page has hundreds of megabytes
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
    """Grow the heap by ``size`` bytes for good; leave it if there are no addresses for that."""
    libc = _libc()
    # no mappings, so that the block comes from the heap
    libc.mallopt(_MMAP_MAX, 0)
    block = libc.malloc(size)
    libc.mallopt(_MMAP_MAX, _MAPPINGS)
    if block is not None:
        # no trimming, so that the heap stays this large
        libc.mallopt(_TRIM_THRESHOLD, -1)
        libc.free(block)


def _heap() -> List[Tuple[int, int]]:
    """Return first and last address of each part of the heap; none if the system does not tell."""
    parts = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) .*\[heap\]$", _read(MAPS), re.MULTILINE)
    return [(int(start, 16), int(end, 16)) for start, end in parts]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
