"""Sums, copies and averages of many arrays are those of numpy, array by array, in few operators."""

from __future__ import annotations

from typing import List, Tuple

import mxnet as mx
import numpy as np
import pytest

from gluon_nrm.training.many_arrays import MOST, SMALL, ManyArrays

SHAPES = [
    [(3,)],
    [(SMALL + 1,), (2, 3)],
    [(number % 5 + 1, 2) for number in range(2 * MOST + 1)] + [(2, SMALL)],
]


def some(seed: int, shapes: List[Tuple[int, ...]]) -> List[np.ndarray]:
    draw = np.random.default_rng(seed)
    return [draw.normal(size=shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("devices", [1, 2])
def test_arrays_are_copied_added_and_moved(shapes: List[Tuple[int, ...]], devices: int) -> None:
    a, b = some(1, shapes), some(2, shapes)
    arrays, others = (
        [mx.nd.array(each, ctx=mx.cpu(place % devices)) for place, each in enumerate(side)] for side in (a, b)
    )
    many = ManyArrays(arrays)
    copies = many.copy(arrays)
    many.add(arrays, others)
    for was, copy, other, found in zip(a, copies, b, arrays):
        np.testing.assert_array_equal(copy.asnumpy(), was)  # a copy, which the sum leaves alone
        np.testing.assert_array_equal(found.asnumpy(), was + other)
        assert copy.context == found.context
    many.move(arrays, others, 0.25)
    for was, other, found in zip(a, b, arrays):
        np.testing.assert_allclose(found.asnumpy(), 0.75 * (was + other) + 0.25 * other, rtol=1e-5, atol=1e-6)
