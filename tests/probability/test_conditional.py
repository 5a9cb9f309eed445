"""Theorem 3.3a in its forms, each enumerated under its own assumption; Max-Min beside them."""

from __future__ import annotations

from typing import Any, Iterator, List, Tuple

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn
from tiny_models import MODELS, redraw

from gluon_nrm.errors import ModelError
from gluon_nrm.models import Network, nrm
from gluon_nrm.probability import Enumeration, RenderingModel
from gluon_nrm.probability.conditional import (
    PathTable,
    bounded_norm_bounds,
    conditional,
    constant_norm_bounds,
    full_bounds,
    max_min_terms,
)

SMALL = ("one_layer", "two_layers", "pool_small", "leaky", "skip")
TEMPERATURE = 0.7
SLACK = 2e-4


def constant_norm_network(rng: np.random.Generator) -> Network:
    """A network with ||h(0)|| the same for all (y, z), and parameters of both signs.

    Its latents are positions only, its filters are 1x1 and orthogonal, and its class templates are scaled to
    one norm: a path moves the pieces of an image and never adds two of them.
    """
    base = nn.HybridSequential()
    base.add(
        nn.Conv2D(2, 1, in_channels=2), nn.MaxPool2D((1, 2), (1, 2)), nn.Conv2D(2, 1, in_channels=2),
        nn.MaxPool2D((1, 2), (1, 2)), nn.Flatten(), nn.Dense(3, in_units=2),
    )  # fmt: skip
    net = nrm(base, 3, (2, 1, 4), render_norm="none", path_norm="none")
    net.initialize()
    for place, parameter in ((0, base[0].weight), (2, base[2].weight)):
        rotation, _ = np.linalg.qr(rng.standard_normal((2, 2)))
        parameter.set_data(mx.nd.array(rotation.reshape(2, 2, 1, 1) * rng.uniform(0.5, 1.5)))
        base[place].bias.set_data(mx.nd.array(rng.standard_normal(2)))
    templates = rng.standard_normal((3, 2))
    base[5].weight.set_data(mx.nd.array(2 * templates / np.linalg.norm(templates, axis=1, keepdims=True)))
    base[5].bias.set_data(mx.nd.array(rng.standard_normal(3)))
    return net


def tables(
    names: Tuple[str, ...], count: int, classes: int = 2, joint: bool = True
) -> Iterator[Tuple[Enumeration, mx.nd.NDArray, PathTable]]:
    """Tables of models with random parameters of both signs and one image each."""
    for name in names:
        net, rng = MODELS[name](), np.random.default_rng(11)
        redraw(net, rng, False)
        model = RenderingModel(net, temperature=TEMPERATURE)
        enumeration = Enumeration(model)
        for _ in range(count):
            redraw(net, rng, False)
            model.freeze()
            x = mx.nd.array(rng.standard_normal((1, *net.input_shape)))
            yield enumeration, x, enumeration.table(x, joint)


@pytest.mark.parametrize("joint", [True, False])
def test_the_conditional_is_the_model_s_own(joint: bool) -> None:
    """p(y | x, z) from the joint density p(x, y, z), class by class and path by path."""
    for enumeration, x, table in tables(("pool_small", "leaky"), 2, joint=joint):
        model, paths = enumeration.model, enumeration.paths
        logs = []
        for label in range(2):
            partition = enumeration.log_joint_partition() if joint else enumeration.log_partition(label)
            logs.append(model.log_joint(x, [label] * len(enumeration), paths, partition).asnumpy())
        expected = np.exp(logs) / np.exp(logs).sum(axis=0)
        for label in range(2):
            found = conditional(table.full_scores, [label])[0]
            np.testing.assert_allclose(np.exp(-found), expected[label], rtol=1e-3, atol=1e-6)


def test_full_form_needs_no_assumption() -> None:
    for _, _, table in tables(SMALL, 4):
        for label in range(2):
            lower, found, upper = full_bounds(table, [label])
            assert lower[0] - SLACK <= found[0] <= upper[0] + SLACK
            assert found[0] >= conditional(table.full_scores, [label]).min() - SLACK


def test_constant_norm_form_on_a_network_that_has_one_norm() -> None:
    """There the full conditional is the one without norms, and H of all maxima bounds it."""
    gaps: List[float] = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        model = RenderingModel(constant_norm_network(rng), temperature=TEMPERATURE)
        enumeration = Enumeration(model)
        x = mx.nd.array(rng.standard_normal((3, 2, 1, 4)))
        table = enumeration.table(x)
        assert len(enumeration) == 2**6 and table.norms.std() < 1e-4 * table.norms.mean()
        np.testing.assert_allclose(
            conditional(table.full_scores, [0, 1, 2]), conditional(table.scores, [0, 1, 2]), atol=1e-3
        )
        lower, found, upper = constant_norm_bounds(table, [0, 1, 2])
        assert (lower - SLACK <= found).all() and (found <= upper + SLACK).all()
        assert (lower > -np.inf).all()
        gaps += list(upper - found)
        old = enumeration.bound(x, [0, 1, 2])
        np.testing.assert_allclose(old.cross_entropy, upper, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(old.conditional, found, rtol=1e-4, atol=1e-4)
    assert max(gaps) > 0.1


def test_constant_norm_form_with_templates_scaled_to_one_norm() -> None:
    """Any model, every rendered image scaled to norm 2; paths that render nothing are left out."""
    for enumeration, x, table in tables(SMALL, 3):
        used = (table.norms > 1e-3).all(axis=0)
        scaled = []
        for label in range(2):
            rendering = enumeration.model.render([label] * len(enumeration), enumeration.paths)
            image = rendering.image.asnumpy()[used]
            image *= 2 / np.sqrt((image**2).sum(axis=(1, 2, 3), keepdims=True))
            product = (image * x.asnumpy()).sum(axis=(1, 2, 3))
            scaled.append((product + rendering.eta.asnumpy()[used]) / TEMPERATURE)
        one_norm = PathTable(
            np.array(scaled)[None], np.full((2, used.sum()), 2.0), table.offsets, TEMPERATURE
        )
        for label in range(2):
            lower, found, upper = constant_norm_bounds(one_norm, [label])
            full = conditional(one_norm.full_scores, [label])[0, one_norm.g[0, label].argmax()]
            np.testing.assert_allclose(found, full, atol=1e-4)
            assert lower[0] - SLACK <= found[0] <= upper[0] + SLACK


def test_bounded_norm_form_and_that_it_needs_its_width(record_property: Any) -> None:
    """Without the width, H is below -log p in part of the cases: the norms do not cancel."""
    below = cases = 0
    for _, _, table in tables(SMALL, 6):
        for label in range(2):
            lower, found, upper = bounded_norm_bounds(table, [label])
            assert lower[0] - SLACK <= found[0] <= upper[0] + SLACK
            width = (table.norms.max() ** 2 - table.norms.min() ** 2) / (2 * TEMPERATURE)
            below += int(upper[0] - width < found[0] - SLACK)
            cases += 1
    record_property("below", f"{below} of {cases}")
    assert 0 < below < cases


def test_norms_that_differ_are_no_constant_norm() -> None:
    _, _, table = next(tables(("pool_small",), 1))
    with pytest.raises(ModelError, match=r"norms from 0 to .*bounded_norm_bounds"):
        constant_norm_bounds(table, [0])


def test_prior_of_paths_given_a_class_moves_the_class_offsets() -> None:
    """Z_y stays: the bias of the classifier that the bound needs is log pi_y - log Z_y."""
    for enumeration, _, table in tables(("pool_small",), 2, joint=False):
        partitions = np.array([enumeration.log_partition(label) for label in range(2)])
        np.testing.assert_allclose(table.offsets, enumeration.model.log_class_prior() - partitions, rtol=1e-5)
        marginal = enumeration.log_class_marginal()
        expected = np.exp(enumeration.model.log_class_prior() + partitions)
        np.testing.assert_allclose(np.exp(marginal), expected / expected.sum(), rtol=1e-4)
        lower, found, upper = full_bounds(table, [0])
        assert lower[0] - SLACK <= found[0] <= upper[0] + SLACK


@pytest.mark.parametrize("alpha", [0.5, 0.2, 0.0])
def test_max_min_bounds_the_best_path_of_two_classes(alpha: float) -> None:
    """H_max at the Max branch's path, H_min from below at the Min branch's, the mixture at the best path."""
    beneath = 0
    for _, _, table in tables(SMALL, 6):
        for label in range(2):
            terms = max_min_terms(table, [label], alpha)
            assert terms.h_max[0] >= terms.at_max_path[0] - SLACK
            assert terms.h_min[0] <= terms.at_min_path[0] + SLACK
            assert terms.h_min[0] >= terms.smallest[0] - SLACK
            assert terms.mixture[0] >= terms.smallest[0] - SLACK
            np.testing.assert_allclose(terms.mixture, alpha * terms.h_max + (1 - alpha) * terms.h_min)
            beneath += int(terms.mixture[0] < terms.at_max_path[0] - SLACK)
    assert beneath  # no bound at the Max branch's path


def test_max_min_of_three_classes_bounds_no_path() -> None:
    """By hand: two rivals of score -10 at one path and 0 at the other, the label 0 at both."""
    g = np.array([[[0.0, 0.0], [-10.0, 0.0], [0.0, -10.0]]])
    terms = max_min_terms(PathTable(g, np.ones((3, 2)), np.zeros(3), 1.0), [0])
    np.testing.assert_allclose(terms.smallest, np.log(2 + np.exp(-10)))
    np.testing.assert_allclose(terms.h_min, np.log(1 + 2 * np.exp(-10)))
    np.testing.assert_allclose(terms.mixture, (np.log(3) + terms.h_min) / 2)
    assert terms.mixture[0] < terms.smallest[0]


def test_max_min_of_three_classes_in_a_network() -> None:
    """Two classes of opposite templates: no position in the window of +2 and -2 is the minimum of both."""
    base = nn.HybridSequential()
    base.add(
        nn.Conv2D(1, 1, in_channels=1), nn.MaxPool2D((1, 2), (1, 2)), nn.Flatten(), nn.Dense(3, in_units=2)
    )
    net = nrm(base, 3, (1, 1, 4), render_norm="none", path_norm="none")
    net.initialize()
    base[0].weight.set_data(mx.nd.ones((1, 1, 1, 1)))
    base[3].weight.set_data(mx.nd.array([[0, 1], [1, 0], [-1, 0]]))
    model = RenderingModel(net, temperature=0.5)
    x = mx.nd.array([[[[2.0, -2.0, 0.0, 0.0]]]])
    table = Enumeration(model).table(x)
    terms = max_min_terms(table, [0])
    np.testing.assert_allclose(table.norms, 1, rtol=1e-6)
    np.testing.assert_allclose(terms.h_max, np.log(1 + 2 * np.exp(4)), rtol=1e-5)
    np.testing.assert_allclose(terms.h_min, np.log(1 + 2 * np.exp(-4)), rtol=1e-5)
    np.testing.assert_allclose(terms.smallest, np.log(1 + np.exp(4) + np.exp(-4)), rtol=1e-5)
    assert terms.mixture[0] < terms.smallest[0] - 1
