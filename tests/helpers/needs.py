"""Skips of tests that need what a machine may lack."""

from __future__ import annotations

import pytest

from gluon_nrm.system.processor import has_instructions

#: MXNet's convolutions in bfloat16 run on processors with AVX-512 alone.
HAS_BFLOAT16 = has_instructions("avx512bw")
needs_bfloat16 = pytest.mark.skipif(
    not HAS_BFLOAT16, reason="MXNet's bfloat16 needs AVX-512 (avx512bw in /proc/cpuinfo)"
)
