"""Freed memory is kept for the next arrays, in huge pages, where the C library and the system allow it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Callable, List, Optional, Tuple

import pytest

from gluon_nrm.system import memory

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries go untuned")

#: Pages that the system maps while an array of 16 MB is made and dropped again and again.
FAULTS = """
import resource
import numpy as np
from gluon_nrm import tune
tune()
def fill():
    np.empty(2**21).fill(1)
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

#: How many of 64 MB are in huge pages, in kB. Not numpy's: it asks for them itself.
HUGE = """
import ctypes
import re
from gluon_nrm import tune
tune()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.memset(ctypes.c_void_p(libc.malloc(2**26)), 1, 2**26)
print(re.search(r"AnonHugePages: +([0-9]+)", open("/proc/self/smaps_rollup").read()).group(1))
"""

#: Whether the package can be used where there are 3 GB of addresses.
LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
from gluon_nrm import tune
tune()
import mxnet as mx
print(int(mx.nd.ones(2**22).sum().asscalar()))
"""


def run(program: str, **variables: str) -> int:
    """What a program prints that tunes its process first."""
    tuned = ("MALLOC_", "GLIBC_TUNABLES")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(tuned)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, **variables}, stdout=subprocess.PIPE, text=True, check=True, timeout=120,
    )  # fmt: skip
    return int(done.stdout)


def test_freed_memory_is_kept_unless_the_environment_says_otherwise() -> None:
    # a threshold that is given stays; glibc's own default rises with the first array that is freed
    assert run(FAULTS) < 100 < run(FAULTS, MALLOC_MMAP_THRESHOLD_="131072")


def test_arrays_are_in_huge_pages_unless_the_environment_says_otherwise() -> None:
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not setting.exists() or "[madvise]" not in setting.read_text(encoding="ascii"):
        pytest.skip("only where Linux hands them to whoever asks")
    assert run(HUGE, GLIBC_TUNABLES="glibc.malloc.perturb=0") < 2**15 < run(HUGE)


def test_where_addresses_are_few_the_package_works_all_the_same() -> None:
    assert run(LIMITED) == 2**22


@pytest.mark.parametrize(
    "spoil",
    [
        lambda patch, folder: patch.setenv("GLIBC_TUNABLES", "glibc.malloc.perturb=0"),
        lambda patch, folder: patch.setattr(memory, "OVERCOMMIT", written(folder / "overcommit", "2\n")),
        lambda patch, folder: patch.setattr(memory, "PAGE", 2**16),
        lambda patch, folder: patch.setattr(memory, "MAPS", folder / "missing"),
    ],
    ids=["tuned already", "strict overcommit", "other pages", "no list of mappings"],
)
def test_the_heap_is_left_alone(
    spoil: Callable[[pytest.MonkeyPatch, Path], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setattr(memory, "_grow_heap", lambda size: None)
    spoil(monkeypatch, tmp_path)
    assert not memory.use_huge_pages()


@pytest.mark.parametrize("block", [None, 4096])
def test_only_a_heap_that_could_grow_keeps_its_size(
    block: Optional[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: List[Tuple[int, ...]] = []
    libc = SimpleNamespace(
        mallopt=lambda *setting: calls.append(setting),
        malloc=lambda size: block,
        free=lambda block: calls.append((block,)),
    )
    monkeypatch.setattr(memory, "_libc", lambda: libc)
    memory._grow_heap(2**40)
    never_trimmed = (memory._TRIM_THRESHOLD, -1)
    assert (never_trimmed in calls) == ((block,) in calls) == (block is not None)
    assert calls.index((memory._MMAP_MAX, 0)) < calls.index((memory._MMAP_MAX, memory._MAPPINGS))


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="ascii")
    return path
