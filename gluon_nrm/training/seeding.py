"""MXNet's random streams, seeded for every step: dropout, and gates that are drawn."""

from __future__ import annotations

from typing import Any, List

import mxnet as mx

from gluon_nrm.models import Network


def seed_step(net: Network, seed: int, step: int, devices: List[Any], worker: int = 0) -> None:
    """Seed the stream of each device for one step, so that a run may go on after any step.

    Each GPU has a stream of its own, which depends on its place among the devices of all workers: two workers
    of a GPU each draw what one process draws on two. The CPU devices of a process share one stream.
    """
    if not net.stochastic:
        return  # seeding takes over a millisecond
    # large odd multipliers keep runs of neighbouring seeds, and devices, from sharing steps
    for place, device in enumerate(devices, start=worker * len(devices)):
        mx.random.seed((seed * 1_000_003 + place * 7_368_787 + step) % (2**31 - 1), ctx=device)
