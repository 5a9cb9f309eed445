"""The sampled form of RPN: its gradient against the exact form, its value, temperature, bad input."""

from __future__ import annotations

from typing import Any, Dict

import mxnet as mx
import numpy as np
import pytest
import tiny
from tiny_models import MODELS, redraw

from benchmarks.likelihood import CHAINS, NAMES, compare_gradients, pair_of
from gluon_nrm.errors import ModelError
from gluon_nrm.losses import Objective
from gluon_nrm.models import LayerSpec, NRMOptions
from gluon_nrm.probability import GibbsSampler, RenderingModel


@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_that_of_the_exact_form(name: str) -> None:
    """Within three standard errors of Monte Carlo of 1,000 chains a class, lists of layers and traced."""
    found = compare_gradients(pair_of(name, seed=3), seed=3, burn_in=25)
    assert CHAINS == 1000 and found.distance < 3
    assert found.standard_error < 0.1 * found.exact


def test_chains_of_the_flat_prior_give_another_gradient() -> None:
    """Where no sweep is made, the error is far outside of the noise."""
    assert compare_gradients(pair_of("two_layers", seed=3), seed=3, burn_in=0).distance > 15


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("name", ["pool_small", "skip"])
def test_value_is_the_difference_of_prior_scores(name: str, temperature: float) -> None:
    """Mean eta of the chains minus eta of the inferred path, over sigma^2; eager and hybridised."""
    net = MODELS[name](path_norm="sampled", temperature=temperature)
    redraw(net, np.random.default_rng(3), False)
    model, x, label = RenderingModel(net), tiny.images(net, 4), mx.nd.array([0, 1, 1, 0])
    chains = GibbsSampler(model, [0, 1] * 3, seed=2)
    eta = model.prior_score([0, 1] * 3, chains.path).asnumpy().reshape(3, 2).mean(axis=0)
    own = model.prior_score(label, model.infer(x).path).asnumpy()
    expected = (eta[label.asnumpy().astype(int)] - own) / temperature
    paths = mx.nd.concat(*[mx.nd.flatten(map_) for map_ in chains.path], dim=1)
    objective = Objective(net, ["path_norm"])
    assert objective.inputs == ("image", "label", "chains") and model.temperature == temperature
    np.testing.assert_allclose(objective(x, label, paths).terms.asnumpy()[0], expected, rtol=1e-4, atol=1e-5)
    objective.hybridize(static_alloc=True, static_shape=True)
    np.testing.assert_allclose(objective(x, label, paths).terms.asnumpy()[0], expected, rtol=1e-4, atol=1e-5)
    assert np.abs(expected).max() > 0.1


BAD: Dict[str, Any] = {
    "draw from a surrogate .* set model.render_norm": lambda: NRMOptions(path_norm="sampled"),
    "without dropout and random gates": lambda: Objective(
        tiny.build([LayerSpec(1, pool=2, dropout=0.5)], (1, 2, 4), path_norm="sampled", render_norm="none"),
        ["path_norm"],
    ),
    "model.temperature: must be above 0": lambda: NRMOptions(temperature=0),
    "model.temperature: 2 is the noise variance of a model that renders": lambda: NRMOptions(
        render=False, temperature=2.0
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_mistakes(message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        BAD[message]()
    assert len(str(caught.value).splitlines()) <= 2
