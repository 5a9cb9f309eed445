"""Sums of the loss terms over an epoch, and the watch for values that are not finite."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

import mxnet as mx
import numpy as np

from gluon_nrm.distributed.workers import Workers
from gluon_nrm.errors import NonFiniteLoss


class StreamTerms(NamedTuple):
    """Loss terms of one stream, still on their devices: a (T, B / devices) array each.

    ``predictions``, where the teacher wants them, are the class probabilities, (B / devices, K) each.
    """

    name: str
    parts: List[Any]
    predictions: Sequence[Any] = ()

    def means(self) -> np.ndarray:
        """Mean over the global batch of each term, (T,); waits for the result."""
        return np.concatenate([part.asnumpy() for part in self.parts], axis=1).mean(axis=1)


def gather_terms(terms: List[StreamTerms], workers: Workers) -> List[StreamTerms]:
    """The terms and predictions of the whole global batch, from the parts of all workers."""
    if workers.size == 1:
        return terms
    # one vector, as every exchange waits for the slowest worker
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
        StreamTerms(stream.name, [mx.nd.array(found.T)], [mx.nd.array(classes)] if classes.size else [])
        for stream, found, classes in zip(terms, whole[::2], whole[1::2])
    ]


class Tally:
    """Adds up the terms of both streams.

    Args:
        names: of the terms.
        sums: where an interrupted epoch stood, as ``state`` returned it.
    """

    def __init__(self, names: Sequence[str], sums: Mapping[str, float] = {}) -> None:
        self._names = tuple(names)
        self._sums = {name: float(sums.get(name, 0.0)) for name in (*self._names, "total", "steps")}

    def add(self, terms: List[StreamTerms], weights: Mapping[str, float]) -> None:
        """Add a step's terms: of each the sum over both streams of its mean over the batch."""
        step = np.sum([stream.means() for stream in terms], axis=0)
        for name, value in zip(self._names, step):
            self._sums[name] += float(value)
            self._sums["total"] += weights[name] * float(value)
        self._sums["steps"] += 1

    def state(self) -> Dict[str, float]:
        """Sums so far, to go on from."""
        return dict(self._sums)

    def average(self, workers: Workers) -> None:
        """Take the mean over the workers, where each has tallied its own part of the steps."""
        names = sorted(self._sums)
        sums = workers.sum(np.array([self._sums[name] for name in names]))
        self._sums = dict(zip(names, (sums / workers.size).tolist()))

    def means(self) -> Dict[str, float]:
        """Mean over the steps, as ``loss/TERM``."""
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
