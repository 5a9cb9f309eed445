"""Hybridised, the network and its objective are what they are eagerly; what is exported is the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterable, Tuple

import mxnet as mx
import numpy as np
import pytest
import tiny
from mxnet import autograd

from gluon_nrm.losses import NRM_TERMS, Objective
from gluon_nrm.models import NRM, LayerSpec, Reconstructor
from gluon_nrm.models.interface.parameters import named_parameters
from gluon_nrm.models.twin_network import share_parameters

pytestmark = pytest.mark.filterwarnings("ignore:.*not used by any computation", "ignore:Cannot decide type")
STATIC = {"static_alloc": True, "static_shape": True}
#: of the terms, none alike
WEIGHTS = dict(zip(NRM_TERMS, (1.0, 0.5, 0.7, 0.3, 0.9, 2.0, 1.5)))
LENET = [LayerSpec(3, 5, 4, 2), LayerSpec(4, 3, 0), LayerSpec(3, 3, 2, 2)]

OPTIONS: Dict[str, Dict[str, Any]] = {
    "plain": {},
    "maxmin": dict(maxmin=True, alpha_max=0.3, alpha_min=0.7),
    "separate": dict(maxmin=True, render_norm_branches="separate", released_bias=True),
    "released": dict(released_bias=True, slope=0.0),
    "mode": dict(path_norm="mode", render_norm="none"),
    "mode_maxmin": dict(path_norm="mode", render_norm="none", maxmin=True, slope=0.3, released_bias=True),
    "no_path_norm": dict(path_norm="none", maxmin=True),
    "scaled": dict(render_norm="none", maxmin=True),
    "rendering_norms_only": dict(norm="none"),
    "no_norms": dict(norm="none", render_norm="none", slope=0.0, maxmin=True),
    "no_norms_mode": dict(norm="none", render_norm="none", path_norm="mode"),
    "odd": dict(layers=(3, "pool", 4, "pool", 3), input_shape=(1, 7, 9), classes=4),
    "average": dict(layers=(3, "average_pool", 4, "pool", 3), input_shape=(1, 8, 9), maxmin=True),
    "lenet": dict(layers=LENET, input_shape=(1, 8, 8)),
}


def data(net: NRM, batch: int = 5, known: bool = True, seed: int = 1) -> Tuple[mx.nd.NDArray, ...]:
    """Images, labels, a teacher's probabilities, perturbed images."""
    target = np.random.default_rng(seed).dirichlet(np.ones(net.classes), batch)
    x = tiny.images(net, batch, seed)
    return x, tiny.labels(net, batch, known), mx.nd.array(target), x + tiny.images(net, batch, seed + 9)


def build_objective(options: Dict[str, Any], hybridise: bool, terms: Iterable[str] = NRM_TERMS) -> Objective:
    net, second = tiny.build(**options), tiny.build(**options)
    share_parameters(second, net)
    names = [term for term in terms if term != "path_norm" or net.options.path_norm != "none"]
    objective = Objective(net, names, second)
    if hybridise:
        objective.hybridize(**STATIC)
    return objective


def assert_same(ours: tiny.Outcome, theirs: tiny.Outcome) -> None:
    np.testing.assert_allclose(ours.terms, theirs.terms, rtol=1e-5, atol=1e-6)
    for mine, other in ((ours.gradients, theirs.gradients), (ours.statistics, theirs.statistics)):
        assert mine.keys() == other.keys()
        for name, value in mine.items():
            # where all images have one class, a rendering norm of variance 0 magnifies rounding 300 times
            scale = np.abs(other[name]).max()
            np.testing.assert_allclose(value, other[name], rtol=1e-4, atol=1e-4 * scale, err_msg=name)


@pytest.mark.parametrize("name", OPTIONS)
def test_all_terms_and_gradients(name: str) -> None:
    """Both streams in training, and evaluation in between (of which MXNet 1.9.1 has no right gradients)."""
    eager, hybrid = (build_objective(OPTIONS[name], hybridise) for hybridise in (False, True))
    for known in (False, True):
        arguments = data(eager.net, known=known)
        found, expected = (tiny.differentiate(each, *arguments, weights=WEIGHTS) for each in (hybrid, eager))
        assert all(np.isfinite(value).all() for value in found.gradients.values())
        assert_same(found, expected)
        evaluated = tiny.terms_of(hybrid, *arguments)
        np.testing.assert_allclose(evaluated, tiny.terms_of(eager, *arguments), rtol=1e-4, atol=1e-6)
        if "no_norms" not in name:
            assert np.abs(evaluated - found.terms).max() > 1e-3


@pytest.mark.parametrize("term", NRM_TERMS)
@pytest.mark.parametrize("maxmin", [False, True])
def test_one_term_alone(term: str, maxmin: bool) -> None:
    """Its value and gradient do not depend on what else is computed."""
    options = {"maxmin": maxmin}
    eager, hybrid = (build_objective(options, hybridise, (term,)) for hybridise in (False, True))
    together = build_objective(options, hybridise=False)
    arguments = data(eager.net)
    expected = tiny.differentiate(together, *arguments, weights={term: 1.0})
    expected = expected._replace(terms=expected.terms[[NRM_TERMS.index(term)]])
    for objective in (eager, hybrid):
        found = tiny.differentiate(objective, *arguments, weights={term: 1.0})
        np.testing.assert_allclose(found.terms, expected.terms, rtol=1e-5, atol=1e-6)
        for name, value in found.gradients.items():
            np.testing.assert_allclose(value, expected.gradients[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_batch_size_may_change_after_hybridising() -> None:
    eager, hybrid = (build_objective({"maxmin": True}, hybridise) for hybridise in (False, True))
    for batch in (4, 7, 2, 4):
        arguments = data(eager.net, batch, seed=batch)
        assert_same(
            tiny.differentiate(hybrid, *arguments, weights=WEIGHTS),
            tiny.differentiate(eager, *arguments, weights=WEIGHTS),
        )


def test_two_streams_in_one_backward_pass() -> None:
    """As in a training step: two calls of one static graph, then one backward pass of both."""
    sums = []
    for hybridise in (False, True):
        objective = build_objective({"maxmin": True}, hybridise)
        streams = [data(objective.net, known=known, seed=seed) for known, seed in ((False, 1), (True, 2))]
        streams = [(x, y, *tiny.asked_for(objective, x, *more)) for x, y, *more in streams]
        with autograd.record():
            outcomes = [objective(*stream) for stream in streams]
        objective.backward(outcomes, [mx.nd.ones_like(each.terms) for each in outcomes])
        terms = np.stack([each.terms.asnumpy() for each in outcomes])
        sums.append((terms, tiny.parameter_gradients(objective.net)))
    np.testing.assert_allclose(sums[0][0], sums[1][0], rtol=1e-5, atol=1e-6)
    for name, value in sums[0][1].items():
        np.testing.assert_allclose(
            value, sums[1][1][name], rtol=1e-4, atol=1e-5 * np.abs(value).max(), err_msg=name
        )


def test_dropout_drops_in_training_only() -> None:
    layers = [LayerSpec(8, pool=2, dropout=0.5), LayerSpec(6)]
    for hybridise in (False, True):
        net = tiny.build(layers, (2, 8, 8))
        reconstructor = Reconstructor(net)
        if hybridise:
            reconstructor.hybridize(**STATIC)
        x, label = tiny.images(net), tiny.labels(net)
        calm = [reconstructor(x, label) for _ in range(2)]
        np.testing.assert_array_equal(calm[0].images[0].asnumpy(), calm[1].images[0].asnumpy())
        with autograd.train_mode():
            noisy = [reconstructor(x, label) for _ in range(2)]
        for first, second in ((noisy[0].logits, noisy[1].logits), (noisy[0].images[0], noisy[1].images[0])):
            assert np.abs((first - second).asnumpy()).max() > 1e-3


def test_dropout_in_rendering_too_but_not_on_the_zero_images_path() -> None:
    net = tiny.build([LayerSpec(8, pool=2, dropout=0.5), LayerSpec(6)], (2, 8, 8))
    x, label = tiny.images(net), tiny.labels(net)
    joint = net.joint(mx.nd, x, label)
    with autograd.train_mode():
        images = [net.render(mx.nd, joint.code, joint.inferences[0]).image for _ in range(2)]
        zeros = [net.infer_zero(mx.nd, x[:1] * 0) for _ in range(2)]
        packed = [mx.nd.concat(*[state.reshape((1, -1)) for state in each], dim=1) for each in zeros]
        masked = [net.render_zero(mx.nd, each, joint.inferences[0]) for each in packed]
    assert np.abs((images[0] - images[1]).asnumpy()).max() > 1e-3
    for first, second in zip(*zeros):
        np.testing.assert_array_equal(first.asnumpy(), second.asnumpy())
    for first, second in zip(*masked):
        np.testing.assert_array_equal(first.asnumpy(), second.asnumpy())


def test_bottom_up_statistics_are_those_of_the_batch() -> None:
    """The running mean goes a tenth of the way, once a pass, in both branches."""
    objective = build_objective({"maxmin": True}, hybridise=True)
    net = objective.net
    before = {name: p.data().asnumpy() for name, p in named_parameters(net).items()}
    arguments = data(net)
    moved = tiny.differentiate(objective, *arguments, weights=WEIGHTS).statistics
    mean = net.layers[0].convolution(arguments[0]).asnumpy().mean(axis=(0, 2, 3))
    for branch in ("0", "1"):
        name = f"layers.0.branches.{branch}.norm.running_mean"
        np.testing.assert_allclose(moved[name], 0.9 * before[name] + 0.1 * mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("maxmin", [False, True])
def test_export(maxmin: bool, tmp_path: Path) -> None:
    net = tiny.build(maxmin=maxmin, layers=(3, "pool", 4))
    x = tiny.images(net)
    expected = [each.asnumpy() for each in net(x) if each is not None]
    net.hybridize()
    net(x)
    net.export(str(tmp_path / "net"))
    symbol, arrays = str(tmp_path / "net-symbol.json"), str(tmp_path / "net-0000.params")
    found = mx.gluon.SymbolBlock.imports(symbol, ["data"], arrays)(x)
    assert len(found) == len(expected) == (3 if maxmin else 2)
    for ours, theirs in zip(found, expected):
        np.testing.assert_allclose(ours.asnumpy(), theirs, rtol=1e-5, atol=1e-6)
