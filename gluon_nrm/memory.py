"""What becomes of freed memory: kept for the next arrays, where the C library lets itself be told."""

from __future__ import annotations

import ctypes
import os
import platform

# mallopt(3) of glibc
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
#: Arrays up to this size come from the heap; glibc allows no more.
LARGEST = 32 * 2**20
#: Free memory that the heap keeps at its end.
KEPT = 512 * 2**20


def keep_freed_memory() -> bool:
    """Have glibc keep freed arrays for the next ones; False where the library is another or tuned already.

    A training step allocates some of its feature maps anew. By itself glibc hands their memory back to the
    system, which clears every page and maps it again a moment later. Where the environment has a MALLOC_
    variable, that stands.
    """
    if platform.libc_ver()[0] != "glibc" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # one heap, or every thread of MXNet's keeps free memory to itself
    settings = ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, LARGEST), (_TRIM_THRESHOLD, KEPT))
    return all(mallopt(*setting) == 1 for setting in settings)
