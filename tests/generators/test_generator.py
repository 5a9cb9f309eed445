"""Generators: shapes of many sizes, the range of pixels, eager and hybrid, the start, sizes refused."""

from __future__ import annotations

from typing import Dict, Tuple

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from oracle import some

from gluon_nrm.errors import ModelError
from gluon_nrm.generators.generator import DoubleSides, ImageGenerator, make_generator
from gluon_nrm.generators.weight_norm import WeightNormConvolution

LOW, HIGH = (-1.0, -2.0), (1.0, 3.0)


def small(seed: int = 0, shape: Tuple[int, int, int] = (2, 8, 8)) -> ImageGenerator:
    generator = make_generator(shape, 5, 3, LOW, HIGH)
    mx.random.seed(seed)
    generator.initialize()
    return generator


def codes(batch: int = 40) -> mx.nd.NDArray:
    return mx.nd.array(np.random.default_rng(1).uniform(size=(batch, 5)))


@pytest.mark.parametrize(
    ("size", "start", "maps"),
    [
        ((8, 8), (2, 2), [6, 3]),
        ((28, 28), (7, 7), [6, 3]),
        ((32, 32), (4, 4), [12, 6, 3]),
        ((4, 6), (2, 3), [3]),
        ((14, 10), (7, 5), [3]),
        ((64, 32), (4, 2), [24, 12, 6, 3]),
        ((96, 96), (6, 6), [24, 12, 6, 3]),
    ],
)
def test_sizes(size: Tuple[int, int], start: Tuple[int, int], maps: list) -> None:
    generator = small(shape=(2, *size))
    assert generator(codes(2)).shape == (2, 2, *size)
    weights = [
        each.shape for name, each in generator.collect_params().items() if "conv" in name and each.shape[2:]
    ]
    assert [shape[1] for shape in weights] == maps
    assert generator.hidden[0].weight.shape == (maps[0] * start[0] * start[1], 5)


@pytest.mark.parametrize("size", [(9, 9), (2, 2), (8, 9), (18, 18), (64, 8), (3, 4)])
def test_other_sizes_are_refused(size: Tuple[int, int]) -> None:
    with pytest.raises(ModelError, match=f"not {size[0]} x {size[1]}; set data.size") as caught:
        make_generator((1, *size), 5, 3, [0], [1])
    assert " 28, 32, " in str(caught.value) and len(str(caught.value)) <= 240


def test_pixels_lie_between_black_and_white() -> None:
    generator = small()
    generator.last.convolution.scale.set_data(mx.nd.ones(8) * 1e4)
    found = generator(codes()).asnumpy()
    for channel in range(2):
        np.testing.assert_allclose(found[:, channel].min(), LOW[channel], rtol=1e-6)
        np.testing.assert_allclose(found[:, channel].max(), HIGH[channel], rtol=1e-6)


def test_doubling_is_a_transposed_convolution() -> None:
    """Every pixel spreads a template of 6 x 6, two pixels apart."""
    block = DoubleSides(WeightNormConvolution(2, 12, 3, pad=1))
    block.initialize()
    x = some(1, 2, 2, 3, 4)
    layer = block.convolution
    v = layer.direction.data().asnumpy()
    weight = v / np.sqrt((v**2).sum(axis=(1, 2, 3), keepdims=True))
    expected = np.zeros((2, 3, 10, 12))  # a border of two pixels, cut off below
    for b, c, i, j in np.ndindex(*x.shape):
        for out, phase_i, phase_j, row, column in np.ndindex(3, 2, 2, 3, 3):
            template = weight[(2 * phase_i + phase_j) * 3 + out, c, row, column]
            at = (2 * (i + 1 - row) + phase_i + 2, 2 * (j + 1 - column) + phase_j + 2)
            expected[(b, out, *at)] += x[b, c, i, j] * template
    found = block(mx.nd.array(x)).asnumpy()
    np.testing.assert_allclose(found, expected[:, :, 2:-2, 2:-2], rtol=1e-4, atol=1e-5)


def gradients(generator: ImageGenerator) -> Dict[str, np.ndarray]:
    with autograd.record():
        loss = mx.nd.square(generator(codes())).mean()
    loss.backward()
    return {n: p.grad().asnumpy() for n, p in generator.collect_params().items() if p.grad_req != "null"}


def test_gradients_reach_every_parameter_eager_and_hybrid() -> None:
    generator = small()
    eager = gradients(generator)
    generator.hybridize(static_alloc=True, static_shape=True)
    generator(codes())  # prediction in between leaves weights in oneDNN's layout
    for name, gradient in gradients(generator).items():
        assert np.abs(gradient).max() > 1e-7, name
        np.testing.assert_allclose(gradient, eager[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_two_batches_in_one_graph() -> None:
    """Deconvolution fails here; the gradient is that of both."""
    generator, z = small(), codes()
    weight = generator.hidden[4].convolution.weight
    generator.hybridize(static_alloc=True)
    found = []
    for batches in ([z[:20]], [z[20:]], [z[:20], z[20:]]):
        with autograd.record():
            loss = sum(mx.nd.square(generator(each)).sum() for each in batches)
        loss.backward()
        found.append(weight.grad().asnumpy())
    np.testing.assert_allclose(found[0] + found[1], found[2], rtol=1e-4, atol=1e-6)


def test_a_seed_repeats_a_generator() -> None:
    one, same, other = (small(seed)(codes(2)).asnumpy() for seed in (1, 1, 2))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
