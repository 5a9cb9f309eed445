"""The exact form of RPN against the enumerated prior, its gradients, and the other forms; the class prior."""

from __future__ import annotations

from typing import Any, Dict

import mxnet as mx
import numpy as np
import pytest
import tiny
from mxnet import autograd
from tiny_models import MODELS, redraw

from gluon_nrm.errors import ModelError
from gluon_nrm.losses import ExactPathNorm, LayerwisePathNorm, ModePathNorm, Objective
from gluon_nrm.models import LayerSpec, Network
from gluon_nrm.models.interface.parameters import named_parameters
from gluon_nrm.probability import Enumeration, RenderingModel
from gluon_nrm.training.optimisers import trained_parameters

NAMES = ("two_layers", "pool_small", "leaky", "average_pool", "skip", "skip_overlapping")
LABEL = mx.nd.array([0, 1, 1, 0])


def built(name: str, form: str = "exact", non_negative: bool = False, **options: Any) -> Network:
    net = MODELS[name](path_norm=form, **options)
    redraw(net, np.random.default_rng(2), non_negative)
    return net


def path_norm(net: Network, x: mx.nd.NDArray) -> np.ndarray:
    return tiny.terms_of(Objective(net, ["path_norm"]), x, LABEL)[0]


@pytest.mark.parametrize("name", NAMES)
def test_exact_is_the_negative_log_prior(name: str) -> None:
    """-log pi(z*|y) of the enumerated prior, eager and hybridised."""
    net = built(name)
    model, x = RenderingModel(net), tiny.images(net, 4)
    enumeration, path = Enumeration(model), model.infer(x).path
    eta = model.prior_score(LABEL, path).asnumpy()
    expected = np.array([enumeration.log_partition(int(label)) for label in LABEL.asnumpy()]) - eta
    np.testing.assert_allclose(path_norm(net, x), expected, rtol=1e-5, atol=1e-5)
    objective = Objective(net, ["path_norm"])
    objective.hybridize(static_alloc=True, static_shape=True)
    np.testing.assert_allclose(objective(x, LABEL).terms.asnumpy()[0], expected, rtol=1e-5, atol=1e-5)
    assert expected.min() > 0


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_exact_at_a_temperature(temperature: float) -> None:
    net = built("pool_small")
    model, x = RenderingModel(net, temperature=temperature), tiny.images(net, 4)
    joint = net.joint(mx.nd, x, LABEL)
    found = ExactPathNorm(net, temperature).of(mx.nd, net, x, joint).asnumpy()
    eta = model.prior_score(LABEL, model.infer(x).path).asnumpy()
    partition = np.array([Enumeration(model).log_partition(int(label)) for label in LABEL.asnumpy()])
    np.testing.assert_allclose(found, partition - eta / temperature, rtol=1e-5)


@pytest.mark.parametrize("name", ["two_layers", "pool_small", "skip"])
def test_gradients_of_exact(name: str) -> None:
    """Of every parameter, by central differences (latents stay as they are for so small a step)."""
    net = built(name)
    objective, x = Objective(net, ["path_norm"]), tiny.images(net, 4)
    with autograd.record():
        outcome = objective(x, LABEL)
    objective.backward([outcome], [mx.nd.ones_like(outcome.terms)])
    moved = 0
    for parameter in {id(p): p for p in named_parameters(net).values()}.values():
        if parameter.grad_req == "null":
            continue
        value, gradient = parameter.data().asnumpy(), parameter.grad().asnumpy()
        direction = np.random.default_rng(0).standard_normal(value.shape).astype(np.float32)
        sums = []
        for sign in (1, -1):
            parameter.set_data(mx.nd.array(value + sign * 4e-3 * direction))
            sums.append(objective(x, LABEL).terms.asnumpy().astype(np.float64).sum())
        parameter.set_data(mx.nd.array(value))
        expected = (sums[0] - sums[1]) / 8e-3
        np.testing.assert_allclose((gradient * direction).sum(), expected, rtol=2e-2, atol=5e-3)
        moved += abs(expected) > 1e-2
    assert moved >= 3


@pytest.mark.parametrize("name", NAMES)
def test_mode_bounds_exact_from_below(name: str) -> None:
    """log sum exp is at least the maximum; both are of the same path."""
    exact, mode = (built(name, form, non_negative=True) for form in ("exact", "mode"))
    x = tiny.images(exact, 4)
    found = path_norm(mode, x)
    assert (found >= 0).all() and (path_norm(exact, x) >= found - 1e-5).all()


def test_layerwise_is_zero_for_the_zero_image() -> None:
    """Where one class alone has a template: then the sum of all templates is its own."""
    net = built("two_layers", "layerwise")
    weight = net.classifier.weight.data().asnumpy()
    net.classifier.weight.set_data(mx.nd.array(weight * [[0], [1]]))
    objective, label = Objective(net, ["path_norm"]), mx.nd.ones(4)
    x = tiny.images(net, 4)
    np.testing.assert_allclose(tiny.terms_of(objective, mx.nd.zeros_like(x), label), 0, atol=1e-6)
    assert tiny.terms_of(objective, x, label).max() > 1e-3


def test_each_form_is_its_block() -> None:
    forms = {"layerwise": LayerwisePathNorm, "mode": ModePathNorm, "exact": ExactPathNorm}
    for form, kind in forms.items():
        assert type(Objective(built("pool_small", form), ["path_norm"]).graph.path_norm) is kind


@pytest.mark.parametrize("form", ["layerwise", "mode", "exact"])
@pytest.mark.parametrize("name", ["pool_small", "skip"])
def test_class_prior(name: str, form: str) -> None:
    """-log pi_y of the rendered class is added, the predicted one's where there is no label."""
    with_prior, without = built(name, form, class_prior=True), built(name, form)
    bias = with_prior.class_bias.data().asnumpy()
    x, log_prior = tiny.images(with_prior, 4), bias - np.log(np.exp(bias).sum())
    added = path_norm(with_prior, x) - path_norm(without, x)
    np.testing.assert_allclose(added, -log_prior[[0, 1, 1, 0]], rtol=1e-4, atol=1e-5)
    predicted = with_prior(x).logits.asnumpy().argmax(axis=1)
    no_label = -mx.nd.ones(4)
    found = [tiny.terms_of(Objective(net, ["path_norm"]), x, no_label)[0] for net in (with_prior, without)]
    np.testing.assert_allclose(found[0] - found[1], -log_prior[predicted], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["pool_small", "skip"])
def test_joint_prior(name: str) -> None:
    """-log pi(y, z*) of one softmax over all classes and paths, and its gradient with respect to log pi_y."""
    net = built(name, joint_prior=True)
    model, x = RenderingModel(net), tiny.images(net, 4)
    enumeration, path = Enumeration(model), model.infer(x).path
    bias = model.class_bias()
    scores = [bias[label] + enumeration.eta(label) + enumeration.log_weights for label in range(2)]
    own = model.prior_score(LABEL, path).asnumpy() + bias[[0, 1, 1, 0]]
    np.testing.assert_allclose(path_norm(net, x), np.log(np.exp(scores).sum()) - own, rtol=1e-5, atol=1e-5)
    objective = Objective(net, ["path_norm"])
    with autograd.record():
        outcome = objective(x, LABEL)
    objective.backward([outcome], [mx.nd.ones_like(outcome.terms)])
    expected = 4 * np.exp(enumeration.log_class_marginal()) - 2  # two images of each class
    np.testing.assert_allclose(net.class_bias.grad().asnumpy(), expected, rtol=1e-4, atol=1e-5)


def test_joint_prior_of_the_mode_form() -> None:
    """The maximum over all classes and paths, where renderings are non-negative."""
    net = built("pool_small", "mode", non_negative=True, joint_prior=True)
    model, x = RenderingModel(net), tiny.images(net, 4)
    enumeration, path = Enumeration(model), model.infer(x).path
    bias = model.class_bias()
    best = max(float((bias[label] + enumeration.eta(label)).max()) for label in range(2))
    own = model.prior_score(LABEL, path).asnumpy() + bias[[0, 1, 1, 0]]
    found = path_norm(net, x)
    np.testing.assert_allclose(found, best - own, rtol=1e-5, atol=1e-5)
    assert found.max() > 0.1


@pytest.mark.parametrize("name", ["pool_small", "skip"])
def test_fixed_class_prior(name: str) -> None:
    """log pi_y is read and does not learn; all else does."""
    learned, fixed = built(name, class_prior=True), built(name, class_prior=True, fixed_class_prior=True)
    x = tiny.images(fixed, 4)
    np.testing.assert_allclose(path_norm(fixed, x), path_norm(learned, x), rtol=1e-6)
    trained = [
        [parameter.shape for parameter in trained_parameters(Objective(net, ["path_norm", "cross_entropy"]))]
        for net in (fixed, learned)
    ]
    assert fixed.class_bias is not None and fixed.class_bias.grad_req == "null"
    assert len(trained[1]) - len(trained[0]) == 1


EXACT: Dict[str, Any] = {"norm": "none", "render_norm": "none", "path_norm": "exact"}
DROPPING = [LayerSpec(1, pool=2, dropout=0.5)]
BAD: Dict[str, Any] = {
    "'exact' is for networks without norms": lambda: tiny.build(**{**EXACT, "norm": "batch"}),
    "without norms and dropout": lambda: tiny.build(DROPPING, (1, 2, 4), **EXACT),
    "rendering paths, too many": lambda: tiny.build(**EXACT),
    "model.joint_prior: true needs": lambda: tiny.build(path_norm="layerwise", joint_prior=True),
    "model.joint_prior has the class": lambda: tiny.build(**EXACT, joint_prior=True, class_prior=True),
    "model.class_prior: true, but": lambda: tiny.build(path_norm="none", class_prior=True),
}


@pytest.mark.parametrize("message", BAD)
def test_mistakes(message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        Objective(BAD[message](), ["path_norm"])
    assert len(str(caught.value).splitlines()) <= 2
