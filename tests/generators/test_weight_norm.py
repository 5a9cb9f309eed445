"""Weight-normalised layers: w = g v / |v|, its gradients, and the data-dependent start."""

from __future__ import annotations

from typing import Tuple

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from oracle import differences, some

from gluon_nrm.generators.weight_norm import WeightNormConvolution, WeightNormDense, WeightNormLayer

X = some(1, 20, 2, 5, 4) * 3 + 1


def layers() -> Tuple[WeightNormLayer, ...]:
    made = (WeightNormConvolution(2, 3, 3, stride=2, pad=1), WeightNormDense(40, 3))
    for layer in made:
        layer.initialize()
        layer.scale.set_data(mx.nd.array([0.5, 2, 3]))
        layer.bias.set_data(mx.nd.array([-1, 0, 1]))
    return made


def dense(x: np.ndarray, v: np.ndarray, g: np.ndarray, b: np.ndarray) -> np.ndarray:
    rows = [g[k] * (x.reshape(len(x), -1) @ v[k]) / np.sqrt((v[k] ** 2).sum()) + b[k] for k in range(len(v))]
    return np.stack(rows, axis=1)


def test_dense_and_its_gradients() -> None:
    _, layer = layers()
    parameters = (layer.direction, layer.scale, layer.bias)
    arrays = [X[:3], *[each.data().asnumpy() for each in parameters]]
    with autograd.record():
        found = layer(mx.nd.array(X[:3]))
    np.testing.assert_allclose(found.asnumpy(), dense(*arrays), rtol=1e-4, atol=1e-5)
    h = some(2, 3, 3)
    found.backward(mx.nd.array(h))
    for place, parameter in enumerate(parameters, start=1):
        expected = differences(dense, arrays, place, h)
        np.testing.assert_allclose(parameter.grad().asnumpy(), expected, rtol=1e-3, atol=1e-3)


def test_a_convolution_has_filters_of_length_g() -> None:
    layer, _ = layers()
    v, g, b = (each.data() for each in (layer.direction, layer.scale, layer.bias))
    lengths = v.reshape((3, -1)).norm(axis=1)
    weight = v * (g / lengths).reshape((3, 1, 1, 1))
    x = mx.nd.array(X)
    expected = mx.nd.Convolution(x, weight, b, kernel=(3, 3), stride=(2, 2), pad=(1, 1), num_filter=3)
    np.testing.assert_allclose(layer(x).asnumpy(), expected.asnumpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("deviation", [1.0, 0.1])
@pytest.mark.parametrize("place", [0, 1])
def test_start_gives_mean_0_and_the_asked_deviation(place: int, deviation: float) -> None:
    layer, x = layers()[place], mx.nd.array(X)
    returned = layer.start_from(x, deviation).asnumpy()
    found = layer(x).asnumpy()
    np.testing.assert_allclose(found, returned, rtol=1e-4, atol=1e-5)
    axes = (0, 2, 3)[: found.ndim - 1]
    np.testing.assert_allclose(found.mean(axis=axes), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=axes), deviation, rtol=1e-4)


def test_start_sets_every_device() -> None:
    layer = WeightNormDense(40, 3)
    layer.initialize(ctx=[mx.cpu(0), mx.cpu(1)])
    layer.start_from(mx.nd.array(X, ctx=mx.cpu(1)))
    for parameter in (layer.scale, layer.bias):
        one, two = (parameter.data(device).asnumpy() for device in (mx.cpu(0), mx.cpu(1)))
        assert one.any() and np.array_equal(one, two)


def test_start_of_a_constant_unit_is_finite() -> None:
    layer = WeightNormDense(40, 3)
    layer.initialize()
    layer.start_from(mx.nd.ones((6, 40)))
    assert np.isfinite(layer.scale.data().asnumpy()).all() and np.isfinite(layer.bias.data().asnumpy()).all()


def test_a_scale_can_stay() -> None:
    layer = WeightNormDense(40, 3, learn_scale=False)
    assert layer.scale.grad_req == "null" and layer.direction.grad_req == "write"
