"""The sampler draws from the enumerated prior, at any temperature; runs can be repeated; bad input."""

from __future__ import annotations

from typing import Any, List, Tuple

import mxnet as mx
import numpy as np
import pytest
import tiny
from scipy import stats
from tiny_models import MODELS, redraw

from gluon_nrm.errors import ModelError
from gluon_nrm.probability import Enumeration, GibbsSampler, RenderingModel
from gluon_nrm.probability.generate import draw, parse_classes, sweeps
from gluon_nrm.probability.most_probable_path import most_probable_path

CHAINS, DRAWS = 2000, 100
#: Sweeps from one draw of a chain to the next.
THIN = 2


def model_of(name: str, temperature: float) -> RenderingModel:
    """A tiny model whose paths differ much in their prior."""
    net = MODELS[name]()
    redraw(net, np.random.default_rng(5), False)
    for parameter in net.collect_params().values():
        parameter.set_data(parameter.data() * 1.5)
    return RenderingModel(net, temperature=temperature)


def index_of(enumeration: Enumeration, outcomes: List[np.ndarray]) -> np.ndarray:
    """Number of each path in the enumeration, (B,)."""
    rows = {row.tobytes(): i for i, row in enumerate(_rows(enumeration.outcomes))}
    return np.array([rows[row.tobytes()] for row in _rows(outcomes)])


def _rows(outcomes: List[np.ndarray]) -> np.ndarray:
    return np.ascontiguousarray(np.concatenate([each.astype(np.uint8) for each in outcomes], axis=1))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("name", ["two_layers", "pool_small", "skip"])
def test_chains_converge_to_the_enumerated_prior(name: str, temperature: float) -> None:
    """Total variation below 0.02 at 200,000 draws, and a chi-square test."""
    drawn, enumeration = sample(name, temperature)
    counts = np.bincount(drawn.ravel(), minlength=len(enumeration))
    assert counts.sum() == 200_000
    assert distance(counts, enumeration) < 0.02
    assert chi_square(drawn[::10], enumeration) > 0.01
    # which tells another temperature apart
    other = Enumeration(model_of(name, temperature * 2))
    assert distance(counts, other) > 0.02
    assert chi_square(drawn[::10], other) < 1e-6


def test_overlapping_windows_are_drawn_too() -> None:
    """2,048 paths: the noise of 200,000 exact draws alone is a total variation of 0.04."""
    drawn, enumeration = sample("skip_overlapping", 1.0)
    assert chi_square(drawn[::10], enumeration) > 0.01


def sample(name: str, temperature: float) -> Tuple[np.ndarray, Enumeration]:
    """Numbers of the paths drawn, (draws, chains)."""
    model = model_of(name, temperature)
    enumeration = Enumeration(model)
    sampler = GibbsSampler(model, [1] * CHAINS, seed=0)
    found = [index_of(enumeration, each) for each in sampler.run(DRAWS, burn_in=30, thin=THIN)]
    return np.array(found), enumeration


def distance(counts: np.ndarray, enumeration: Enumeration) -> float:
    """Total variation between the draws and the prior."""
    return float(0.5 * np.abs(counts / counts.sum() - np.exp(enumeration.log_prior(1))).sum())


def chi_square(drawn: np.ndarray, enumeration: Enumeration) -> float:
    """Probability of a larger statistic if the draws are the prior's, and (20 sweeps apart) independent.

    Paths expected fewer than five times are counted together.
    """
    counts = np.bincount(drawn.ravel(), minlength=len(enumeration))
    expected = np.exp(enumeration.log_prior(1)) * counts.sum()
    often = expected >= 5
    observed = np.append(counts[often], counts[~often].sum())
    predicted = np.append(expected[often], expected[~often].sum())
    observed, predicted = observed[predicted > 0], predicted[predicted > 0]
    statistic = ((observed - predicted) ** 2 / predicted).sum()
    return float(stats.chi2.sf(statistic, len(observed) - 1))


def test_the_seed_and_nothing_else_decides() -> None:
    model = RenderingModel(tiny.build((2, "pool", 2), (1, 4, 4), render_norm="none"))
    first, again, other = (GibbsSampler(model, [0, 1, 2], seed) for seed in (3, 3, 4))
    mx.random.seed(1)
    np.random.seed(1)
    for sampler in (first, again, other):
        for _ in range(3):
            sampler.sweep()
        mx.random.seed(2)
    same = [np.array_equal(a, b) for a, b in zip(first.outcomes, again.outcomes)]
    assert all(same)
    assert not all(np.array_equal(a, b) for a, b in zip(first.outcomes, other.outcomes))
    for map_, outcomes, latent in zip(first.path, first.outcomes, model.latents):
        np.testing.assert_array_equal(map_.asnumpy(), latent.decode(outcomes))


def test_cold_chains_find_the_most_probable_path() -> None:
    model = model_of("two_layers", 1e-4)
    enumeration = Enumeration(model)
    sampler = GibbsSampler(model, [0] * 200, seed=1)
    list(sampler.run(1, burn_in=50))
    found = enumeration.eta(0)[index_of(enumeration, sampler.outcomes)]
    assert found.max() == enumeration.eta(0).max()


@pytest.mark.parametrize("name", ["two_layers", "pool", "leaky", "skip", "skip_overlapping"])
def test_the_most_probable_path_is_found(name: str) -> None:
    """In tiny models the best of all; the zero image's path is another one where filters have both signs."""
    model = model_of(name, 1.0)
    enumeration, path = Enumeration(model), most_probable_path(model, [1, 0])
    found = model.prior_score([1, 0], path).asnumpy()
    np.testing.assert_allclose(found, [enumeration.eta(1).max(), enumeration.eta(0).max()], rtol=1e-5)
    zero = [mx.nd.repeat(map_, 2, axis=0) for map_ in model.zero_path()]
    assert (found >= model.prior_score([1, 0], zero).asnumpy() - 1e-5).all()


def test_a_start_is_where_the_chains_begin() -> None:
    model = model_of("two_layers", 1.0)
    sampler = GibbsSampler(model, [0, 1, 1], start=model.zero_path())
    for map_, zero in zip(sampler.path, model.zero_path()):
        np.testing.assert_array_equal(map_.asnumpy(), np.repeat(zero.asnumpy(), 3, axis=0))


def test_draws_are_grouped_by_class() -> None:
    model = RenderingModel(tiny.build((2, "pool", 2), (1, 4, 4), render_norm="none"), temperature=0.5)
    drawn = draw(model, [2, 0], 5, chains=2, burn_in=3, thin=2, seed=1)
    np.testing.assert_array_equal(drawn.labels, [2] * 5 + [0] * 5)
    assert drawn.images.shape == (10, 1, 4, 4) and [len(each) for each in drawn.features] == [10, 10]
    # the third of a class comes from the first chain's second round
    sampler = GibbsSampler(model, [2, 2, 0, 0], seed=1)
    rounds = [model.render([2, 2, 0, 0], sampler.path).eta.asnumpy() for _ in sampler.run(3, 3, 2)]
    expected = [rounds[0][0], rounds[0][1], rounds[1][0], rounds[1][1], rounds[2][0]]
    np.testing.assert_allclose(drawn.eta[:5], expected, rtol=1e-6)
    noisy = draw(model, [2, 0], 5, chains=2, burn_in=3, thin=2, seed=1, noise=True)
    assert 0.5 < (noisy.images - drawn.images).var() / 0.5 < 1.5
    assert sweeps(5, 2, 3, 2) == 9 and sweeps(5, None, 3, 2) == 5


@pytest.mark.parametrize(
    ("text", "expected"), [("0-2", [0, 1, 2]), ("2,0", [2, 0]), ("1", [1]), ("0,1-2", [0, 1, 2])]
)
def test_classes_are_read(text: str, expected: List[int]) -> None:
    assert parse_classes(text, 3) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [("3", "class 3: the model has classes 0 to 2"), ("0-5", "class 5"), ("x", "'x' is no class"),
     ("2-1", "runs backwards"), ("", "'' is no class"), ("-1", "'-1' is no class")],
)  # fmt: skip
def test_mistakes_in_classes(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parse_classes(text, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: GibbsSampler(model, []), "no class to draw"),
        (lambda model: GibbsSampler(model, [2]), "class 2"),
        (lambda model: list(GibbsSampler(model, [1]).run(0)), "samples: 0"),
        (lambda model: list(GibbsSampler(model, [1]).run(1, burn_in=-1)), "burn-in: -1"),
        (lambda model: list(GibbsSampler(model, [1]).run(1, thin=0)), "thinning: 0"),
        (lambda model: draw(model, [0], 0), "0 samples"),
        (lambda model: draw(model, [0], 2, chains=3), "2 samples from 3 chains"),
    ],
)
def test_mistakes(call: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        call(model_of("one_layer", 1.0))
