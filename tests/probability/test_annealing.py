"""log Z by annealed importance sampling against enumeration; its spread; bad input."""

from __future__ import annotations

from typing import Any, Dict

import numpy as np
import pytest
from tiny_models import MODELS

from benchmarks.likelihood import NAMES, compare_partitions, pair_of
from gluon_nrm.errors import ModelError
from gluon_nrm.probability import Enumeration, RenderingModel
from gluon_nrm.probability.annealing import estimate_log_partition, log_configurations


@pytest.mark.parametrize("name", NAMES)
def test_log_z_is_within_a_twentieth_of_a_nat(name: str) -> None:
    found = compare_partitions(pair_of(name, seed=2)["exact"], seed=2, sweeps=40, chains=100)
    assert np.abs(found["error"]).max() < 0.05
    assert 0 < max(found["spread"]) < 0.1
    assert np.ptp(found["log_z"]) > 0.05  # the classes differ


def test_one_step_is_importance_sampling_from_the_flat_prior() -> None:
    """Of which the spread is much larger; sigma^2 is taken into account."""
    net = pair_of("two_layers", seed=2)["exact"]
    model = RenderingModel(net, temperature=0.3)
    rough, fine = (estimate_log_partition(model, [0, 1], chains=50, sweeps=n) for n in (1, 100))
    assert rough.runs.shape == (3, 2) and rough.spread.max() > 3 * fine.spread.max()
    expected = [Enumeration(model).log_partition(label) for label in (0, 1)]
    np.testing.assert_allclose(fine.log_z, expected, atol=0.1)


@pytest.mark.parametrize("name", MODELS)
def test_flat_prior(name: str) -> None:
    """Number of configurations, by enumeration."""
    enumeration = Enumeration(RenderingModel(MODELS[name]()))
    expected = np.log(np.exp(enumeration.log_weights).sum())
    np.testing.assert_allclose(log_configurations(enumeration.model.latents), expected, rtol=1e-6)


BAD: Dict[str, Dict[str, Any]] = {
    "0 sweeps; give at least 1": {"sweeps": 0},
    "0 chains": {"chains": 0},
    "0 runs": {"runs": 0},
    "class 2": {"classes": [2]},
}


@pytest.mark.parametrize("message", BAD)
def test_mistakes(message: str) -> None:
    model = RenderingModel(MODELS["one_layer"]())
    with pytest.raises(ModelError, match=message):
        estimate_log_partition(model, **{"classes": [0], **BAD[message]})
