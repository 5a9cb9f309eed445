"""The theorems, by enumeration of every rendering path of tiny models; bad input to the model."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

import mxnet as mx
import numpy as np
import pytest
import tiny
from tiny_models import MODELS, PLAIN, redraw

from gluon_nrm.errors import ModelError
from gluon_nrm.models import get_model, initialise, nrm
from gluon_nrm.probability import Enumeration, RenderingModel
from gluon_nrm.probability.latents import OverlappingWindows, States, TiledWindows

DRAWS = 100  # of each model: 1,200 in all
BRANCHES = {"max": 0, "min": 1}
CLOSE: Dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


class Draw(NamedTuple):
    """One draw of all parameters, and an image."""

    model: RenderingModel
    enumeration: Enumeration
    x: mx.nd.NDArray
    #: class scores of the network without log pi_y, (K,)
    scores: np.ndarray
    #: the same of every path, (K, paths)
    every: np.ndarray


def draws(name: str, branch: str = "max", count: int = DRAWS, non_negative: bool = True) -> Iterator[Draw]:
    net = MODELS[name](maxmin=branch == "min")
    rng = np.random.default_rng(7)
    redraw(net, rng, non_negative)
    model = RenderingModel(net, BRANCHES[branch])
    enumeration = Enumeration(model)
    for _ in range(count):
        redraw(net, rng, non_negative)
        model.freeze()
        x = mx.nd.array(rng.standard_normal((1, *net.input_shape)))
        scores = model.infer(x).logits.asnumpy()[0] - model.class_bias()
        every = np.concatenate([enumeration.scores(x, label) for label in range(net.classes)])
        yield Draw(model, enumeration, x, scores, every)


@pytest.mark.parametrize("name", MODELS)
def test_theorem_3_2(name: str) -> None:
    """The network's score is max_z <h(0), x> + eta where h(l) >= 0, and the inferred path attains it."""
    for draw in draws(name):
        np.testing.assert_allclose(draw.every.max(axis=1), draw.scores, **CLOSE)
        inferred = draw.model.infer(draw.x)
        for label in range(2):
            rendering = draw.model.render([label], inferred.path)
            own = (mx.nd.sum(rendering.image * draw.x) + rendering.eta).asscalar()
            np.testing.assert_allclose(own, draw.scores[label], **CLOSE)
    assert draw.every.std() > 0.01


@pytest.mark.parametrize("name", MODELS)
def test_theorem_3_2_in_the_min_branch(name: str) -> None:
    """There it is the minimum over all paths."""
    for draw in draws(name, "min", 10):
        np.testing.assert_allclose(draw.every.min(axis=1), draw.scores, **CLOSE)


@pytest.mark.parametrize("name", MODELS)
def test_without_restriction_the_best_path_is_never_below_the_network(name: str) -> None:
    """The inferred path is one of all; for some parameters another one is better."""
    surpassed = 0
    for draw in draws(name, count=15, non_negative=False):
        best = draw.every.max(axis=1)
        assert (best >= draw.scores - 2e-5).all()
        surpassed += (best > draw.scores + 1e-3).any()
    assert surpassed


@pytest.mark.parametrize("name", MODELS)
def test_theorem_3_3a(name: str, record_property: Any) -> None:
    """The cross-entropy bounds -log p(y|x, z*_y) from above; they are equal where h(l) >= 0."""
    largest = 0.0
    for non_negative in (True, False):
        for draw in draws(name, count=12, non_negative=non_negative):
            for label in range(2):
                bound = draw.enumeration.bound(draw.x, [label])
                assert bound.gap[0] >= -1e-5
                np.testing.assert_allclose(bound.cross_entropy - bound.conditional, bound.gap, **CLOSE)
                largest = max(largest, float(bound.gap[0]))
                if non_negative:
                    np.testing.assert_allclose(bound.gap, 0, atol=1e-5)
                    network = draw.model.posterior(draw.x).asnumpy()[0, label]
                    np.testing.assert_allclose(bound.cross_entropy, -np.log(network), **CLOSE)
    record_property("largest_gap", largest)
    assert largest > 1e-3


def test_log_joint_sums_to_the_log_likelihood_of_a_tiny_model() -> None:
    """p(x, z, y), written out in NumPy."""
    net = MODELS["pool"]()
    redraw(net, np.random.default_rng(0), False)
    model = RenderingModel(net, temperature=0.7)
    enumeration, x = Enumeration(model), tiny.images(net, 1)
    total = 0.0
    for label in range(2):
        images = model.render([label] * len(enumeration), enumeration.paths).image.asnumpy()
        weights = np.exp(enumeration.log_weights)
        prior = weights * np.exp(enumeration.eta(label) / 0.7)
        class_prior = np.exp(model.class_bias()) / np.exp(model.class_bias()).sum()
        normal = np.exp(-((x.asnumpy() - images) ** 2).sum((1, 2, 3)) / 1.4) / (1.4 * np.pi) ** (12 / 2)
        expected = class_prior[label] * prior / prior.sum() * normal
        found = model.log_joint(
            x, [label] * len(enumeration), enumeration.paths, enumeration.log_partition(label)
        )
        np.testing.assert_allclose(np.exp(found.asnumpy()) * weights, expected, rtol=1e-4)
        total += expected.sum()
    assert 0 < total < 1


def test_posterior_and_class_follow_the_temperature() -> None:
    net = tiny.build(**{**PLAIN, "slope": 0.1})
    x = tiny.images(net)
    for temperature in (0.2, 1.0, 5.0):
        model = RenderingModel(net, temperature=temperature)
        bias = net.classifier.bias.data().asnumpy()
        logits = net(x).logits.asnumpy()
        expected = np.exp((logits - bias) / temperature + bias)
        expected /= expected.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(model.posterior(x).asnumpy(), expected, rtol=1e-4)
        np.testing.assert_array_equal(model.infer(x).label.asnumpy(), expected.argmax(axis=1))


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_gradient_of_eta(norm: str) -> None:
    """By differences: eta is linear in each block, whatever the norms of the rendering pass."""
    net = tiny.build((3, "pool", 4), (2, 4, 5), render_norm=norm)
    model = RenderingModel(net)
    path = model.even_path(2, np.random.default_rng(0))
    for block in range(2):
        gradient = model.gradient(model.code([0, 2]), path, block)
        moved = [each.copy() for each in path]
        step = np.random.default_rng(1).standard_normal(moved[block].shape).astype(np.float32)
        moved[block] += mx.nd.array(step)
        found = (model.prior_score([0, 2], moved) - model.prior_score([0, 2], path)).asnumpy()
        np.testing.assert_allclose(found, (gradient * step).sum((1, 2, 3)), rtol=1e-3, atol=1e-4)
        assert np.abs(gradient).max() > 1e-3


LATENTS = [
    States((2, 3), np.array([0.0, 0.25])), States((4,), 0.1), TiledWindows((2, 5, 4), (2, 2), 0.0),
    TiledWindows((1, 4, 4), (2, 2), 0.2), TiledWindows((2, 3, 3), (3, 3)),
    OverlappingWindows(2, np.array([[True, True], [False, True], [True, False]])),
]  # fmt: skip


@pytest.mark.parametrize("latent", LATENTS, ids=lambda latent: type(latent).__name__)
def test_outcomes_are_what_the_maps_say(latent: Any) -> None:
    """Encoding is the inverse of decoding; an outcome is worth what its pixels are, times the gradient."""
    rng = np.random.default_rng(0)
    possible = np.isfinite(latent.log_weights) & np.ones((latent.variables, 1), dtype=bool)
    outcomes = np.array([[rng.choice(np.flatnonzero(row)) for row in possible] for _ in range(5)])
    maps = latent.decode(outcomes)
    assert maps.shape == (5, *latent.shape) and maps.dtype == np.float32
    np.testing.assert_array_equal(latent.encode(maps), outcomes)
    gradient = rng.standard_normal(maps.shape).astype(np.float32)
    worth = np.take_along_axis(latent.worth(gradient), outcomes[:, :, None].astype(int), axis=2).sum((1, 2))
    np.testing.assert_allclose(worth, (maps * gradient).reshape(5, -1).sum(1), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(latent.outcomes, possible.sum(axis=1))


def test_a_window_of_ties_has_one_winner() -> None:
    """The first, so that rendering is the transpose where the network itself lets all win."""
    net = tiny.build((2, "pool", 2), (1, 4, 4), **{**PLAIN, "slope": 0.1})
    x = mx.nd.ones((1, 1, 4, 4))
    net.layers[0].convolution.weight.set_data(mx.nd.zeros((2, 1, 3, 3)))
    model = RenderingModel(net)
    inferred = model.infer(x)
    assert (inferred.path[0].asnumpy() != 0).sum() == 8
    rendering = model.render(inferred.label, inferred.path)
    own = mx.nd.sum(rendering.image * x) + rendering.eta
    expected = inferred.logits.asnumpy()[0] - model.class_bias()
    np.testing.assert_allclose(own.asscalar(), expected[int(inferred.label.asscalar())], rtol=1e-5)


def test_norms_are_explained() -> None:
    notes: Dict[Tuple[str, str], str] = {}
    for norm, render_norm in (("none", "none"), ("batch", "none"), ("batch", "batch")):
        net = tiny.build(norm=norm, render_norm=render_norm)
        notes[norm, render_norm] = RenderingModel(net).note
    assert notes["none", "none"] == ""
    assert "folded into the filters" in notes["batch", "none"]
    assert "surrogate" in notes["batch", "batch"]


def mistakes() -> List[Tuple[Any, str]]:
    net = initialise(get_model("digits_cnn", 10, (1, 8, 8), **PLAIN))
    model = RenderingModel(net)
    path = model.zero_path()
    flat = initialise(get_model("digits_resnet", 10, (1, 8, 8), render=False))
    return [
        (lambda: model.prior_score([10], path), "class 10: the model has classes 0 to 9"),
        (lambda: model.render([-1], path), "class -1"),
        (lambda: model.code([0.5]), "class 0.5"),
        (lambda: RenderingModel(net, temperature=0), "temperature sigma^2: 0 "),
        (lambda: RenderingModel(net, temperature=-1.5), "temperature sigma^2: -1.5 "),
        (lambda: RenderingModel(net, temperature=float("nan")), "temperature sigma^2: nan "),
        (lambda: RenderingModel(net, branch=1), "there is none 1"),
        (lambda: RenderingModel(flat), "does not render"),
        (lambda: Enumeration(model), "2^3584.0 rendering paths, too many to enumerate (at most 2^18)"),
    ]


def test_mistakes() -> None:
    for call, message in mistakes():
        with pytest.raises(ModelError) as caught:
            call()
        assert message in str(caught.value)
        assert len(str(caught.value).splitlines()) <= 2


def test_a_network_of_a_zoo_kind_is_a_model_too() -> None:
    """Batch norms, an overlapping padded max-pooling, a global pooling: score = <h(0), x> + eta."""
    from mxnet.gluon import nn

    base = nn.HybridSequential()
    base.add(
        nn.Conv2D(3, 3, padding=1, use_bias=False, in_channels=2), nn.BatchNorm(in_channels=3),
        nn.PReLU(), nn.MaxPool2D(3, 2, 1), nn.Conv2D(4, 3, padding=1, in_channels=3), nn.Activation("relu"),
        nn.MaxPool2D(2, 2), nn.Conv2D(3, 1, in_channels=4), nn.LeakyReLU(0.2), nn.GlobalMaxPool2D(),
        nn.Flatten(), nn.Dense(3, in_units=3),
    )  # fmt: skip
    net = nrm(base, 3, (2, 10, 9), render_norm="none", path_norm="none")
    net.initialize()
    redraw(net, np.random.default_rng(3), False)
    for parameter in net.collect_params(".*running_var").values():
        parameter.set_data(mx.nd.abs(parameter.data()) + 0.5)
    model = RenderingModel(net)
    kinds = [type(latent).__name__ for latent in model.latents]
    assert kinds == ["States", "OverlappingWindows", "TiledWindows", "TiledWindows"]
    x = tiny.images(net)
    inferred = model.infer(x)
    for label in range(3):
        rendering = model.render([label] * 5, inferred.path)
        own = mx.nd.sum(rendering.image * x, axis=(1, 2, 3)) + rendering.eta
        expected = inferred.logits.asnumpy()[:, label] - model.class_bias()[label]
        np.testing.assert_allclose(own.asnumpy(), expected, rtol=1e-4, atol=1e-4)
