"""Freed memory is kept for the next arrays, where the C library lets itself be told."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries go untuned")

#: Pages that the system maps while an array of 16 MB is made and dropped again and again.
FAULTS = """
import resource
import gluon_nrm
import numpy as np
def fill():
    np.empty(2**21).fill(1)
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages_mapped(**variables: str) -> int:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", FAULTS]
    done = subprocess.run(
        command, env={**environment, **variables}, stdout=subprocess.PIPE, text=True, check=True, timeout=120
    )
    return int(done.stdout)


def test_freed_memory_is_kept_unless_the_environment_says_otherwise() -> None:
    # a threshold that is given stays; glibc's own default rises with the first array that is freed
    assert pages_mapped() < 100 < pages_mapped(MALLOC_MMAP_THRESHOLD_="131072")
