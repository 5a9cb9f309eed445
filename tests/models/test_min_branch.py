"""The Min branch on small networks: against a Min network written by hand, and as the negated Max branch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Tuple

import mxnet as mx
import numpy as np
import pytest
from cnns import (
    SHAPE,
    MixedPair,
    Residual,
    Written,
    around,
    images,
    learned,
    norms_of_max,
    of_zoo,
    randomise,
    residual,
    scores,
    with_min,
)
from mxnet import autograd
from mxnet.gluon import HybridBlock, nn

from gluon_nrm.models import MaxMin, maxmin


def squeeze_and_excite(F: Any, x: Any, weight0: Any, weight1: Any) -> Any:
    pooled = F.flatten(F.contrib.AdaptiveAvgPooling2D(x, output_size=1))
    hidden = F.relu(F.FullyConnected(pooled, weight0, no_bias=True, num_hidden=2))
    gate = F.sigmoid(F.FullyConnected(hidden, weight1, no_bias=True, num_hidden=4))
    return F.broadcast_mul(x, F.reshape(gate, (0, 0, 1, 1)))


def excited() -> HybridBlock:
    return Written(squeeze_and_excite, weight0=(2, 4), weight1=(4, 2))


def attend(F: Any, x: Any) -> Any:
    """Two halves weighed by a softmax over them, as in ResNeSt."""
    halves = F.reshape(x, (0, 2, -1, 7, 8))
    weights = F.softmax(F.mean(halves, axis=(3, 4), keepdims=True), axis=1)
    return F.sum(F.broadcast_mul(halves, weights), axis=1)


NEGATED: Dict[str, Callable[[], HybridBlock]] = {
    "plain": lambda: around(nn.MaxPool2D(3, 2, 1), bias=False),
    "average": lambda: around(nn.Activation("relu"), nn.AvgPool2D(2), bias=False),
    "residual": lambda: around(Residual(4, 1, False, False), Residual(6, 2, False, False), bias=False),
    "concat": lambda: around(lambda F, x: F.concat(x, F.relu(x), F.abs(x) - F.relu(x), dim=1), bias=False),
    "leaky": lambda: around(nn.LeakyReLU(0.2), nn.PReLU(), nn.ELU(), bias=False),
    "squeeze and excitation": lambda: around(excited(), bias=False),
    "swish": lambda: around(nn.Swish(), lambda F, x: x * F.hard_sigmoid(x), bias=False),
    "hard swish": lambda: around(lambda F, x: x * F.clip(x + 3, 0, 6) / 6, bias=False),
    "softmax attention": lambda: around(attend, bias=False),
    "tanh and ReLU6": lambda: around(lambda F, x: F.clip(F.tanh(x) + x, 0, 6), bias=False),
    # the gates are no features and are not negated
    "gates of chance": lambda: around(nn.Activation("relu"), MixedPair(), bias=False),
    "maximum of two": lambda: around(lambda F, x: F.broadcast_maximum(x, 0.5 * x), bias=False),
    "shapes": lambda: around(
        lambda F, x: F.reshape(F.transpose(F.expand_dims(x, axis=1), (0, 1, 2, 4, 3)), (0, -3, -2)),
        bias=False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NEGATED)
def test_without_biases_and_norms_the_min_branch_is_the_negated_max_branch(name: str) -> None:
    """logits_min(x) = -logits_max(-x)."""
    _, both, x = with_min(NEGATED[name](), SHAPE)
    there, back = scores(both, x), scores(both, -x)
    assert np.abs(there[0]).max() > 1e-3
    np.testing.assert_allclose(there[1], -back[0], rtol=1e-6, atol=1e-6)
    assert np.abs(there[0] - there[1]).max() > 1e-3 * np.abs(there[0]).max()


def nrelu(v: Any) -> Any:
    return mx.nd.minimum(v, 0)


def normalise(v: Any, p: Dict[str, Any], name: str) -> Any:
    """A batch norm of the Min branch; its betas and means are those of the negated features."""
    train = autograd.is_training()
    mean = v.mean((0, 2, 3)) if train else -p[f"min.{name}.running_mean"]
    centred = v - mean.reshape((1, -1, 1, 1))
    variance = (centred * centred).mean((0, 2, 3)) if train else p[f"min.{name}.running_var"]
    scale = p[f"min.{name}.gamma"] / mx.nd.sqrt(variance + 1e-5)
    return centred * scale.reshape((1, -1, 1, 1)) - p[f"min.{name}.beta"].reshape((1, -1, 1, 1))


def convolve(v: Any, p: Dict[str, Any], name: str, stride: int = 1, size: int = 3) -> Any:
    weight, bias = p[f"{name}.weight"], p.get(f"{name}.bias")
    given = [v, weight] if bias is None else [v, weight, bias]
    return mx.nd.Convolution(
        *given, kernel=(size, size), pad=(size // 2,) * 2, stride=(stride, stride),
        num_filter=weight.shape[0], no_bias=bias is None,
    )  # fmt: skip


def classify(v: Any, p: Dict[str, Any], name: str) -> Any:
    return mx.nd.FullyConnected(
        v, p[f"{name}.weight"], p[f"{name}.bias"], num_hidden=p[f"{name}.bias"].shape[0]
    )


def in_the_middle(middle: Callable[[Any, Dict[str, Any]], Any], count: int = 1) -> Callable[..., Any]:
    """The Min network of ``around``, of a middle of ``count`` blocks."""

    def by_hand(x: Any, p: Dict[str, Any]) -> Any:
        v = convolve(nrelu(convolve(x, p, "0")), p, "2")
        return classify(nrelu(middle(v, p)), p, str(4 + count))

    return by_hand


def min_pool(v: Any, p: Dict[str, Any]) -> Any:
    """3x3 windows, stride 2, written out."""
    padded = np.pad(v.asnumpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=np.inf)
    rows, columns = (v.shape[2] + 1) // 2, (v.shape[3] + 1) // 2
    parts = [
        padded[:, :, i : i + 2 * rows - 1 : 2, j : j + 2 * columns - 1 : 2]
        for i in range(3)
        for j in range(3)
    ]
    return mx.nd.array(np.min(parts, axis=0))


def min_residual(x: Any, p: Dict[str, Any]) -> Any:
    """The norm of the stem is the network's own."""
    shape = (1, -1, 1, 1)
    v = convolve(x, p, "0")
    mean, variance = (
        (v.mean((0, 2, 3)), None) if autograd.is_training() else (p["1.running_mean"], p["1.running_var"])
    )
    centred = v - mean.reshape(shape)
    variance = (centred * centred).mean((0, 2, 3)) if variance is None else variance
    scale = p["1.gamma"] / mx.nd.sqrt(variance + 1e-5)
    v = nrelu(centred * scale.reshape(shape) + p["1.beta"].reshape(shape))
    for block, stride in (("3", 1), ("4", 2)):
        inner = nrelu(normalise(convolve(v, p, f"{block}.body.0", stride), p, f"{block}.body.1"))
        inner = normalise(convolve(inner, p, f"{block}.body.3"), p, f"{block}.body.4")
        v = nrelu(inner + (v if stride == 1 else convolve(v, p, f"{block}.shortcut", stride, 1)))
    return classify(v.mean((2, 3)), p, "6")


def min_gate(released: bool) -> Callable[..., Any]:
    def middle(v: Any, p: Dict[str, Any]) -> Any:
        hidden = nrelu(mx.nd.dot(v.mean((2, 3)), p["3.weight0"].T))
        before = mx.nd.dot(hidden, p["3.weight1"].T)
        gate = mx.nd.sigmoid(-before)
        return v * (-gate if released else gate).reshape((0, 0, 1, 1))

    return middle


def leaky_pair(v: Any, p: Dict[str, Any]) -> Any:
    v = mx.nd.minimum(v, 0.2 * v)
    return mx.nd.minimum(v, p["4.alpha"].reshape((1, -1, 1, 1)) * v)


BY_HAND: Dict[str, Tuple[Callable[[], HybridBlock], Callable[..., Any]]] = {
    "residual with norms": (residual, min_residual),
    "max-pooling": (lambda: around(nn.MaxPool2D(3, 2, 1)), in_the_middle(min_pool)),
    "leaky and parametric": (
        lambda: around(nn.LeakyReLU(0.2), nn.PReLU()), in_the_middle(leaky_pair, 2),
    ),
    "numbers": (
        lambda: around(lambda F, x: 0.1 - (x + 0.5) / 2 - 0.3),
        in_the_middle(lambda v, p: 0.1 - (v + 0.5) / 2 - 0.3),
    ),
    "learned summands": (
        lambda: around(Written(lambda F, x, beta: F.broadcast_sub(F.broadcast_add(x, beta), beta * beta),
                               beta=(1, 4, 1, 1))),
        in_the_middle(lambda v, p: v + p["3.beta"] - p["3.beta"] * p["3.beta"]),
    ),
    "learned factor": (
        lambda: around(Written(lambda F, x, beta: F.broadcast_mul(x, beta), beta=(1, 4, 1, 1))),
        in_the_middle(lambda v, p: v * p["3.beta"]),
    ),
    "hard swish": (
        lambda: around(lambda F, x: x * F.clip(x + 3, 0, 6) / 6),
        in_the_middle(lambda v, p: v * mx.nd.clip(3 - v, 0, 6) / 6),
    ),
    "ReLU6": (
        lambda: around(lambda F, x: F.clip(x, 0, 6)), in_the_middle(lambda v, p: mx.nd.clip(v, -6, 0)),
    ),
    "dropout": (lambda: around(nn.Dropout(0.5)), in_the_middle(lambda v, p: v)),
}  # fmt: skip


def parameters_of(both: MaxMin) -> Dict[str, mx.nd.NDArray]:
    return {name: parameter.data() for name, parameter in both._collect_params_with_prefix().items()}


@pytest.mark.parametrize("name", BY_HAND)
def test_the_min_branch_is_a_min_network_by_hand(name: str) -> None:
    build, by_hand = BY_HAND[name]
    _, both, x = with_min(build(), SHAPE, 4)
    for mode in (autograd.predict_mode, autograd.train_mode):
        if mode is autograd.train_mode and name == "dropout":
            continue
        with mode():
            found, expected = both(x).logits_min.asnumpy(), by_hand(x, parameters_of(both)).asnumpy()
        assert np.abs(expected).max() > 1e-2
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("gates", ["negated", "released"])
def test_gates(gates: str) -> None:
    net = around(excited())
    _, both, x = with_min(net, SHAPE, gates=gates)
    expected = in_the_middle(min_gate(gates == "released"))(x, parameters_of(both)).asnumpy()
    found = both(x)
    np.testing.assert_allclose(found.logits_min.asnumpy(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found.logits_max.asnumpy(), net(x).asnumpy())


def test_released_gates_change_networks_with_gates_alone() -> None:
    """The sigmoids of an SE network, and nothing in one that has none."""
    for name, changes in (("gluoncv.se_resnet18_v1", True), ("gluoncv.cifar_resnet20_v1", False)):
        net = of_zoo(name)
        _, both, x = with_min(net, (3, 32, 32))
        released = maxmin(net, gates="released")
        for own, theirs in zip(learned(released).items(), learned(both).items()):
            assert own[0] == theirs[0]
        for each, parameter in both._collect_params_with_prefix().items():
            released._collect_params_with_prefix()[each].set_data(parameter.data())
        ours, other = scores(both, x), scores(released, x)
        np.testing.assert_array_equal(ours[0], other[0])
        assert (np.abs(ours[1] - other[1]).max() > 1e-3) == changes


@pytest.mark.parametrize("devices", [1, 2])
def test_of_an_initialised_network(devices: int) -> None:
    """The Min norms start as its own, negated: the same affine maps; and nothing has to be initialised."""
    net, context = residual(), [mx.cpu(place) for place in range(devices)]
    net.initialize(ctx=context)
    x = images(SHAPE, 3)
    net(x)
    randomise(net)
    before = scores(net, x)[0]
    both = maxmin(net)
    everything = both._collect_params_with_prefix()
    own = norms_of_max(both)
    assert len(own) == 4 * 4
    for name in own:
        sign = -1 if name.endswith(("beta", "running_mean")) else 1
        assert len(everything[f"min.{name}"].list_data()) == devices
        for copy in everything[f"min.{name}"].list_data():
            np.testing.assert_array_equal(copy.asnumpy(), sign * everything[name].data().asnumpy())
        assert everything[f"min.{name}"].grad_req == everything[name].grad_req
    found = both(x)
    np.testing.assert_array_equal(found.logits_max.asnumpy(), before)
    expected = min_residual(x, parameters_of(both)).asnumpy()
    np.testing.assert_allclose(found.logits_min.asnumpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_layer_that_is_used_twice_is_shared_by_four(tmp_path: Path) -> None:
    """One parameter, however often the network and its branches read it."""
    shared = nn.Conv2D(4, 3, padding=1, in_channels=4)
    net = around(shared, nn.Activation("relu"), shared)
    _, both, x = with_min(net, SHAPE)
    np.testing.assert_array_equal(both(x).logits_max.asnumpy(), net(x).asnumpy())
    by_hand = in_the_middle(lambda v, p: convolve(nrelu(convolve(v, p, "3")), p, "3"), 3)
    expected = by_hand(x, parameters_of(both)).asnumpy()
    np.testing.assert_allclose(both(x).logits_min.asnumpy(), expected, rtol=1e-4, atol=1e-5)
    # files of the network name it twice
    net.save_parameters(str(tmp_path / "net.params"))
    again = maxmin(around(nn.Conv2D(4, 3, padding=1), nn.Activation("relu"), nn.Conv2D(4, 3, padding=1)))
    both.load_parameters(str(tmp_path / "net.params"), allow_missing=True)
    again.load_parameters(str(tmp_path / "net.params"))
    np.testing.assert_array_equal(scores(again, x), scores(both, x))
