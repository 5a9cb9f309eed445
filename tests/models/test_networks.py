"""Networks by name: those of the papers, the zoos', one's own; as a classifier, with Max-Min, as an NRM."""

from __future__ import annotations

from typing import Any, Dict, Iterator

import mxnet as mx
import numpy as np
import pytest
import short_runs
import tiny
from mxnet.gluon import HybridBlock, nn

from gluon_nrm.losses import Objective
from gluon_nrm.models import NRM, TracedClassifier, TracedNRM, get_model, initialise, list_models, registry
from gluon_nrm.models.skip_networks import LEAKY

CLASSIFIER: Dict[str, Any] = {"render": False}
SMALL = (
    "cifar_densenet40",
    "cifar_resnet20",
    "digits_densenet",
    "digits_resnet",
    "digits_shake_resnext",
    "fashion_mnist_shake_resnext",
)


def learned(net: HybridBlock) -> int:
    return sum(int(np.prod(p.shape)) for p in net.collect_params().values() if p.grad_req != "null")


def shared_and_own(net: HybridBlock) -> Dict[str, int]:
    """Learned numbers of the Max branch (all that it uses), and of the Min branch alone."""
    own = sum(
        int(np.prod(p.shape))
        for name, p in net.collect_params().items()
        if p.grad_req != "null" and "min." in name
    )
    return {"all": learned(net) - own, "own": own}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("options", [CLASSIFIER, {"maxmin": True}], ids=["plain", "nrm"])
def test_small_networks_train_both_ways(name: str, options: Dict[str, Any]) -> None:
    """One backward pass through all the terms: finite, and not nothing."""
    shape = (1, 8, 8) if name.startswith("digits") else (3, 16, 16)
    net = initialise(get_model(name, 10, shape, **options), seed=0)
    assert isinstance(net, TracedClassifier if "render" in options else TracedNRM)
    names = ["cross_entropy"]
    if net.options.render:
        names += ["reconstruction", "entropy", "moment_matching", "path_norm"]
    objective = Objective(net, names)
    objective.hybridize(static_alloc=True, static_shape=True)
    weights = dict.fromkeys(names, 1.0)
    found = tiny.differentiate(objective, tiny.images(net, 4), tiny.labels(net, 4), weights=weights)
    assert np.isfinite(found.terms).all()
    weight_gradients = {n: g for n, g in found.gradients.items() if n.endswith("weight")}
    assert weight_gradients and all(np.abs(g).max() > 0 for g in weight_gradients.values())


def test_published_parameter_counts() -> None:
    """SE-ResNeXt-50: 27.56 M (Hu et al. 2018, as GluonCV lists it); Max-Min adds norms alone."""
    net = get_model("se_resnext50_32x4d", 1000, (3, 224, 224), **CLASSIFIER)
    assert round(learned(net) / 1e6, 2) == 27.56
    maxmin = get_model("se_resnext50_32x4d", 1000, (3, 224, 224), maxmin=True, gates="released", **CLASSIFIER)
    counts = shared_and_own(maxmin)
    assert counts["all"] == learned(net)
    gammas_and_betas = sum(int(np.prod(p.shape)) for p in net.collect_params(".*(gamma|beta)").values())
    # the first norm comes before the first non-linearity, and is shared
    assert counts["own"] == gammas_and_betas - 2 * 64


@pytest.mark.parametrize("name", ["gluon.resnet18_v1", "gluoncv.cifar_resnet20_v1"])
def test_networks_of_a_zoo(name: str) -> None:
    net = initialise(get_model(name, 7, (3, 32, 32), maxmin=True, **CLASSIFIER), seed=0)
    prediction = net(mx.nd.zeros((2, 3, 32, 32)))
    assert [scores.shape for scores in prediction] == [(2, 7)] * 3
    assert isinstance(get_model(name, 7, (3, 32, 32)), TracedNRM)


@pytest.fixture
def own_network() -> Iterator[str]:
    @registry.register_network
    def a_network_of_ones_own(classes: int, channels: int) -> HybridBlock:
        net = nn.HybridSequential()
        net.add(nn.Conv2D(4, 3, in_channels=channels), nn.Activation("relu"), nn.Dense(classes))
        return net

    yield a_network_of_ones_own.__name__
    del registry._NETWORKS[a_network_of_ones_own.__name__]


def test_a_network_of_ones_own(own_network: str) -> None:
    assert own_network in list_models()
    net = initialise(get_model(own_network, 3, (2, 6, 6), maxmin=True), seed=0)
    assert net(mx.nd.ones((1, 2, 6, 6))).logits_min.shape == (1, 3)


@pytest.mark.parametrize("name", ["device", "local"])
def test_one_device_equals_two(own_network: str, name: str) -> None:
    """Gradients of all terms, of both streams, in both branches; the network has no norms."""
    off = ("model.render_norm=none", "loss.weights.moment_matching=0", f"model.name={own_network}")
    found = []
    for devices in (1, 2):
        parts = short_runs.built(short_runs.TRACED, *off, f"train.kvstore={name}", devices=devices)
        # not Adam, which makes a whole step of a gradient that is nearly 0, whatever its sign
        trainer = short_runs.trainer_of(parts, phase=-1)
        trainer.set_learning_rate(0.02)
        start = short_runs.values(parts.net)
        for number in range(1, 4):
            parts.step(short_runs.a_step(seed=number), short_runs.full_weights(parts), trainer, number)
        found.append(short_runs.values(parts.net))
    one, two = found
    assert any(np.abs(one[key][0] - start[key][0]).max() > 1e-3 for key in one)
    for key, expected in one.items():
        np.testing.assert_array_equal(two[key][0], two[key][1], err_msg=key)
        np.testing.assert_allclose(two[key][0], expected[0], atol=1e-5, err_msg=key)


def test_without_rendering_a_list_of_layers_has_no_parameters_for_it() -> None:
    both = {
        render: get_model("digits_cnn", 10, (1, 8, 8), maxmin=True, render=render) for render in (True, False)
    }
    assert isinstance(both[False], NRM)
    names = {render: set(net._collect_params_with_prefix()) for render, net in both.items()}
    assert names[False] < names[True]
    left_out = names[True] - names[False]
    assert all("render" in name or "template_norms" in name or "zero" in name for name in left_out)


def test_the_he_initialiser_is_of_the_fan_out() -> None:
    net = initialise(get_model("cifar_resnet20", 10, (3, 32, 32), **CLASSIFIER), seed=0, scheme="he")
    weights = [p for p in net.collect_params().values() if p.name.endswith("weight") and len(p.shape) == 4]
    for parameter in weights:
        fan = parameter.shape[0] * np.prod(parameter.shape[2:])
        expected = np.sqrt(2.0 / fan)
        assert abs(parameter.data().asnumpy().std() / expected - 1) < 0.15, parameter.name
    assert len(weights) > 20 and LEAKY == 0.1
