"""Pooling over windows that overlap, are padded or reach over the edge: transposes against autograd."""

from __future__ import annotations

import itertools
from typing import Any, List

import mxnet as mx
import numpy as np
import pytest
from oracle import both_ways, gradients, some, untied

from gluon_nrm.rules import windows
from gluon_nrm.rules.windows import Windows

SIZES = [(7, 8), (6, 5)]
#: kernel, stride, padding
PLACES = [
    ((2, 2), (2, 2), (0, 0)),
    ((3, 3), (2, 2), (0, 0)),
    ((3, 3), (2, 2), (1, 1)),
    ((3, 2), (1, 2), (1, 0)),
    ((2, 3), (2, 1), (0, 1)),
    ((5, 4), (2, 3), (2, 1)),
]
ALL = [
    Windows(*place, full, counts)
    for place, full, counts in itertools.product(PLACES, (False, True), (False, True))
] + [Windows((2, 1), (3, 2))]
COUNTING = [each for each in ALL if each.padding_counts]


def pool(F: Any, x: Any, where: Windows, kind: str) -> Any:
    return F.Pooling(
        x, kernel=where.kernel, stride=where.stride, pad=where.pad, pool_type=kind,
        pooling_convention="full" if where.full else "valid", count_include_pad=where.padding_counts,
    )  # fmt: skip


def pooled_shape(size: Any, where: Windows) -> Any:
    return pool(mx.nd, mx.nd.zeros((2, 3, *size)), where, "max").shape


def winners(x: np.ndarray, where: Windows) -> List[np.ndarray]:
    size = (x.shape[2], x.shape[3])
    return both_ways(lambda F, v: windows.winners(F, v, pool(F, v, where, "max"), where, size), x)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("where", COUNTING, ids=str)
def test_max_pooling(where: Windows, size: Any) -> None:
    """Of both signs, so that the padding must not win where all pixels are negative."""
    x, h = untied(1, 2, 3, *size), some(2, *pooled_shape(size, where))

    def rule(F: Any, cotangent: Any, image: Any) -> Any:
        t = windows.winners(F, image, pool(F, image, where, "max"), where, size)
        return windows.transpose_max_pool(F, cotangent, t, where, size)

    (found,) = both_ways(rule, h, x)
    (expected,) = gradients(lambda F, v: pool(F, v, where, "max"), [x], [h])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert (np.array(winners(x, where)).sum(axis=0) == 1).all()


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(
    ("kind", "where"), [("avg", each) for each in ALL] + [("sum", each) for each in COUNTING], ids=str
)
def test_linear_pooling(kind: str, where: Windows, size: Any) -> None:
    """Against the matrix that pooling is: MXNet's gradient of averages that reach over the edge is wrong."""
    transpose = {"avg": windows.transpose_average_pool, "sum": windows.transpose_sum_pool}[kind]
    h = some(2, 2, 3, *pooled_shape(size, where)[2:])
    (found,) = both_ways(lambda F, cotangent: transpose(F, cotangent, where, size), h)
    pixels = mx.nd.reshape(mx.nd.eye(size[0] * size[1]), (-1, 1, *size))
    matrix = pool(mx.nd, pixels, where, kind).asnumpy()[:, 0]
    expected = np.einsum("pij,bcij->bcp", matrix, h).reshape(2, 3, *size)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", [-1.0, 0.0, 2.0])
@pytest.mark.parametrize("where", COUNTING, ids=str)
def test_of_pixels_that_tie_one_wins(where: Windows, value: float) -> None:
    """A constant image: in every window exactly one place, and it holds a pixel."""
    x = np.full((2, 3, 7, 8), value, np.float32)
    found = np.array(winners(x, where))
    assert (found.sum(axis=0) == 1).all()
    h = some(2, *pooled_shape((7, 8), where))
    rendered = windows.transpose_max_pool(
        mx.nd, mx.nd.array(h), [mx.nd.array(each) for each in found], where, (7, 8)
    )
    np.testing.assert_allclose(rendered.asnumpy().sum((2, 3)), h.sum((2, 3)), rtol=1e-4, atol=1e-4)


def test_the_first_of_equal_pixels_wins() -> None:
    x = np.array([[[[0, 5, 5], [5, 1, 5], [0, 0, 0]]]], np.float32)
    found = np.array(winners(x, Windows((2, 2), (1, 1))))[:, 0, 0]
    assert [int(place) for place in found.argmax(axis=0)] == [1, 0, 0, 1]


@pytest.mark.parametrize("size", [(6, 5), (7, 8), (9, 4)], ids=str)
def test_how_far_windows_reach_over_the_edge(size: Any) -> None:
    """Counted from where MXNet's last window begins."""
    for where in ALL:
        outputs = pooled_shape(size, where)[2:]
        last = [
            (n - 1) * stride + kernel - pad
            for n, stride, kernel, pad in zip(outputs, where.stride, where.kernel, where.pad)
        ]
        expected = tuple(max(end - length - pad, 0) for end, length, pad in zip(last, size, where.pad))
        assert where.over_the_edge(size) == (expected if where.full else (0, 0))
