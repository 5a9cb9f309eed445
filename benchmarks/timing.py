"""Timing shared by the benchmarks: one warm-up policy, works that take turns, medians with their spread."""

from __future__ import annotations

import statistics
import time
from typing import Any, Callable, Dict, List, Sequence

import mxnet as mx

from benchmarks.serve import WARM_UP


def seconds_of(work: Callable[[], Any]) -> float:
    """Time of one run of ``work``, waited for."""
    mx.nd.waitall()
    started = time.perf_counter()
    work()
    mx.nd.waitall()
    return time.perf_counter() - started


def take_turns(works: Sequence[Callable[[], Any]], rounds: int, warm_up: int = WARM_UP) -> List[List[float]]:
    """Run works one after the other, round after round, and return the seconds of each, a list a work.

    What else the machine does meanwhile slows all of them alike, and leaves the ratios of medians alone.
    """
    found: List[List[float]] = [[] for _ in works]
    for number in range(warm_up + rounds):
        for work, seconds in zip(works, found):
            taken = seconds_of(work)
            if number >= warm_up:
                seconds.append(taken)
    return found


def median_seconds(work: Callable[[], Any], repeats: int, warm_up: int = WARM_UP) -> float:
    """Median time of ``work``, each run waited for."""
    return statistics.median(take_turns([work], repeats, warm_up)[0])


def spread(seconds: Sequence[float]) -> Dict[str, float]:
    """Median, least and most of what was measured, as a row of figures has them."""
    return {
        "seconds": statistics.median(seconds), "seconds_min": min(seconds), "seconds_max": max(seconds)
    }  # fmt: skip
