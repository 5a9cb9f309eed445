"""nrm() of any CNN: it renders the gradient of the class score; the list-built model is a special case."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Tuple

import mxnet as mx
import numpy as np
import pytest
import tiny
from cnns import (
    CLASSES,
    SHAPE,
    SIZES,
    Dense,
    Residual,
    Written,
    around,
    chain,
    dense,
    frozen,
    images,
    of_zoo,
    randomise,
    residual,
)  # fmt: skip
from mxnet import autograd
from mxnet.gluon import HybridBlock, nn

from gluon_nrm.losses import Objective, prior_score
from gluon_nrm.models import NRM, Reconstructor, TracedNRM, nrm
from gluon_nrm.models.interface.parameters import named_parameters

MODE = dict(render_norm="none", path_norm="mode")


def ready(net: HybridBlock, classes: int, shape: Tuple[int, int, int], **options: Any) -> TracedNRM:
    model = nrm(net, classes, shape, **options)
    model.initialize()
    return randomise(model)


def assert_renders_the_gradient(
    net: HybridBlock, classes: int, shape: Tuple[int, int, int], seed: int = 1
) -> TracedNRM:
    """xhat is the gradient of the class score, and score = <xhat, x> + eta + log pi_y; in both branches.

    All of one recorded pass: another one could break ties of pixels that rounding makes otherwise.
    """
    model, x = ready(frozen(net), classes, shape, maxmin=True, **MODE), images(shape, seed=seed)
    code = mx.nd.one_hot(mx.nd.array([1, classes - 1]), classes)
    x.attach_grad()
    for branch in range(2):
        with autograd.record():
            inference = model.infer(x)[branch]
            score = (inference.logits * code).sum(axis=1)
        score.backward()
        drawing = model.render(mx.nd, code, inference, branch)
        expected, found = x.grad.asnumpy(), drawing.image.asnumpy()
        assert np.abs(expected).max() > 1e-6
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
        prior = prior_score(mx.nd, inference.shifts, drawing.routed)
        if model.class_bias is not None:
            prior = prior + mx.nd.dot(code, model.class_bias.data())
        product, value = (drawing.image * x).sum(axis=(1, 2, 3)), score.asnumpy()
        scale = max(np.abs(each).max() for each in (value, product.asnumpy(), prior.asnumpy()))
        np.testing.assert_allclose((product + prior).asnumpy(), value, rtol=1e-4, atol=1e-4 * scale)
    return model


NETWORKS = [
    "gluon.alexnet", "gluon.vgg11", "gluon.vgg11_bn", "gluon.resnet18_v1", "gluon.resnet18_v2",
    "gluon.densenet121", "gluon.squeezenet1.1", "gluon.mobilenet0.25", "gluoncv.cifar_resnet20_v1",
    "gluoncv.resnext50_32x4d", "gluoncv.googlenet", "gluoncv.dla34",
]  # fmt: skip


#: Seeds of the images where those of seed 1 tie: two pixels of a window of GoogLeNet's pool3 round to one
#: value. All that tie win there (``rules.pooling``), and the gradient picks one of them.
WITHOUT_TIES = {"gluoncv.googlenet": 2}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_the_zoos(name: str) -> None:
    net, size = of_zoo(name), SIZES[name]
    model = assert_renders_the_gradient(net, CLASSES, (3, size, size), WITHOUT_TIES.get(name, 1))
    x = images((3, size, size))
    expected = net(x).asnumpy()
    np.testing.assert_allclose(
        model(x).logits_max.asnumpy(), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max()
    )


def learned(function: Callable[..., Any], shape: Tuple[int, ...] = (1, 4, 1, 1)) -> HybridBlock:
    return Written(function, beta=shape)


def pooling(**options: Any) -> Callable[..., Any]:
    return lambda F, x: F.Pooling(x, **options)


#: what stands between two convolutions and a rectifier
MIDDLES: Dict[str, Tuple[Any, ...]] = {
    "sum": (lambda F, x: x + F.relu(x),),
    "sum of many": (lambda F, x: F.add_n(x, F.relu(x), x),),
    "difference": (lambda F, x: x - 0.5 * F.relu(x), nn.Conv2D(3, 2)),
    "opposite": (lambda F, x: -x, nn.Activation("relu"), lambda F, x: F.negative(x), nn.Conv2D(3, 2)),
    "concatenation": (lambda F, x: F.concat(x, F.relu(x), 2 * x, dim=1), nn.Conv2D(3, 1)),
    "concatenation of rows": (lambda F, x: F.concat(x, F.relu(x), dim=2), nn.Conv2D(3, 2)),
    "flattening twice": (lambda F, x: F.reshape(F.flatten(x), (-1, 4, 7, 8)), nn.Conv2D(3, 2)),
    "reshape": (lambda F, x: F.reshape(x, (0, -1, 8, 7)), nn.Conv2D(3, 2)),
    "transposition": (lambda F, x: F.transpose(x, (0, 2, 3, 1)), nn.Conv2D(3, (3, 2))),
    "axes": (lambda F, x: F.squeeze(F.expand_dims(x, axis=2), axis=2),),
    "padding": (
        lambda F, x: F.pad(x, mode="constant", constant_value=0, pad_width=(0, 0, 0, 0, 1, 2, 0, 3)),
        nn.Conv2D(3, 3),
    ),
    "mean": (lambda F, x: F.mean(x, axis=(2, 3)), nn.Dense(5)),
    "adaptive pooling": (lambda F, x: F.contrib.AdaptiveAvgPooling2D(x, output_size=1), nn.Dense(5)),
    "global maximum": (nn.GlobalMaxPool2D(),),
    "global average": (nn.GlobalAvgPool2D(),),
    "global sum": (pooling(kernel=(1, 1), global_pool=True, pool_type="sum"),),
    "max": (nn.MaxPool2D(2), nn.Conv2D(3, 2)),
    "max of rectangles": (nn.MaxPool2D((2, 3)), nn.Conv2D(3, 2)),
    "overlapping max": (nn.MaxPool2D(3, 2, 1), nn.Conv2D(3, 2)),
    "full max": (nn.MaxPool2D(3, 2, ceil_mode=True), nn.Conv2D(3, 2)),
    "max after max": (nn.MaxPool2D(3, 1, 1), nn.Activation("relu"), nn.MaxPool2D(3, 2, 1)),
    "average": (nn.AvgPool2D(2), nn.Conv2D(3, 2)),
    "overlapping average": (nn.AvgPool2D(3, 2, 1), nn.Conv2D(3, 2)),
    "average of pixels": (nn.AvgPool2D(3, 2, 1, count_include_pad=False), nn.Conv2D(3, 2)),
    "full average": (nn.AvgPool2D(3, 2, ceil_mode=True), nn.Conv2D(3, 2)),
    "sum over windows": (pooling(kernel=(3, 2), stride=(2, 1), pad=(1, 0), pool_type="sum"),),
    "groups": (nn.Conv2D(6, 3, groups=2),),
    "depthwise": (nn.Conv2D(4, 3, 2, 1, groups=4), nn.Conv2D(5, 1)),
    "dilated": (nn.Conv2D(3, (3, 2), padding=(2, 1), dilation=(2, 3)),),
    "strides": (nn.Conv2D(3, (3, 2), strides=(3, 2)), nn.Activation("relu"), nn.Conv2D(4, 2)),
    "1x1, strided": (nn.Conv2D(3, 1, 2, use_bias=False), nn.Activation("relu")),
    "leaky": (nn.LeakyReLU(0.2), nn.Conv2D(3, 2)),
    "parametric": (nn.PReLU(), nn.Conv2D(3, 2)),
    "parametric, by channel": (nn.PReLU(in_channels=4), nn.Conv2D(3, 2)),
    "numbers": (lambda F, x: 0.1 - (2 * x - 0.5) / 4 + 0.3, nn.Conv2D(3, 2)),
    "learned factor": (learned(lambda F, x, beta: F.broadcast_mul(x, beta)),),
    "learned factor first": (learned(lambda F, x, beta: F.broadcast_mul(beta, x)),),
    "learned summand": (learned(lambda F, x, beta: F.broadcast_add(x, beta)),),
    "learned summand first": (learned(lambda F, x, beta: F.broadcast_add(beta, x)),),
    "learned, subtracted": (learned(lambda F, x, beta: F.broadcast_sub(x, beta)),),
    "learned, subtracted from": (learned(lambda F, x, beta: F.broadcast_sub(beta, x)),),
    "norm": (nn.BatchNorm(), nn.Activation("relu"), nn.BatchNorm(scale=False), nn.BatchNorm(center=False)),
    "norm of a vector": (nn.Dense(5), nn.BatchNorm(), nn.Activation("relu")),
    "dense layers": (nn.Dense(6), nn.Activation("relu"), nn.Dropout(0.0), nn.Dense(5, use_bias=False)),
    "residual": (Residual(4), Residual(6, 2)),
    "dense block": (Dense(3), Dense(2), nn.AvgPool2D(2)),
}  # fmt: skip


@pytest.mark.parametrize("name", MIDDLES)
def test_operators(name: str) -> None:
    assert_renders_the_gradient(around(*MIDDLES[name]), 3, SHAPE)


@pytest.mark.parametrize("top", ["flatten", "convolution", "no bias"])
def test_classifiers(top: str) -> None:
    """A convolution can classify; then its scores are pooled, and it has no class bias."""
    layers = {
        "flatten": [nn.Flatten(), nn.Dense(3)],
        "convolution": [nn.Conv2D(3, 1), nn.Activation("relu"), nn.GlobalAvgPool2D(), nn.Flatten()],
        "no bias": [nn.GlobalAvgPool2D(), nn.Dense(3, use_bias=False)],
    }[top]
    net = chain(nn.Conv2D(4, 3), nn.Activation("relu"), *layers)
    model = assert_renders_the_gradient(net, 3, SHAPE)
    assert (model.class_bias is not None) == (top == "flatten")


# -- the list-built model ---------------------------------------------------------------------------------


def twin_of(listed: NRM, layers: Tuple[Any, ...], slope: float, **options: Any) -> TracedNRM:
    """The same network written with gluon's layers, then traced, with the list-built one's parameters.

    What comes before the first rectifier is shared there: the Min branch has no first norm of its own.
    """
    first = listed.layers[0].branches
    for kind in ("gamma", "running_mean", "running_var"):
        getattr(first[1].norm, kind).set_data(getattr(first[0].norm, kind).data())
    parts: List[HybridBlock] = []
    for layer in layers:
        if layer == "pool":
            parts.append(nn.MaxPool2D(2))
        elif layer == "average_pool":
            parts.append(nn.AvgPool2D(2))
        else:
            parts += [nn.Conv2D(layer, 3, padding=1, use_bias=False), nn.BatchNorm(), nn.LeakyReLU(slope)]
    net = chain(*parts, nn.GlobalAvgPool2D(), nn.Dense(listed.classes))
    twin = nrm(net, listed.classes, listed.input_shape, **options)
    twin.initialize()
    theirs, depth = named_parameters(listed), len(listed.layers)
    places = [place for place, part in enumerate(parts) if isinstance(part, nn.Conv2D)]
    top = len(parts) + 1
    for name, parameter in named_parameters(twin).items():
        value = theirs[_name_in(name, places, top, depth, name.startswith("inference.min."))].data()
        # both keep the means of negated features; only the traced one has betas of its own for them
        negated = name.startswith("inference.min.") and name.endswith("beta")
        parameter.set_data(-value if negated else value)
    return twin


def _name_in(name: str, places: List[int], top: int, depth: int, minimum: bool) -> str:
    """What the list-built model calls a parameter of its twin."""
    parts = name.split(".")
    kind = parts[-1]
    if parts[0] == "render_norms":  # from the lowest rectifier to the highest, then the image's
        number = int(parts[1])
        below = ".".join(parts[2:])
        if number == depth - 1:
            return f"template_norms.{below}"
        return f"layers.{(number + 1) % (depth + 1)}.render_norms.{below}"
    place = int(parts[-2])
    if place == top:
        return f"classifier.{kind}"
    layer = max(index for index, each in enumerate(places) if each <= place)
    if kind == "weight":
        return f"layers.{layer}.convolution.weight"
    if kind == "beta":
        return f"layers.{layer}.bias"
    if parts[1] == "zero":
        return f"layers.{layer}.zero.norm.{kind}"
    return f"layers.{layer}.branches.{int(minimum)}.norm.{kind}"


def of_a_pass(net: Any, x: mx.nd.NDArray, label: mx.nd.NDArray) -> Dict[str, List[np.ndarray]]:
    """Scores, images and matched maps of one joint pass."""
    joint = net.joint(mx.nd, x, label)
    matched = [maps for branch in joint.matched for side in branch for maps in side]
    groups = {"logits": joint.logits, "images": joint.images, "matched": matched}
    return {name: [each.asnumpy() for each in group] for name, group in groups.items()}


PARITY: List[Tuple[Tuple[Any, ...], Dict[str, Any]]] = [
    ((3, "average_pool", 4, 5), {}),
    ((3, "average_pool", 4, 5), dict(render_norm_branches="separate")),
    ((3, 4), dict(render_norm="none")),
    ((3, "average_pool", 4), MODE),
    ((3, "pool", 4, "pool", 5), dict(MODE)),
    ((3, "pool", 4, "pool", 5), {}),
    ((3, 5, "pool", 4), dict(render_norm="none", path_norm="none")),
]


@pytest.mark.parametrize("train", [False, True], ids=["predict", "train"])
@pytest.mark.parametrize(("layers", "options"), PARITY, ids=str)
def test_the_list_built_model_is_a_special_case(
    layers: Tuple[Any, ...], options: Dict[str, Any], train: bool
) -> None:
    """Layerwise path normalisation with max-pooling aside.

    There the traced network compares the paths at the pooled positions, t . s . h, and the list-built one on
    all pixels, s . h.
    """
    listed = tiny.build(layers, (2, 6, 8), maxmin=True, slope=0.1, **options)
    twin = twin_of(listed, layers, 0.1, maxmin=True, **options)
    x, label = tiny.images(listed), tiny.labels(listed)
    with autograd.train_mode() if train else autograd.predict_mode():
        expected, found = (of_a_pass(net, x, label) for net in (listed, twin))
        terms = ["cross_entropy", "reconstruction", "entropy", "moment_matching"]
        form = listed.options.path_norm
        if form == "mode" or (form == "layerwise" and "pool" not in layers):
            terms.append("path_norm")
        ours, theirs = (tiny.terms_of(Objective(net, terms), x, label) for net in (twin, listed))
    for name, group in expected.items():
        assert len(found[name]) == len(group), name
        for one, other in zip(found[name], group):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5, err_msg=name)
    assert np.abs(theirs).min(axis=1).max() > 1e-3
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


# -- as any network ---------------------------------------------------------------------------------------


def test_no_branch_and_no_rendering_is_the_network() -> None:
    net = residual()
    plain = ready(net, 3, SHAPE)
    x = images(SHAPE)
    found = plain(x)
    assert found.logits_min is None
    np.testing.assert_allclose(found.logits.asnumpy(), net(x).asnumpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("build", [residual, dense], ids=["residual", "dense"])
def test_reconstruction(build: Callable[..., HybridBlock]) -> None:
    """Heads are maps or vectors of one pixel, from the image upwards; the predicted class where none is
    given."""
    model = ready(build(), 3, SHAPE, maxmin=True)
    x = images(SHAPE)
    given, guessed = (
        Reconstructor(model)(x, label) for label in (model(x).logits.argmax(axis=1), mx.nd.array([-1, -1]))
    )
    assert [each.shape for each in given.images] == [x.shape, x.shape]
    channels = [shape[1] for shape in model.plan.shapes]
    assert [[each.shape[1] for each in heads] for heads in given.features] == [channels] * 2
    for one, other in zip(given.images + given.features[1], guessed.images + guessed.features[1]):
        np.testing.assert_array_equal(one.asnumpy(), other.asnumpy())
    assert np.abs((given.images[0] - given.images[1]).asnumpy()).max() > 1e-3


def test_saving(tmp_path: Any) -> None:
    model, x = ready(residual(), 3, SHAPE, maxmin=True), images(SHAPE)
    model.save_parameters(str(tmp_path / "nrm.params"))
    again = nrm(residual(), 3, SHAPE, maxmin=True)
    again.load_parameters(str(tmp_path / "nrm.params"))
    np.testing.assert_array_equal(model(x).logits.asnumpy(), again(x).logits.asnumpy())
    label = mx.nd.array([0, 1])
    for one, other in zip(*(Reconstructor(each)(x, label).images for each in (model, again))):
        np.testing.assert_array_equal(one.asnumpy(), other.asnumpy())


@pytest.mark.filterwarnings("ignore:Parameter .* is already initialized")
def test_an_initialised_network_keeps_its_parameters() -> None:
    net, x = residual(), images(SHAPE)
    net.initialize()
    net(x)
    randomise(net)
    expected = net(x).asnumpy()
    model = nrm(net, 3, SHAPE, maxmin=True)
    model.initialize()
    np.testing.assert_allclose(model(x).logits_max.asnumpy(), expected, rtol=1e-5, atol=1e-5)
