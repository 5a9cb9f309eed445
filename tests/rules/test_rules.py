"""Every rendering rule is the transpose of its operator: autograd is the oracle for arrays and symbols.

The convolution's is in ``test_rules_convolution.py``.
"""

from __future__ import annotations

from typing import Any, List, Tuple

import mxnet as mx
import numpy as np
import pytest
from oracle import assert_transposes, both_ways, gradients, some, untied

from gluon_nrm.rules import activation, linear, pooling, structure

Pair = Tuple[int, int]


def test_fully_connected() -> None:
    weight = some(1, 4, 5)

    def forward(F: Any, x: Any) -> Any:
        return F.FullyConnected(x, mx.nd.array(weight), no_bias=True, num_hidden=4)

    (found,) = both_ways(linear.transpose_fully_connected, some(2, 3, 4), weight)
    (expected,) = gradients(forward, [some(3, 3, 5)], [some(2, 3, 4)])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


WINDOWS = [
    ((2, 2), (6, 8)),
    ((2, 2), (7, 9)),
    ((3, 3), (8, 7)),
    ((2, 3), (5, 8)),
    ((3, 1), (7, 4)),
    ((1, 2), (4, 5)),
]


@pytest.mark.parametrize(("kernel", "size"), WINDOWS)
def test_max_pooling(kernel: Pair, size: Pair) -> None:
    x = untied(1, 2, 3, *size)

    def forward(F: Any, x: Any) -> Any:
        return pooling.pool(F, x, kernel)

    def rule(F: Any, h: Any, x: Any) -> Any:
        t = pooling.position(F, x, forward(F, x), kernel, size)
        return pooling.apply_position(F, pooling.spread(F, h, kernel, size), t)

    h = some(2, 2, 3, size[0] // kernel[0], size[1] // kernel[1])
    (pooled,) = both_ways(forward, x)
    rows, columns = (size[i] // kernel[i] * kernel[i] for i in range(2))
    blocks = x[:, :, :rows, :columns].reshape(
        2, 3, rows // kernel[0], kernel[0], columns // kernel[1], kernel[1]
    )
    np.testing.assert_array_equal(pooled, blocks.max((3, 5)))
    (found,) = both_ways(rule, h, x)
    (expected,) = gradients(forward, [x], [h])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("kernel", "size"), WINDOWS)
def test_gradient_of_a_spread_pixel_is_the_sum_over_its_window(kernel: Pair, size: Pair) -> None:
    (rows, columns), (height, width) = kernel, (size[i] // kernel[i] for i in range(2))
    h, a = some(1, 2, 3, height, width), some(2, 2, 3, *size)
    (found,) = gradients(lambda F, h: pooling.spread(F, h, kernel, size), [h], [a])
    covered = a[:, :, : height * rows, : width * columns].reshape(2, 3, height, rows, width, columns)
    np.testing.assert_allclose(found, covered.sum((3, 5)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 2, 3, 4), (1, 5)])
def test_constant_is_repeated_for_every_image(shape: Tuple[int, ...]) -> None:
    one, like = some(1, *shape), some(2, 6, *shape[1:])
    (found,) = both_ways(lambda F, one, like: structure.repeat_constant(F, one, like), one, like)
    np.testing.assert_array_equal(found, np.repeat(one, 6, axis=0))


def test_max_unpooling_by_hand() -> None:
    x = np.array([[1, 2, 0, -1], [4, 3, -3, -2], [5, 5, 7, 8], [0, 5, 9, 6]], np.float32).reshape(1, 1, 4, 4)
    h = np.array([[10, 20], [30, 40]], np.float32).reshape(1, 1, 2, 2)
    expected = [[0, 0, 20, 0], [10, 0, 0, 0], [30, 30, 0, 0], [0, 30, 40, 0]]  # three winners where fives tie

    def rule(F: Any, h: Any, x: Any) -> Any:
        t = pooling.position(F, x, pooling.pool(F, x, (2, 2)), (2, 2), (4, 4))
        return pooling.apply_position(F, pooling.spread(F, h, (2, 2), (4, 4)), t)

    np.testing.assert_array_equal(both_ways(rule, h, x)[0][0, 0], expected)


def test_all_pixels_of_an_even_window_win_and_left_over_ones_never() -> None:
    x = np.full((1, 1, 3, 5), 2.0, dtype=np.float32)

    def rule(F: Any, x: Any) -> Any:
        return pooling.position(F, x, pooling.pool(F, x, (2, 2)), (2, 2), (3, 5))

    np.testing.assert_array_equal(
        both_ways(rule, x)[0][0, 0], [[1, 1, 1, 1, 0], [1, 1, 1, 1, 0], [0, 0, 0, 0, 0]]
    )


@pytest.mark.parametrize(("kernel", "size"), WINDOWS)
def test_average_pooling(kernel: Pair, size: Pair) -> None:
    assert_transposes(
        lambda F, h: pooling.transpose_average_pool(F, h, kernel, size),
        lambda F, x: F.Pooling(x, kernel=kernel, stride=kernel, pool_type="avg"),
        some(1, 2, 3, *size),
        some(2, 2, 3, size[0] // kernel[0], size[1] // kernel[1]),
    )


def test_global_average_pooling() -> None:
    assert_transposes(
        lambda F, h: pooling.transpose_global_average_pool(F, h, (3, 5)),
        lambda F, x: F.Pooling(x, global_pool=True, pool_type="avg", kernel=(1, 1)),
        some(1, 2, 4, 3, 5),
        some(2, 2, 4, 1, 1),
    )


@pytest.mark.parametrize("slope", [0.0, 0.1, 0.5])
def test_activation(slope: float) -> None:
    v, h = untied(1, 2, 3, 4, 5), some(2, 2, 3, 4, 5)

    def forward(F: Any, v: Any) -> Any:
        return activation.activate(F, v, slope)

    def rule(F: Any, h: Any, v: Any) -> Any:
        return activation.apply_state(F, h, activation.state(F, forward(F, v), slope))

    rendered = v > 0
    np.testing.assert_allclose(both_ways(forward, v)[0], np.where(rendered, v, slope * v), rtol=1e-6)
    np.testing.assert_allclose(both_ways(rule, h, v)[0], gradients(forward, [v], [h])[0], rtol=1e-6)
    by_h, by_v = gradients(rule, [h, v], [some(3, *h.shape)])
    assert by_h.any()
    assert not by_v.any(), "a state carries no gradient"
    at_zero = both_ways(lambda F, y: activation.state(F, y, slope), np.zeros((1, 2), np.float32))
    np.testing.assert_array_equal(at_zero[0], np.float32(slope) * np.ones((1, 2)))


def test_sum() -> None:
    parts, h = [some(seed, 2, 3) for seed in (1, 2, 3)], some(4, 2, 3)
    found = both_ways(lambda _, h: structure.transpose_sum(h, 3), h)
    for ours, theirs in zip(found, gradients(lambda _, a, b, c: a + b + c, parts, [h])):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("sizes", "axis"), [([1, 3, 2], 1), ([4], 1), ([2, 1], 2), ([1, 1, 1], 0)])
def test_concatenation(sizes: List[int], axis: int) -> None:
    shapes = [[n if i == axis else 3 for i in range(4)] for n in sizes]
    parts = [some(seed, *shape) for seed, shape in enumerate(shapes)]
    h = some(9, *np.concatenate(parts, axis=axis).shape)
    found = both_ways(lambda F, h: structure.transpose_concatenation(F, h, sizes, axis), h)
    expected = gradients(lambda F, *parts: F.concat(*parts, dim=axis), parts, [h])
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected):
        np.testing.assert_array_equal(ours, theirs)


def test_reshape() -> None:
    x, h = some(1, 2, 3, 4, 5), some(2, 2, 60)
    (found,) = both_ways(lambda F, h: structure.transpose_reshape(F, h, x.shape), h)
    np.testing.assert_array_equal(found, gradients(lambda F, x: F.flatten(x), [x], [h])[0])


@pytest.mark.parametrize(
    ("before", "after"), [((1, 2), (3, 4)), ((0, 2), (1, 0)), ((2, 0), (0, 0)), ((0, 0), (0, 0))]
)
def test_padding(before: Pair, after: Pair) -> None:
    width = (0, 0, 0, 0, before[0], after[0], before[1], after[1])
    x, h = some(1, 2, 3, 4, 5), some(2, 2, 3, 4 + before[0] + after[0], 5 + before[1] + after[1])
    (found,) = both_ways(lambda F, h: structure.transpose_pad(F, h, before, after), h)
    forward = gradients(lambda F, x: F.pad(x, mode="constant", constant_value=0, pad_width=width), [x], [h])
    np.testing.assert_array_equal(found, forward[0])
