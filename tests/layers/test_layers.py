"""Norms, statistics, shared parameters and named results, against NumPy."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, List, NamedTuple, Optional, Tuple

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon
from oracle import both_ways, gradients, some

from gluon_nrm.layers.convolution import Convolution
from gluon_nrm.layers.named_outputs import NamedBlock
from gluon_nrm.layers.normalisation import BatchNorm, Bias, InstanceNorm
from gluon_nrm.rules.statistics import instance_norm, plain_mean, spatial_mean

pytestmark = pytest.mark.filterwarnings("ignore:.*already initialized")

EPSILON = 1e-5
GAMMA, BETA, BIAS = (
    np.array([1.5, -0.5, 2], np.float32),
    np.array([0.3, 0, -1], np.float32),
    np.array([1, -2, 0.5], np.float32),
)
MEAN, VARIANCE = np.array([0.2, -0.4, 1], np.float32), np.array([0.5, 1, 3], np.float32)


def wide(values: np.ndarray) -> np.ndarray:
    return values.reshape(1, -1, 1, 1)


def new_bias() -> gluon.Parameter:
    bias = gluon.Parameter("bias", shape=(3,), init="zeros")
    bias.initialize()
    bias.set_data(mx.nd.array(BIAS))
    return bias


def batch_norm(with_bias: bool, own_beta: bool) -> BatchNorm:
    norm = BatchNorm(3, new_bias() if with_bias else None, own_beta)
    norm.initialize()
    for name, value in (("gamma", GAMMA), ("running_mean", MEAN), ("running_var", VARIANCE), ("beta", BETA)):
        if hasattr(norm, name):
            getattr(norm, name).set_data(mx.nd.array(value))
    return norm


FORMS = [(False, False, BETA), (False, True, BETA), (True, False, BIAS), (True, True, BETA + BIAS)]


@pytest.mark.parametrize(("with_bias", "own_beta", "shift"), FORMS)
@pytest.mark.parametrize("train", [False, True])
def test_batch_norm(train: bool, with_bias: bool, own_beta: bool, shift: np.ndarray) -> None:
    """The output, and the same as the affine map that is returned beside it."""
    norm = batch_norm(with_bias, own_beta)
    assert hasattr(norm, "beta") == (own_beta or not with_bias)
    x = some(1, 4, 3, 5, 6) * 2 + 1
    with autograd.train_mode() if train else autograd.predict_mode():
        y, scale, offset = (each.asnumpy() for each in norm(mx.nd.array(x)))
    mean, variance = (x.mean((0, 2, 3)), x.var((0, 2, 3))) if train else (MEAN, VARIANCE)
    expected = wide(GAMMA) * (x - wide(mean)) / np.sqrt(wide(variance) + EPSILON) + wide(shift)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(x * wide(scale) + wide(offset), expected, rtol=1e-4, atol=1e-5)


def test_batch_norm_moves_its_statistics_by_a_tenth() -> None:
    norm, x = batch_norm(True, False), some(1, 4, 3, 5, 6)
    with autograd.record():
        y = norm(mx.nd.array(x))[0]
    y.backward()
    mx.nd.waitall()
    mean, variance = norm.running_mean.data().asnumpy(), norm.running_var.data().asnumpy()
    np.testing.assert_allclose(mean, 0.9 * MEAN + 0.1 * x.mean((0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(variance, 0.9 * VARIANCE + 0.1 * x.var((0, 2, 3)), rtol=1e-5)


def test_batch_norm_scale_and_shift_hold_the_statistics_constant() -> None:
    """Of <scale, a> + <shift, b> only gamma and the bias get a gradient, that of the frozen affine map."""
    norm, x = batch_norm(True, True), mx.nd.array(some(1, 4, 3, 5, 6))
    a, b = mx.nd.array([1, 2, 3]), mx.nd.array([3, -1, 1])
    x.attach_grad()
    with autograd.record():
        _, scale, shift = norm(x)
        head = mx.nd.dot(scale, a) + mx.nd.dot(shift, b)
    head.backward()
    mean, deviation = x.asnumpy().mean((0, 2, 3)), np.sqrt(x.asnumpy().var((0, 2, 3)) + EPSILON)
    expected = (a.asnumpy() - b.asnumpy() * mean) / deviation
    np.testing.assert_allclose(norm.gamma.grad().asnumpy(), expected, rtol=1e-4)
    for parameter in (norm.bias, norm.beta):
        np.testing.assert_allclose(parameter.grad().asnumpy(), b.asnumpy())
    assert not x.grad.asnumpy().any()


def slow_instance_norm(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    centred = x - x.mean((2, 3), keepdims=True)
    return wide(gamma) * centred / np.sqrt((centred**2).mean((2, 3), keepdims=True) + EPSILON) + wide(beta)


@pytest.mark.parametrize(("with_bias", "own_beta", "shift"), FORMS)
def test_instance_norm(with_bias: bool, own_beta: bool, shift: np.ndarray) -> None:
    norm = InstanceNorm(3, (4, 5), new_bias() if with_bias else None, own_beta)
    norm.initialize()
    norm.gamma.set_data(mx.nd.array(GAMMA))
    if hasattr(norm, "beta"):
        norm.beta.set_data(mx.nd.array(BETA))
    x = some(1, 2, 3, 4, 5)
    np.testing.assert_allclose(
        norm(mx.nd.array(x))[0].asnumpy(), slow_instance_norm(x, GAMMA, shift), rtol=1e-4, atol=1e-5
    )
    assert norm.gamma.grad_req == "null"


def test_instance_norm_that_learns_no_beta() -> None:
    norm = InstanceNorm(3, (4, 5), learn_beta=False)
    assert norm.beta.grad_req == norm.gamma.grad_req == "null"
    assert InstanceNorm(3, (4, 5)).beta.grad_req == "write"


def test_instance_norm_of_a_map_without_variance_is_its_shift() -> None:
    """As at the top of the zero image's rendering, which is a map of one pixel."""
    for x in (np.full((1, 3, 4, 4), 7.0, np.float32), some(1, 1, 3, 1, 1) * 1000):
        (found,) = both_ways(partial(instance_norm, size=(x.shape[2], x.shape[3])), x, GAMMA, BETA)
        np.testing.assert_allclose(found, wide(BETA) * np.ones_like(x), atol=1e-4)


def test_instance_norm_of_a_variance_lost_in_rounding_is_finite() -> None:
    """The mean of the squares less the square of the mean comes out below 0 in some of these channels."""
    values = np.random.default_rng(1).uniform(900, 1000, (1, 3, 1, 1)).astype(np.float32)
    for size in range(2, 12):
        x = np.broadcast_to(values, (1, 3, size, size + 1))
        (found,) = both_ways(partial(instance_norm, size=(size, size + 1)), x, GAMMA, BETA)
        assert np.isfinite(found).all()


def test_instance_norm_gradient_is_mxnets() -> None:
    x, h = some(1, 2, 3, 4, 5), some(2, 2, 3, 4, 5)
    found = gradients(partial(instance_norm, size=(4, 5)), [x, GAMMA, BETA], [h])
    expected = gradients(lambda F, *a: F.InstanceNorm(*a, eps=EPSILON), [x, GAMMA, BETA], [h])
    for ours, theirs in zip(found, expected):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("size", [(4, 6), (1, 1), (1, 7), (5, 3)])
def test_spatial_mean_and_its_gradient(size: Tuple[int, int]) -> None:
    x, a = some(1, 2, 3, *size), some(2, 2, 3, 1, 1)
    expected = x.mean((2, 3), keepdims=True)
    np.testing.assert_allclose(both_ways(spatial_mean, x)[0], expected, rtol=1e-5, atol=1e-6)
    (gradient,) = gradients(spatial_mean, [x], [a])
    np.testing.assert_allclose(gradient, a / (size[0] * size[1]) * np.ones_like(x), rtol=1e-5)
    (plain,) = both_ways(plain_mean, x)
    np.testing.assert_allclose(plain, x.mean((2, 3)), rtol=1e-5, atol=1e-6)
    (of_plain,) = gradients(plain_mean, [x], [a[:, :, 0, 0]])
    np.testing.assert_allclose(of_plain, gradient, rtol=1e-5)


def test_bias_returns_what_a_norm_does() -> None:
    x = some(1, 2, 3, 4, 5)
    y, scale, shift = (each.asnumpy() for each in Bias(new_bias())(mx.nd.array(x)))
    np.testing.assert_allclose(y, x + wide(BIAS), rtol=1e-6)
    np.testing.assert_array_equal(np.stack([scale, shift]), np.stack([np.ones(3), BIAS]))


class Pair(NamedTuple):
    first: Any
    nest: List[Any]
    gap: Optional[Any] = None


class Doubling(NamedBlock):
    result_type = Pair

    def hybrid_forward(self, F: Any, x: Any) -> Tuple[Any, ...]:
        return (x * 2, [x * 3, [x * 4]])


class Whole(NamedBlock):
    """Uses the names of another block's result, and fills the gap."""

    result_type = Pair

    def __init__(self) -> None:
        super().__init__()
        self.child = Doubling()

    def hybrid_forward(self, F: Any, x: Any) -> Pair:
        inner = self.child(x)
        assert inner.gap is None
        return Pair(inner.first + inner.nest[0], [inner.nest[1][0]], inner.first)


class Single(NamedTuple):
    only: Any
    gap: Optional[Any] = None


class Alone(NamedBlock):
    result_type = Single

    def hybrid_forward(self, F: Any, x: Any) -> Tuple[Any, ...]:
        return (x * 5,)


@pytest.mark.parametrize("hybridised", ["nothing", "all", "child"])
def test_named_results(hybridised: str) -> None:
    block, alone, x = Whole(), Alone(), mx.nd.ones((2,))
    if hybridised == "child":
        block.child.hybridize()
    elif hybridised == "all":
        block.hybridize()
        alone.hybridize()
    for _ in range(2):
        inner, outer, single = block.child(x), block(x), alone(x)
        assert isinstance(inner, Pair)
        assert isinstance(outer, Pair)
        assert inner.gap is None
        assert single.gap is None
        found = [outer.first, outer.nest[0], outer.gap, single.only, inner.nest[1][0]]
        assert [each.asnumpy()[0] for each in found] == [5, 4, 2, 5, 4]


def test_named_result_of_symbols() -> None:
    traced = Whole()(mx.sym.var("x"))
    assert isinstance(traced, Pair)
    assert traced.gap.eval(x=mx.nd.ones((1,)))[0].asscalar() == 2


def test_shared_weight_is_one_parameter(tmp_path: Path) -> None:
    """Under a parent, alone, hybridised alone, and in a file of the block's own."""
    convolution = Convolution(2, 3, 3, 1)
    transposed = convolution.transposed((4, 5))
    assert transposed.weight is convolution.weight
    assert list(transposed.collect_params().values()) == [convolution.weight]
    convolution.initialize()
    h = mx.nd.array(some(1, 2, 3, 4, 5))
    eager = transposed(h).asnumpy()
    transposed.hybridize()
    with autograd.record():
        image = transposed(h)
    image.backward()
    np.testing.assert_allclose(image.asnumpy(), eager, rtol=1e-6)
    assert convolution.weight.grad().asnumpy().any()
    transposed.save_parameters(str(tmp_path / "weight"))
    saved = mx.nd.load(str(tmp_path / "weight"))
    np.testing.assert_array_equal(saved["weight"].asnumpy(), convolution.weight.data().asnumpy())
    convolution.weight.set_data(mx.nd.zeros((3, 2, 3, 3)))
    assert not transposed(h).asnumpy().any()
