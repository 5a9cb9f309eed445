"""Loss terms of a step: gathered from all workers, checked, and summed over an epoch."""

from __future__ import annotations

from typing import Dict, List, Mapping, NamedTuple, Sequence

import mxnet as mx
import numpy as np

from gluon_nrm.distributed.workers import Workers
from gluon_nrm.errors import NonFiniteLoss
from gluon_nrm.typing import Tensor


class StreamTerms(NamedTuple):
    """Loss terms of one stream, on their devices."""

    name: str
    #: terms, (T, B / devices) each
    parts: List[Tensor]
    #: class probabilities, (B / devices, K) each, if the teacher wants them
    predictions: Sequence[Tensor] = ()
    #: rendered images, (B / devices, C, H, W) each, if a discriminator judges them; of this worker alone
    rendered: Sequence[Tensor] = ()

    def means(self) -> np.ndarray:
        """Compute the mean of each term over the global batch, (T,)."""
        return np.concatenate([part.asnumpy() for part in self.parts], axis=1).mean(axis=1)


def gather_terms(terms: List[StreamTerms], workers: Workers) -> List[StreamTerms]:
    """Gather terms and predictions of the global batch from all workers."""
    if workers.size == 1:
        return terms
    # in one vector, because every exchange waits for the slowest worker
    own = [
        array
        for stream in terms
        for array in (
            np.concatenate([part.asnumpy() for part in stream.parts], axis=1).T,
            np.concatenate([part.asnumpy() for part in stream.predictions] or [np.zeros((0, 0), np.float32)]),
        )
    ]
    rows = workers.gather(np.concatenate([array.ravel() for array in own]))
    ends = np.cumsum([array.size for array in own])
    whole = [
        part.reshape(-1, array.shape[1]) if array.size else array
        for part, array in zip(np.split(rows, ends[:-1], axis=1), own)
    ]
    return [
        StreamTerms(
            stream.name,
            [mx.nd.array(found.T)],
            [mx.nd.array(classes)] if classes.size else [],
            stream.rendered,
        )
        for stream, found, classes in zip(terms, whole[::2], whole[1::2])
    ]


class TermSums:
    """Sum up the terms of both streams over an epoch.

    Args:
        names: names of the terms.
        sums: ``state`` of an interrupted epoch.
        companion: names of a companion's losses, which are no part of the total.
    """

    def __init__(
        self, names: Sequence[str], sums: Mapping[str, float] = {}, companion: Sequence[str] = ()
    ) -> None:
        self._names = tuple(names)
        everything = (*self._names, *companion, "total", "steps")
        self._sums = {name: float(sums.get(name, 0.0)) for name in everything}

    def add(
        self, terms: List[StreamTerms], weights: Mapping[str, float], companion: Mapping[str, float] = {}
    ) -> None:
        """Add a step: the batch means of each term, summed over the streams, and the companion's losses."""
        for name, value in companion.items():
            self._sums[name] += value
        step = np.sum([stream.means() for stream in terms], axis=0)
        for name, value in zip(self._names, step):
            self._sums[name] += float(value)
            self._sums["total"] += weights[name] * float(value)
        self._sums["steps"] += 1

    def state(self) -> Dict[str, float]:
        """Return the sums so far, for a checkpoint."""
        return dict(self._sums)

    def average(self, workers: Workers) -> None:
        """Average the sums over the workers, for dist_async."""
        names = sorted(self._sums)
        sums = workers.sum(np.array([self._sums[name] for name in names]))
        self._sums = dict(zip(names, (sums / workers.size).tolist()))

    def means(self) -> Dict[str, float]:
        """Return the means over the steps, with keys ``loss/TERM``."""
        steps = max(self._sums["steps"], 1.0)
        return {f"loss/{name}": value / steps for name, value in self._sums.items() if name != "steps"}


def check_finite(terms: List[StreamTerms], names: Sequence[str], number: int) -> None:
    """Check that every term of a step is a number.

    Raises:
        NonFiniteLoss: naming the first term that is not, its stream and the step.
    """
    for stream in terms:
        for name, value in zip(names, stream.means()):
            if not np.isfinite(value):
                raise NonFiniteLoss(
                    f"loss term {name} of the {stream.name} stream became {value} at step {number}; "
                    "the last checkpoint is intact.\n"
                    "Lower optimiser.phases.N.lr or the term's weight, or lengthen its ramp-up"
                )
