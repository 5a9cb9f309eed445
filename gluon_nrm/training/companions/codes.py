"""Random codes of a generator: they depend on seed, step and stream, not on devices and workers."""

from __future__ import annotations

from typing import Any, List

import mxnet as mx
import numpy as np
from mxnet.gluon.utils import split_and_load

from gluon_nrm.typing import Tensor

#: Distinguishes these sequences from others of the same seed (perturbations have none).
PURPOSE = 1


def draw_codes(
    shape: "tuple[int, ...]", seed: int, number: int, place: int, worker: int = 0, *, normal: bool = False
) -> np.ndarray:
    """Draw the codes of one worker's part of a batch.

    Args:
        shape: of that part, (B, ...).
        seed: the run's.
        number: number of the training step.
        place: number of the stream, or of another use in the step.
        worker: rank of the worker; the codes of those before it are drawn and dropped.
        normal: standard normal numbers; False: uniform in [-1, 1), as Salimans et al. 2016.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(PURPOSE, number, place)))
    count, *rest = shape
    whole = ((worker + 1) * count, *rest)
    drawn = rng.standard_normal(whole, dtype=np.float32) if normal else rng.uniform(-1.0, 1.0, whole)
    return drawn[worker * count :].astype(np.float32)


def on_devices(array: np.ndarray, devices: List[Any]) -> List[Tensor]:
    """Split a batch (B, ...) evenly over the devices."""
    return list(split_and_load(mx.nd.array(array), devices))
