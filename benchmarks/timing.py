"""Timing shared by the benchmarks."""

from __future__ import annotations

import statistics
import time
from typing import Any, Callable

import mxnet as mx


def median_seconds(work: Callable[[], Any], repeats: int, warm_up: int = 2) -> float:
    """Median time of ``work``, each run waited for."""
    seconds = []
    for number in range(warm_up + repeats):
        mx.nd.waitall()
        started = time.perf_counter()
        work()
        mx.nd.waitall()
        if number >= warm_up:
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
