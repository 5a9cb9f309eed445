"""Architectures as published, the registry, initialisation and the names of parameters."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, Dict, List, Tuple

import mxnet as mx
import numpy as np
import pytest
import tiny

from gluon_nrm.errors import ModelError
from gluon_nrm.layers.normalisation import BatchNorm, InstanceNorm
from gluon_nrm.models import (
    NRM,
    LayerSpec,
    Prediction,
    architecture_of,
    get_architecture,
    get_model,
    initialise,
    list_models,
    register_model,
    registry,
)
from gluon_nrm.models.interface.parameters import named_parameters

CIFAR, MNIST, DIGITS = (3, 32, 32), (1, 28, 28), (1, 8, 8)
CHANNELS = (32, 32, "pool", 64, 64)

#: (channels, kernel, pad, pool, dropout) of every layer, and (channels, height, width) after it
PUBLISHED: Dict[str, Tuple[Tuple[int, int, int], List[Tuple], List[Tuple[int, int, int]]]] = {
    "allconv13": (
        CIFAR,
        [
            (128, 3, 1, 1, 0), (128, 3, 1, 1, 0), (128, 3, 1, 2, 0.5), (256, 3, 1, 1, 0), (256, 3, 1, 1, 0),
            (256, 3, 1, 2, 0.5), (512, 3, 0, 1, 0), (256, 3, 1, 1, 0), (128, 3, 1, 1, 0),
        ],
        [
            (128, 32, 32), (128, 32, 32), (128, 16, 16), (256, 16, 16), (256, 16, 16),
            (256, 8, 8), (512, 6, 6), (256, 6, 6), (128, 6, 6),
        ],
    ),
    "lenet_small": (
        MNIST,
        [(32, 5, 4, 2, 0), (64, 3, 0, 1, 0), (64, 3, 2, 2, 0), (128, 3, 0, 1, 0)],
        [(32, 16, 16), (64, 14, 14), (64, 8, 8), (128, 6, 6)],
    ),
    "lenet_small_256": (
        MNIST,
        [(32, 5, 4, 2, 0), (64, 3, 0, 1, 0), (64, 3, 2, 2, 0), (256, 3, 0, 1, 0)],
        [(32, 16, 16), (64, 14, 14), (64, 8, 8), (256, 6, 6)],
    ),
}  # fmt: skip


def blocks(net: mx.gluon.Block, kind: type) -> List[Any]:
    found: List[Any] = []
    net.apply(lambda block: found.append(block) if isinstance(block, kind) else None)
    return found


def count(net: NRM, pattern: str) -> int:
    named = named_parameters(net).items()
    return sum(int(np.prod(p.shape)) for name, p in named if re.search(pattern, name))


def operators(symbols: Any) -> Counter:
    """How often each operator stands in a traced graph."""
    graph = mx.sym.Group([each for each in symbols if each is not None])
    return Counter(node["op"] for node in json.loads(graph.tojson())["nodes"])


@pytest.mark.parametrize("name", PUBLISHED)
def test_architectures_are_the_published_ones(name: str) -> None:
    shape, layers, sizes = PUBLISHED[name]
    assert get_architecture(name) == tuple(LayerSpec(*layer) for layer in layers)
    net = get_model(name, 10, shape)
    assert [(spec[0], *layer.output_size) for spec, layer in zip(layers, net.layers)] == sizes
    _, shapes, _ = net(mx.sym.var("data")).logits.infer_shape(data=(4, *shape))
    assert shapes == [(4, 10)]


def test_sizes_of_allconv13() -> None:
    plain, maxmin = get_model("allconv13", 10, CIFAR), get_model("allconv13", 10, CIFAR, maxmin=True)
    for net in (plain, maxmin):
        assert count(net, r"(convolution\.weight|classifier\.(weight|bias))$") == 4_428_426
        assert count(net, r"^layers\..*\.bias$") == 2_048
    assert [len(blocks(net, BatchNorm)) for net in (plain, maxmin)] == [19, 28]
    assert len(blocks(plain, InstanceNorm)) == 18
    assert not any(name.endswith("beta") for name in named_parameters(plain) if "branches.0.norm" in name)
    separate = get_model("allconv13", 10, CIFAR, maxmin=True, render_norm_branches="separate")
    assert len(blocks(separate, BatchNorm)) == 38


def test_released_bias_adds_a_beta_to_every_inference_norm() -> None:
    ours, released = tiny.build(), tiny.build(released_bias=True)
    extra = set(named_parameters(released)) - set(named_parameters(ours))
    assert extra == {f"layers.{i}.{n}.norm.beta" for i in range(2) for n in ("branches.0", "zero")}


def test_registry_lists_by_wildcard() -> None:
    registered = {*registry._ARCHITECTURES, *registry._NETWORKS, *registry._CLASSIFIERS}
    assert list_models() == sorted(registered)
    assert {"allconv13", "digits_cnn", "shake_resnet26_2x96d", "se_resnext50_32x4d"} < set(list_models())
    assert list_models("lenet*") == ["lenet_small", "lenet_small_256"]
    assert list_models("LENET*") == []


def test_registering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_ARCHITECTURES", dict(registry._ARCHITECTURES))

    @register_model
    def my_own() -> Tuple[LayerSpec, ...]:
        return (LayerSpec(2),)

    assert "my_own" in list_models()
    assert len(get_model("my_own", 3, DIGITS).layers) == 1
    with pytest.raises(ModelError, match="'my_own' is registered already"):
        register_model(my_own)


def test_list_of_channels() -> None:
    expected = (LayerSpec(8, pool=2), LayerSpec(16), LayerSpec(4, pool=2))
    assert architecture_of([8, "pool", 16, 4, "pool"]) == expected
    averaging = (LayerSpec(8, pool=2, average=True), LayerSpec(4))
    assert architecture_of([8, "average_pool", 4]) == averaging
    net = get_model("allconv13", 5, (2, 9, 7), channels=[8, "pool", 16, 4, "pool"], dropout=0.25)
    assert [layer.convolution.weight.shape for layer in net.layers] == [
        (8, 2, 3, 3),
        (16, 8, 3, 3),
        (4, 16, 3, 3),
    ]
    assert [layer.output_size for layer in net.layers] == [(4, 3), (4, 3), (2, 1)]
    assert net.stochastic
    assert not get_model("allconv13", 5, CIFAR, dropout=0.0).stochastic
    assert get_model("allconv13", 5, CIFAR).stochastic


def test_predictions_have_names() -> None:
    plain, maxmin = tiny.build(), tiny.build(maxmin=True, alpha_max=0.25, alpha_min=0.75)
    x = tiny.images(plain)
    found = plain(x)
    assert isinstance(found, Prediction)
    assert found.logits_min is None
    np.testing.assert_array_equal(found.logits.asnumpy(), found.logits_max.asnumpy())
    mixed = maxmin(x)
    logits_max, logits_min = mixed.logits_max.asnumpy(), mixed.logits_min.asnumpy()
    assert np.abs(logits_max - logits_min).max() > 0.01
    np.testing.assert_allclose(mixed.logits.asnumpy(), 0.25 * logits_max + 0.75 * logits_min, rtol=1e-5)


def test_the_max_branch_is_the_network_without_min_branch() -> None:
    plain, maxmin = tiny.build(), tiny.build(maxmin=True)
    own = named_parameters(maxmin)
    for name, parameter in named_parameters(plain).items():
        own[name].set_data(parameter.data())
    x = tiny.images(plain)
    np.testing.assert_array_equal(plain(x).logits.asnumpy(), maxmin(x).logits_max.asnumpy())


def test_the_branches_share_the_first_convolution() -> None:
    for maxmin, expected in ((False, 4), (True, 7)):  # four layers; the other three run in each branch
        net = tiny.build((2, 3, "pool", 2, 3), maxmin=maxmin)
        assert operators(net(mx.sym.var("data")))["Convolution"] == expected


def test_initialisation() -> None:
    net = initialise(get_model("digits_cnn", 10, DIGITS, CHANNELS, maxmin=True, released_bias=True), seed=3)
    arrays = {name: p.data().asnumpy() for name, p in named_parameters(net).items()}
    for name, value in arrays.items():
        kind = name.rsplit(".", 1)[-1]
        if kind == "weight":  # uniform within +- sqrt(3 / mean of fan-in and fan-out)
            fans = (value.shape[0] + value.shape[1]) / 2 * np.prod(value.shape[2:])
            bound = np.sqrt(3 / fans)
            assert 0.97 * bound < np.abs(value).max() <= bound, name
            np.testing.assert_allclose(value.std(), bound / np.sqrt(3), rtol=0.1)
        elif kind in ("bias", "beta", "running_mean"):
            assert not value.any(), name
        elif kind == "running_var":
            assert (value == 1).all(), name
    gammas = np.concatenate([value for name, value in arrays.items() if name.endswith("gamma")])
    assert len(gammas) > 500
    np.testing.assert_allclose([gammas.mean(), gammas.std()], [1, 0.02], atol=2e-3)


def test_seed_decides_the_initialisation() -> None:
    first, same, other = (
        initialise(get_model("digits_cnn", 3, DIGITS), seed=seed)
        .layers[0]
        .convolution.weight.data()
        .asnumpy()
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


@pytest.mark.parametrize("maxmin", [False, True])
@pytest.mark.parametrize("released_bias", [False, True])
def test_every_parameter_has_one_name(maxmin: bool, released_bias: bool) -> None:
    net = tiny.build(maxmin=maxmin, released_bias=released_bias)
    named = named_parameters(net)
    assert len({id(p) for p in named.values()}) == len(named)
    assert {id(p) for p in named.values()} == {id(p) for p in net.collect_params().values()}
