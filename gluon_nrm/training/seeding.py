"""Seed MXNet's random streams, of dropout and random gates, for every training step."""

from __future__ import annotations

from typing import Any, List

import mxnet as mx


def seed_step(seed: int, step: int, devices: List[Any], worker: int = 0) -> None:
    """Seed the stream of each device for one step, so that a run can resume after any step.

    Each GPU has its own stream, seeded by its index among the devices of all workers: two workers with one
    GPU each draw the numbers of one process with two. The CPU devices of a process share one stream. Seeding
    takes over a millisecond.
    """
    # large odd multipliers give different seeds to consecutive run seeds, devices and steps
    for place, device in enumerate(devices, start=worker * len(devices)):
        mx.random.seed((seed * 1_000_003 + place * 7_368_787 + step) % (2**31 - 1), ctx=device)
