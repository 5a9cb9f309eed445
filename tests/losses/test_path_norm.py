"""Rendering Path Normalisation against its equations, their differences, and the enumeration of all paths."""

from __future__ import annotations

from typing import Any, Dict, List

import mxnet as mx
import numpy as np
import pytest
import tiny
from mxnet import autograd, gluon
from oracle import assert_differentiates, differences, gradients, some

from gluon_nrm import losses
from gluon_nrm.models import NRM

MODE: Dict[str, Any] = {"slope": 0.0, "norm": "none", "render_norm": "none", "path_norm": "mode"}


def layerwise(*arrays: np.ndarray) -> np.ndarray:
    """Of the image's maps, the zero image's, and the biases."""
    third = len(arrays) // 3
    loss = np.zeros(len(arrays[0]))
    for masked, zero, bias in zip(arrays[:third], arrays[third : 2 * third], arrays[2 * third :]):
        b = bias.reshape((1, -1, 1, 1))
        loss += np.abs(b * masked - b * zero).mean(axis=(1, 2, 3))
    return loss


def mode(code: np.ndarray, zero_logits: np.ndarray, class_bias: np.ndarray, *rest: np.ndarray) -> np.ndarray:
    """``rest``: the biases, then the routed maps of the same layers."""
    half = len(rest) // 2
    best = code @ (zero_logits[0] - class_bias)
    eta = sum(
        (routed * b.reshape((1, -1, 1, 1))).sum((1, 2, 3)) for b, routed in zip(rest[:half], rest[half:])
    )
    return np.maximum(best - eta, 0)


def parameter(name: str, value: Any) -> gluon.Parameter:
    made = gluon.Parameter(name, shape=value.shape)
    made.initialize(init="zeros")
    made.set_data(mx.nd.array(value))
    return made


def test_layerwise_path_norm() -> None:
    biases = [some(7, 3), some(8, 2)]
    block = losses.LayerwisePathNorm([parameter(f"b{i}", value) for i, value in enumerate(biases)])
    masked, zero = [some(1, 5, 3, 2, 3), some(2, 5, 2, 2, 2)], [some(3, 1, 3, 2, 3), some(4, 5, 2, 2, 2)]

    def call(*maps: Any) -> Any:
        return block(list(maps[:2]), list(maps[2:]))

    assert_differentiates(call, lambda *maps: layerwise(*maps, *biases), masked + zero)
    agreeing = [np.broadcast_to(each, (5, *each.shape[1:])) for each in zero]
    assert not call(*[mx.nd.array(each) for each in agreeing + zero]).asnumpy().any()
    h = some(9, 5)
    with autograd.record():
        loss = call(*[mx.nd.array(each) for each in masked + zero])
    loss.backward(mx.nd.array(h))
    for place, own in enumerate((block.bias0, block.bias1)):
        expected = differences(layerwise, [*masked, *zero, *biases], 4 + place, h)
        np.testing.assert_allclose(own.grad().asnumpy(), expected, rtol=1e-3, atol=1e-5)


def zero_path(net: NRM, x: np.ndarray, positions: List[List[Any]]) -> List[np.ndarray]:
    """s0(l) . h0(l) of every layer of a network without norms, written out anew, from the definition.

    The states are a zero image's, the start the sum of all class templates, the ``positions`` the image's.
    """
    y, states, sizes = np.zeros((1, *x.shape[1:]), np.float32), [], []
    for layer, position in zip(net.layers, positions):
        weight, bias = layer.convolution.weight.data(), layer.bias.data()
        channels = weight.shape[0]
        v = mx.nd.Convolution(mx.nd.array(y), weight, bias, kernel=(3, 3), pad=(1, 1), num_filter=channels)
        sizes.append(y.shape[1:])
        states.append(np.where(v.asnumpy() > 0, 1, net.options.slope))
        y = v.asnumpy() * states[-1]
        if position:
            y = y.reshape(1, channels, y.shape[2] // 2, 2, y.shape[3] // 2, 2).max(axis=(3, 5))
    template = net.classifier.weight.data().asnumpy().sum(axis=0)
    h = template.reshape((1, -1, 1, 1)) / (y.shape[2] * y.shape[3]) * np.ones_like(y)
    masked = []
    for layer, position, state, size in reversed(list(zip(net.layers, positions, states, sizes))):
        masked.append((h.repeat(2, 2).repeat(2, 3) if position else h) * state)
        weight = layer.convolution.weight.data()
        window = {"kernel": (3, 3), "pad": (1, 1), "num_filter": weight.shape[0], "no_bias": True}
        routed = masked[-1] * position[0].asnumpy() if position else masked[-1]
        below = np.zeros((len(routed), *size), np.float32)
        (h,) = gradients(lambda F, b, w=weight, o=window: F.Convolution(b, w, **o), [below], [routed])
    return masked[::-1]


@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_layerwise_path_norm_of_a_network(slope: float) -> None:
    net = tiny.build((3, "pool", 4, 3), (2, 6, 8), slope=slope, norm="none", render_norm="none")
    x, label = tiny.images(net), tiny.labels(net)
    joint = net.joint(mx.nd, x, label)
    positions = [layer.latents[1:] for layer in net.infer_layers(x)[0]]
    masked = [each.asnumpy() for each in joint.renderings[0].masked]
    biases = [layer.bias.data().asnumpy() for layer in net.layers]
    expected = layerwise(*masked, *zero_path(net, x.asnumpy(), positions), *biases)
    objective = losses.Objective(net, ["path_norm"])
    found = tiny.terms_of(objective, x, label)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_mode_path_norm() -> None:
    code, class_bias = np.eye(3, dtype=np.float32)[[0, 2, 1, 0]], some(1, 3)
    rest = [some(2, 3), some(3, 2), some(4, 4, 3, 2, 2), some(5, 4, 2, 3, 1)]
    block = losses.ModePathNorm(parameter("log_prior", class_bias))

    def call(logits: Any, *rest: Any) -> Any:
        return block(mx.nd.array(code), logits, list(rest[:2]), list(rest[2:]))

    assert_differentiates(
        call, lambda logits, *rest: mode(code, logits, class_bias, *rest), [some(6, 1, 3), *rest]
    )


@pytest.mark.parametrize(
    "network",
    [dict(layers=(1, "pool", 1), input_shape=(1, 2, 4)), dict(layers=(2, 1), input_shape=(1, 1, 3))],
    ids=["pool", "no_pool"],
)
def test_mode_path_norm_by_enumeration(network: Dict[str, Any]) -> None:
    """max_z eta - eta(z*): never negative, and not 0 throughout."""
    largest = 0.0
    for seed in range(3):
        net = tiny.build(**network, seed=seed, non_negative=True, **MODE)
        x, label = tiny.images(net, 4, seed), tiny.labels(net, 4)
        found = losses.Objective(net, ["path_norm"])(x, label).terms.asnumpy()[0]
        biases = [layer.bias.data() for layer in net.layers]
        for image in range(4):
            joint = net.joint(mx.nd, x[image : image + 1], label[image : image + 1])
            taken = losses.prior_score(mx.nd, biases, joint.renderings[0].routed)
            paths = tiny.every_path(net, joint.inferences[0], int(label[image].asscalar()))
            rendering = net.render(mx.nd, paths.code, paths.inference)
            eta = losses.prior_score(mx.nd, biases, rendering.routed).asnumpy()
            np.testing.assert_allclose(found[image], eta.max() - taken.asscalar(), atol=1e-5)
        assert found.min() > -1e-5
        largest = max(largest, found.max())
    assert largest > 0.01


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_mode_path_norm_of_the_mode_is_zero(norm: str) -> None:
    """A zero image takes the prior's most probable path, whatever the signs; other images do not."""
    net = tiny.build((3, "average_pool", 4), (2, 5, 4), **{**MODE, "norm": norm})
    objective, label = losses.Objective(net, ["path_norm"]), tiny.labels(net)
    x = tiny.images(net)
    np.testing.assert_allclose(objective(mx.nd.zeros_like(x), label).terms.asnumpy(), 0, atol=1e-5)
    found = objective(x, label).terms.asnumpy()
    assert found.min() >= 0 and found.max() > 1e-3
