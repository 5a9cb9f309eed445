"""The plain networks: every layer and the count of parameters against the papers, gradients, mistakes."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, List, Sequence

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import HybridBlock
from oracle import some

from gluon_nrm import backbones
from gluon_nrm.backbones.initialise import HeNormal
from gluon_nrm.backbones.shake_resnet import TwoPathShortcut
from gluon_nrm.errors import ModelError


def parameter_count(net: HybridBlock) -> int:
    """Numbers that are learned; all shapes are known before the first image."""
    return sum(int(np.prod(p.shape)) for p in net.collect_params().values() if p.grad_req != "null")


# (network, classes, learned numbers, the same in millions as published)
COUNTS = [
    ("shake_resnet26_2x32d", {}, 10, 2_923_162, 2.9),
    ("shake_resnet26_2x64d", {}, 10, 11_653_978, 11.7),
    ("shake_resnet26_2x96d", {}, 10, 26_192_922, 26.2),
    ("resnext29_8x64d", {}, 10, 34_426_698, 34.4),
    # published, cut off: 68.1
    ("resnext29_16x64d", {}, 10, 68_155_210, 68.2),
    # the paper gives 34.4 M, which is the count with 10 classes, as of its base network 8x64d
    ("shake_resnext29_2x4x64d", {}, 10, 34_437_450, 34.4),
    ("shake_resnext29_2x4x64d", {}, 100, 34_529_700, 34.5),
    ("resnext50_32x4d", {}, 1000, 25_028_904, 25.0),
    ("cifar_resnet", {}, 10, 272_474, 0.27),
    ("cifar_resnet", {"blocks": (9, 9, 9)}, 10, 855_770, 0.86),
    ("cifar_densenet", {}, 10, 769_162, 0.8),
    ("cifar_densenet", {"growth_rate": 24, "blocks": (41, 41, 41)}, 10, 15_324_406, 15.3),
    ("cifar_densenet", {"growth_rate": 40, "blocks": (31, 31, 31)}, 10, 25_624_430, 25.6),
]


@pytest.mark.parametrize(("name", "options", "classes", "count", "published"), COUNTS)
def test_parameters_are_as_many_as_published(
    name: str, options: Dict[str, Any], classes: int, count: int, published: float
) -> None:
    assert parameter_count(getattr(backbones, name)(classes, **options)) == count
    digits = 2 if published < 1 and published != 0.8 else 1
    assert round(count / 1e6, digits) == published


def layers(net: HybridBlock, *image: int) -> List[str]:
    """The layers of a traced network in order: ``conv3/2 g4 64`` is 3x3 by steps of 2, 4 groups, 64 maps."""
    graph = net(mx.sym.var("data"))
    internals = graph.get_internals()
    _, shapes, _ = internals.infer_shape(data=(1, *image))
    shape_of = dict(zip(internals.list_outputs(), shapes))
    found = []
    for node in json.loads(graph.tojson())["nodes"]:
        attributes = node.get("attrs", {})
        kernel, stride = (attributes.get(key, "(1, 1)")[1:].split(",")[0] for key in ("kernel", "stride"))
        output = shape_of.get(f"{node['name']}_output", ())
        channels = output[1] if len(output) > 1 else 0
        if node["op"] == "Convolution":
            assert attributes["no_bias"] == "True"
            groups = "" if attributes["num_group"] == "1" else f" g{attributes['num_group']}"
            found.append(f"conv{kernel}/{stride}{groups} {channels}")
        elif node["op"] == "Pooling":
            whole = attributes.get("global_pool") == "True"
            found.append(
                f"global {attributes['pool_type']}"
                if whole
                else f"{attributes['pool_type']}{kernel}/{stride} {output[2]}"
            )
        elif node["op"] in NAMES:
            found.append(NAMES[node["op"]])
            if node["op"] == "BatchNorm":
                assert (float(attributes["eps"]), float(attributes["momentum"])) == (1e-5, 0.9)
        elif node["op"] == "FullyConnected":
            found.append(f"linear {attributes['num_hidden']}")
    return found


NAMES = {
    "BatchNorm": "norm",
    "Activation": "act",
    "LeakyReLU": "act",
    "Concat": "concat",
    "Dropout": "gates",
    "elemwise_add": "add",
    "Pad": "move",
}


def shake_resnet26(width: int) -> List[str]:
    """Gastaldi 2017, Section 2.1, in the order of the graph."""
    expected = ["conv3/1 16", "norm"]
    for stage, channels in enumerate((width, 2 * width, 4 * width)):
        for block in range(4):
            stride = 2 if stage and not block else 1
            expected.append("act")
            if not block:
                size = (32, 16, 8)[stage]
                pool = [f"avg1/2 {size}"] if stride == 2 else []
                half = f"conv1/1 {channels // 2}"
                expected += [*pool, half, "move", *pool, half, "concat", "norm"]
            branch = [f"conv3/{stride} {channels}", "norm", "act", f"conv3/1 {channels}", "norm"]
            expected += [*branch, *branch, "gates", "add"]
    return [*expected, "act", "global avg", "linear 10"]


def resnext(
    stem: Sequence[str], inner: int, groups: int, blocks: Sequence[int], classes: int, branches: int = 1
) -> List[str]:
    """Xie et al. 2017, Table 1 and Section 5.3; with two branches Gastaldi 2017, Section 2.2."""
    expected = list(stem)
    for stage, count in enumerate(blocks):
        wide, out = inner * 2**stage, 256 * 2**stage
        for block in range(count):
            stride = 2 if stage and not block else 1
            if not block:
                expected += [f"conv1/{stride} {out}", "norm"]
            middle = f"conv3/{stride} g{groups} {wide}"
            branch = [f"conv1/1 {wide}", "norm", "act", middle, "norm", "act", f"conv1/1 {out}", "norm"]
            expected += branch * branches + ["gates"] * (branches - 1) + ["add", "act"]
    return [*expected, "global avg", f"linear {classes}"]


def cifar_resnet(blocks: int) -> List[str]:
    """He et al. 2016, Section 4.2, with option B."""
    expected = ["conv3/1 16", "norm", "act"]
    for stage, channels in enumerate((16, 32, 64)):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            shortcut = [f"conv1/2 {channels}", "norm"] if stride == 2 else []
            branch = [f"conv3/{stride} {channels}", "norm", "act", f"conv3/1 {channels}", "norm"]
            expected += [*shortcut, *branch, "add", "act"]
    return [*expected, "global avg", "linear 10"]


def densenet_bc(growth: int, count: int) -> List[str]:
    """Huang et al. 2017, Sections 3 and 4.2."""
    layer = ["norm", "act", f"conv1/1 {4 * growth}", "norm", "act", f"conv3/1 {growth}", "concat"]
    expected, channels = [f"conv3/1 {2 * growth}"], 2 * growth
    for stage in range(3):
        expected += layer * count
        channels += count * growth
        if stage < 2:
            channels //= 2
            expected += ["norm", "act", f"conv1/1 {channels}", f"avg2/2 {(16, 8)[stage]}"]
    return [*expected, "norm", "act", "global avg", "linear 10"]


SMALL_STEM = ["conv3/1 64", "norm", "act"]
LARGE_STEM = ["conv7/2 64", "norm", "act", "max2/2 56"]
ARCHITECTURES: Dict[str, Any] = {
    "shake_resnet26_2x32d": (10, 32, shake_resnet26(32)),
    "shake_resnet26_2x64d": (10, 32, shake_resnet26(64)),
    "shake_resnet26_2x96d": (10, 32, shake_resnet26(96)),
    "shake_resnext29_2x4x64d": (100, 32, resnext(SMALL_STEM, 256, 4, (3, 3, 3), 100, branches=2)),
    "resnext29_8x64d": (10, 32, resnext(SMALL_STEM, 512, 8, (3, 3, 3), 10)),
    "resnext29_16x64d": (10, 32, resnext(SMALL_STEM, 1024, 16, (3, 3, 3), 10)),
    "resnext50_32x4d": (1000, 224, resnext(LARGE_STEM, 128, 32, (3, 4, 6, 3), 1000)),
    "cifar_resnet": (10, 32, cifar_resnet(3)),
    "cifar_densenet": (10, 32, densenet_bc(12, 16)),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_layer(name: str) -> None:
    classes, size, expected = ARCHITECTURES[name]
    assert layers(getattr(backbones, name)(classes), 3, size, size) == expected


@pytest.mark.parametrize("stride", [1, 2])
def test_the_second_path_sees_the_image_moved_down_and_right(stride: int) -> None:
    shortcut = TwoPathShortcut(3, 8, stride)
    shortcut.initialize()
    x = some(1, 2, 3, 6, 4)
    moved = np.zeros_like(x)
    moved[:, :, 1:, 1:] = x[:, :, :-1, :-1]
    paths = zip((shortcut.straight, shortcut.moved), (x, moved))
    expected = [
        np.einsum("oi,bihw->bohw", path.weight.data().asnumpy()[:, :, 0, 0], seen[:, :, ::stride, ::stride])
        for path, seen in paths
    ]
    found = shortcut(mx.nd.array(x)).asnumpy() * np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), rtol=1e-4, atol=1e-6)


SMALL: Dict[str, Callable[..., HybridBlock]] = {
    "shake_resnet": lambda **o: backbones.shake_resnet(4, 1, stem=8, width=16, blocks=(1, 2), **o),
    "shake_resnext": lambda **o: backbones.shake_resnext(4, 1, 8, cardinality=2, width=4, blocks=(2, 1), **o),
    "resnext": lambda **o: backbones.resnext(4, 1, 8, cardinality=4, width=2, blocks=(2, 1), **o),
    "resnext50": lambda **o: backbones.resnext50_32x4d(4, 1, 8, cardinality=2, blocks=(1, 1), **o),
    "cifar_resnet": lambda **o: backbones.cifar_resnet(4, 1, width=16, blocks=(2, 1), **o),
    "cifar_densenet": lambda **o: backbones.cifar_densenet(4, 1, growth_rate=8, blocks=(2, 3), **o),
}


def images() -> mx.nd.NDArray:
    return mx.nd.array(some(1, 6, 1, 8, 8))


@pytest.mark.parametrize("slope", [0.0, 0.1])
@pytest.mark.parametrize("name", SMALL)
def test_traced_as_eager_and_every_parameter_learns(name: str, slope: float) -> None:
    """Training steps run eagerly and traced; between them the logits of both agree in evaluation."""
    net = SMALL[name](slope=slope)
    net.initialize(backbones.initialiser("he", slope))
    x = images()
    for form in ("eager", "traced"):
        if form == "traced":
            eager = net(x).asnumpy()
            net.hybridize(static_alloc=True, static_shape=True)
            np.testing.assert_allclose(net(x).asnumpy(), eager, rtol=1e-5, atol=1e-6)
        for parameter in net.collect_params().values():
            if parameter.grad_req != "null":
                parameter.zero_grad()
        with autograd.record():
            loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()(net(x), mx.nd.array([0, 1, 2, 3, 0, 1]))
        loss.backward()
        mx.nd.waitall()
        assert net(x).shape == (6, 4)
        for parameter in net.collect_params().values():
            if parameter.grad_req != "null":
                assert np.abs(parameter.grad().asnumpy()).max() > 0, (form, parameter.name)


@pytest.mark.parametrize("form", ["eager", "traced"])
@pytest.mark.parametrize("blocks", [(2, 3), (3, 3), (3, 2, 2)])
@pytest.mark.parametrize("growth_rate", [4, 12, 16, 40])
def test_any_growth_rate_trains(growth_rate: int, blocks: Sequence[int], form: str) -> None:
    """MXNet cannot take the gradient of a concatenation across its blocks of 16 feature maps by itself."""
    net = backbones.cifar_densenet(4, 1, growth_rate, blocks)
    net.initialize(backbones.initialiser())
    if form == "traced":
        net.hybridize(static_alloc=True, static_shape=True)
    for x in (images(), images()[:3], images()):
        with autograd.record():
            y = net(x)
        y.backward()
    mx.nd.waitall()


def test_the_slope_is_that_of_every_activation() -> None:
    for name, build in SMALL.items():
        nodes = json.loads(build(slope=0.2)(mx.sym.var("data")).tojson())["nodes"]
        slopes = [node["attrs"]["slope"] for node in nodes if node["op"] == "LeakyReLU"]
        assert slopes, name
        assert set(slopes) == {"0.2"}, name
        assert all(node["op"] != "Activation" for node in nodes), name


def test_names_of_parameters_depend_on_the_network_alone() -> None:
    names = []
    for _ in range(2):
        net = SMALL["shake_resnext"]()
        names.append([name[len(net.prefix) :] for name in net.collect_params()])
        assert all(name.startswith(net.prefix) for name in net.collect_params())
    assert names[0] == names[1]


def test_he_normal() -> None:
    """Standard deviation by fan out and fan in; a group sees its own channels; the classifier is uniform."""
    weight = mx.nd.zeros((64, 32, 3, 3))  # 64 maps of groups of 32 channels
    for fan, slope, expected in (
        ("out", 0.0, np.sqrt(2 / (9 * 64))),
        ("in", 0.0, np.sqrt(2 / (9 * 32))),
        ("out", 0.5, np.sqrt(2 / 1.25 / (9 * 64))),
    ):
        HeNormal(fan, slope)(mx.init.InitDesc("conv0_weight"), weight)
        values = weight.asnumpy()
        assert abs(values.mean()) < 5 * expected / np.sqrt(values.size)
        assert values.std() == pytest.approx(expected, rel=5 / np.sqrt(2 * values.size))
        # normal: the fourth moment is 3 variances squared
        assert (values**4).mean() / values.var() ** 2 == pytest.approx(3, rel=0.15)
    linear = mx.nd.zeros((10, 400))
    HeNormal()(mx.init.InitDesc("dense0_weight"), linear)
    values = np.abs(linear.asnumpy())
    assert 0.049 < values.max() <= 0.05
    assert values.mean() == pytest.approx(0.025, rel=0.05)


def test_initialiser_leaves_norms_and_biases_to_themselves() -> None:
    net = SMALL["cifar_resnet"]()
    net.initialize(backbones.initialiser())
    for name, parameter in net.collect_params().items():
        kind, values = name.rsplit("_", 1)[1], parameter.data().asnumpy()
        if kind in ("gamma", "beta", "bias"):
            assert (values == (kind == "gamma")).all()
        elif kind == "weight":
            assert values.std() > 0


BAD = [
    ("shake_resnet", dict(classes=1), "classes: a classifier needs at least 2 classes, found 1"),
    ("cifar_resnet", dict(classes=2.5), "found 2.5"),
    ("cifar_resnet", dict(in_channels=0), "in_channels: must be an integer of at least 1, found 0"),
    ("cifar_densenet", dict(blocks=()), "blocks: must list the blocks of each stage"),
    ("cifar_densenet", dict(blocks=(2, 0)), r"e.g. \[3, 3, 3\]; found \(2, 0\)"),
    ("resnext", dict(blocks=3), "found 3"),
    ("resnext", dict(slope=1.0), "slope: must be at least 0"),
    ("resnext", dict(slope=float("nan")), "found nan"),
    ("resnext", dict(cardinality=0), "cardinality: must be an integer"),
    ("resnext50_32x4d", dict(width=True), "width: must be an integer of at least 1, found True"),
    ("shake_resnext", dict(stem="16"), "stem: must be an integer of at least 1, found '16'"),
    ("shake_resnext", dict(level="pixel"), "level: 'pixel' is not a choice"),
    ("shake_resnet", dict(forward="shaken"), "forward: 'shaken' is not a choice"),
    ("shake_resnet", dict(width=15), "but 15 is odd; give an even width"),
    ("cifar_resnet", dict(width=0), "width: must be"),
    ("cifar_densenet", dict(growth_rate=0), "growth_rate: must be"),
    ("cifar_densenet", dict(compression=0), "compression: must be above 0 and at most 1, found 0"),
    ("cifar_densenet", dict(growth_rate=1, blocks=(1, 1), compression=0.1), "leaves no feature map"),
    ("initialiser", dict(name="hee"), "no initialiser 'hee'; give one of he, he_fan_in"),
]


@pytest.mark.parametrize(("name", "change", "message"), BAD, ids=[f"{n} {c}" for n, c, _ in BAD])
def test_mistakes_are_model_errors(name: str, change: Dict[str, Any], message: str) -> None:
    arguments = change if name == "initialiser" else {"classes": 10, **change}
    with pytest.raises(ModelError, match=message) as error:
        getattr(backbones, name)(**arguments)
    assert len(str(error.value).splitlines()) <= 2
