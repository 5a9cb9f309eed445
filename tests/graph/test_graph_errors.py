"""What cannot be traced, split into branches or rendered through: a ModelError that names the culprit."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import pytest
from cnns import SHAPE, Written, around, chain, images, of_zoo, randomise, residual
from mxnet.gluon import Block, HybridBlock, nn

from gluon_nrm.errors import ModelError
from gluon_nrm.models import MaxMin, get_model, maxmin, nrm

Builder = Callable[[], Block]


class Plain(Block):
    def forward(self, x: Any) -> Any:
        return x


def within(*middle: Any) -> Builder:
    return lambda: around(*middle)


def alone(function: Callable[..., Any], **shapes: Tuple[int, ...]) -> Builder:
    return lambda: Written(function, **shapes)


UNTRACEABLE: List[Tuple[str, Builder, str]] = [
    ("a plain block", Plain, r"Plain 'plain\d+' is not a HybridBlock.*derive it from gluon.HybridBlock"),
    ("shape", within(lambda F, x: F.reshape(x, (x.shape[0], -1))), "'shape'.*no x.shape"),
    ("two inputs", alone(lambda F, x, y: F.relu(x)), "Written 'written.*missing 1 required.*one input"),
    ("two outputs", alone(lambda F, x: (F.relu(x), F.relu(-x))), "Written '.*' has 2 outputs"),
    (
        "an operator of two outputs",
        alone(lambda F, x: F.SliceChannel(F.relu(x), num_outputs=2)), "has 2 outputs.*pick",
    ),
    ("image ignored", alone(lambda F, x, w: F.relu(w), w=(1, 3)), "Written '.*' does not use its input"),
    ("a free variable", within(lambda F, x: F.broadcast_add(x, F.var("lonely"))), "variable 'lonely'"),
    (
        "linear", lambda: chain(nn.Conv2D(3, 3), nn.GlobalAvgPool2D(), nn.Dense(3)),
        r"dense\d+_fwd \(FullyConnected\): no ReLU",
    ),
    ("argmax", within(lambda F, x: F.argmax(x, axis=1)), r"_argmax0 \(argmax\): there is no rule"),
    ("sort", within(lambda F, x: F.sort(x)), r"_sort0 \(sort\): there is no rule"),
]  # fmt: skip


def pad(mode: str = "constant", value: float = 0) -> Callable[..., Any]:
    widths = (0, 0, 0, 0, 1, 1, 1, 1)
    return lambda F, x: F.pad(x, mode=mode, constant_value=value, pad_width=widths)


def added(*shape: int) -> HybridBlock:
    return Written(lambda F, x, w: F.broadcast_add(x, w), w=shape)


UNRENDERABLE: List[Tuple[str, Builder, str]] = [
    ("gate", within(lambda F, x: x * F.relu(x)), r"mul0 \(elemwise_mul\) multiplies two feature maps"),
    ("swish", within(nn.Swish()), r"swish\d+_fwd \(sigmoid\) has no transpose"),
    ("sigmoid", within(nn.Activation("sigmoid")), r"sigmoid\d+_fwd \(Activation\) is not piecewise linear"),
    ("ELU", within(nn.ELU()), r"\(LeakyReLU\) is not piecewise linear"),
    ("clip", within(lambda F, x: F.clip(x, 0, 6)), r"_clip0 \(clip\) has no transpose"),
    ("softmax", within(lambda F, x: F.softmax(x, axis=1)), r"_softmax0 \(softmax\) has no transpose"),
    (
        "1-D convolution", within(lambda F, x: F.reshape(x, (0, 0, -1)), nn.Conv1D(3, 3)),
        r"conv\d+_fwd \(Convolution\) is not two-dimensional",
    ),
    ("rows normalised", within(nn.BatchNorm(axis=2)), r"batchnorm\d+_fwd \(BatchNorm\) does not normalise"),
    ("edge padding", within(pad("edge")), r"_pad0 \(Pad\) does not pad height and width with zeros"),
    ("padding with ones", within(pad(value=1)), r"_pad0 \(Pad\) does not pad height and width with zeros"),
    (
        "adaptive pooling", within(lambda F, x: F.contrib.AdaptiveAvgPooling2D(x, output_size=2)),
        r"AdaptiveAvgPooling2D\) pools to more than one pixel",
    ),
    ("a map added", within(added(1, 4, 7, 8)), r"_add0 \(broadcast_add\) adds something other than one"),
    ("one number added", within(added(1, 1, 1, 1)), r"_add0 \(broadcast_add\) adds something other than one"),
    ("mean of channels", within(lambda F, x: F.mean(x, axis=1, keepdims=True)), r"\(mean\) is not a mean"),
    (
        "l2 pooling", within(lambda F, x: F.Pooling(x, kernel=(2, 2), pool_type="lp", p_value=2)),
        r"_pooling0 \(Pooling\) pools in a way",
    ),
    ("deconvolution", within(nn.Conv2DTranspose(3, 3)), r"\(Deconvolution\) has no transpose"),
    (
        "a mean spread", within(lambda F, x: F.broadcast_add(x, F.mean(x, axis=(2, 3), keepdims=True))),
        r"_add0 \(broadcast_add\) spreads a feature map|\(mean\)",
    ),
    ("a dense layer of rows", within(nn.Dense(5, flatten=False)), r"dense\d+_fwd \(FullyConnected\) is appl"),
    ("layer norm", within(nn.LayerNorm()), r"\(LayerNorm\) has no transpose"),
    ("SE network", lambda: of_zoo("gluoncv.se_resnet18_v1"), r"sigmoid0_fwd \(Activation\) is not piecewise"),
    ("pooled away", within(nn.MaxPool2D(3), nn.MaxPool2D(3)), r"2x7x8 .* go through.*pool\d+_fwd.*kernel"),
    ("fewer classes", lambda: around(classes=2), "returns 2 an image where there are 3 classes"),
    ("maps", lambda: chain(nn.Conv2D(3, 3), nn.Activation("relu")), "returns 3x5x6 an image where there"),
]  # fmt: skip


def message_of(call: Callable[[], Any], pattern: str) -> str:
    with pytest.raises(ModelError, match=f"(?s){pattern}") as error:
        call()
    message = str(error.value)
    assert len(message.splitlines()) <= 2
    assert ".cc:" not in message
    return message


@pytest.mark.parametrize(("name", "build", "pattern"), UNTRACEABLE)
def test_untraceable(name: str, build: Builder, pattern: str) -> None:
    """By both functions, in the same words."""
    net = build()
    assert message_of(lambda: maxmin(net), pattern) == message_of(lambda: nrm(net, 3, SHAPE), pattern)


@pytest.mark.parametrize(("name", "build", "pattern"), UNRENDERABLE)
def test_unrenderable(name: str, build: Builder, pattern: str, capfd: pytest.CaptureFixture) -> None:
    """Max-Min takes most of them, as the message says; MXNet prints nothing besides."""
    classes, shape = (10, (3, 32, 32)) if name == "SE network" else (3, SHAPE)
    message = message_of(lambda: nrm(build(), classes, shape), pattern)
    assert "infer_shape" not in capfd.readouterr().out
    if "maxmin" in message:
        assert isinstance(maxmin(build()), MaxMin)


def test_no_such_gates() -> None:
    message_of(lambda: maxmin(around(), gates="mirror"), "gates: 'mirror' is not one of negated, released")


def test_images_too_small_for_maxmin() -> None:
    """Said at the first call with them; larger ones go through before and after."""
    net = around(nn.MaxPool2D(3), nn.GlobalMaxPool2D())
    both = maxmin(net)
    both.initialize()
    for hybridise in (False, True):
        both.hybridize(hybridise)
        expected = both(images(SHAPE)).logits_min.asnumpy()
        message_of(lambda: both(images((2, 2, 2))), r"images of 2x2x2 .* do not go through.*pool\d+_fwd")
        message_of(lambda: both(images((5, 7, 8))), r"images of 5x7x8 .* do not go through.*conv\d+_fwd")
        np.testing.assert_array_equal(both(images(SHAPE)).logits_min.asnumpy(), expected)


NAMED: List[Tuple[Dict[str, Any], str]] = [
    (dict(name="gluon.resnet81_v1"), "gluon has no network 'resnet81_v1'; did you mean gluon.resnet18_v1"),
    (
        dict(name="gluoncv.cifar_resnet2_v1"),
        "gluoncv has no network 'cifar_resnet2_v1'; did you mean gluoncv.cifar_resnet20_v1",
    ),
    (dict(name="keras.resnet"), "model.name: there is no model 'keras.resnet'; .*list_models"),
    (dict(slope=0.2), "model.slope: gluon.resnet18_v1 has layers of its own"),
    (dict(norm="none"), "model.norm: gluon.resnet18_v1 has layers of its own"),
    (dict(dropout=0.2), "model.dropout: gluon.resnet18_v1 has layers of its own"),
    (dict(channels=[3, "pool"]), "model.channels: gluon.resnet18_v1 has layers of its own"),
    (dict(gates="mirror"), "model.gates: 'mirror' is not a choice; valid here: negated, released"),
    (dict(classes=1), "at least 2 classes, not 1"),
    (dict(name="gluon.densenet121"), "images of 3x32x32 .* do not go through"),
    (dict(name="gluon.densenet121", render=False), "images of 3x32x32 .* do not go through"),
    (dict(name="gluoncv.se_resnet18_v1"), "Activation.*cannot render through it.*maxmin"),
    (dict(path_norm="mode"), "set model.render_norm to none"),
]


@pytest.mark.parametrize(("change", "pattern"), NAMED, ids=[str(change) for change, _ in NAMED])
def test_mistakes_in_a_recipes_model(change: Dict[str, Any], pattern: str) -> None:
    model = {"name": "gluon.resnet18_v1", "classes": 10, "input_shape": (3, 32, 32), **change}
    message_of(lambda: get_model(**model), pattern)


def test_after_an_error_the_network_is_what_it_was() -> None:
    net, x = residual(), images(SHAPE)
    net.initialize()
    net(x)
    randomise(net)
    expected, names = net(x).asnumpy(), set(net._collect_params_with_prefix())
    before = {name: p.data().asnumpy() for name, p in net._collect_params_with_prefix().items()}
    message_of(lambda: nrm(net, 4, SHAPE, maxmin=True), "returns 3 an image")
    message_of(lambda: nrm(net, 3, (5, 7, 8), maxmin=True), "do not go through")
    message_of(lambda: maxmin(net, gates="none"), "gates")
    gate = chain(net, lambda F, x: x * F.softmax(x))
    message_of(lambda: nrm(gate, 3, SHAPE), "softmax")
    assert set(net._collect_params_with_prefix()) == names
    for name, parameter in net._collect_params_with_prefix().items():
        np.testing.assert_array_equal(parameter.data().asnumpy(), before[name], err_msg=name)
        assert len(parameter.list_ctx()) == 1
    np.testing.assert_array_equal(net(x).asnumpy(), expected)
    np.testing.assert_array_equal(maxmin(net)(x).logits_max.asnumpy(), expected)


def test_an_unused_network_is_not_initialised_by_an_error() -> None:
    net = around()
    message_of(lambda: nrm(net, 5, SHAPE), "returns 3 an image")
    with pytest.raises(RuntimeError, match="has not been initialized"):
        net(images(SHAPE))
    net.initialize()
    assert net(images(SHAPE)).shape == (2, 3)


def test_a_size_that_was_refused_is_not_kept() -> None:
    """The dense layer's width is still open after an error, and after a look at small images."""
    net = around()
    message_of(lambda: nrm(net, 5, SHAPE), "returns 3 an image")
    model = nrm(net, 3, (2, 5, 5))
    model.initialize()
    assert model(images((2, 5, 5))).logits.shape == (2, 3)
