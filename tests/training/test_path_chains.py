"""The chains of sampled path normalisation: kept, copied to all devices, saved; chains that do not fit."""

from __future__ import annotations

from typing import Any, Dict

import mxnet as mx
import numpy as np
import pytest
from short_runs import SAMPLED, a_step, built, full_weights

from gluon_nrm.distributed.workers import Workers
from gluon_nrm.errors import CheckpointError, ModelError, RecipeError
from gluon_nrm.recipe.schema import Sampling
from gluon_nrm.training import path_chains
from gluon_nrm.training.assemble import Parts
from gluon_nrm.training.path_chains import PathChains

NO_NORM = "model.norm=none"


def chains_of(parts: Parts, worker: int = 0) -> PathChains:
    return PathChains(parts.net, parts.recipe.loss.sampling, 0, mx.cpu(0), worker)


def outcomes(chains: PathChains) -> np.ndarray:
    return np.concatenate([each.astype(int) for each in chains.sampler.outcomes], axis=1)


def test_chains_go_on_from_step_to_step() -> None:
    """Draws depend on seed, worker and step only, not on the step before or on who drew in between."""
    parts = built(SAMPLED)
    first, again, other = chains_of(parts), chains_of(parts), chains_of(parts, worker=1)
    start = outcomes(first)
    assert start.shape == (20, 4 * 16 + 4 * 16)
    for chains in (first, again, other):
        for step in (1, 2):
            chains.advance(step)
            np.random.seed(step)
    assert np.array_equal(outcomes(first), outcomes(again))
    assert not np.array_equal(outcomes(first), outcomes(other))
    assert not np.array_equal(outcomes(first), start)


def test_what_is_saved_is_restored() -> None:
    parts = built(SAMPLED)
    chains = chains_of(parts)
    chains.advance(1)
    arrays = chains.arrays(Workers())
    assert {name: array.dtype for name, array in arrays.items()} == {"0.0": np.uint16, "0.1": np.uint16}
    other = chains_of(parts)
    other.load(arrays, "chains.npz")
    for each in (chains, other):
        each.advance(2)
    assert np.array_equal(outcomes(chains), outcomes(other))
    third = chains_of(parts, worker=3)  # of a job that had fewer workers: as worker 0
    third.load(arrays, "chains.npz")
    (found,), (expected,) = third.paths([mx.cpu(0)]), other.paths([mx.cpu(0)])
    assert found.shape == expected.shape == (20, 4 * 64 + 4 * 16)


def spoilt(**changes: Any) -> Dict[str, np.ndarray]:
    arrays = chains_of(built(SAMPLED)).arrays(Workers())
    return {**{name: array for name, array in arrays.items() if changes.get(name, 0) is not None}, **{
        name: array for name, array in changes.items() if array is not None
    }}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"0.1": None}, "entry '0.1' is missing"),
        ({"0.0": None, "0.1": None}, "entry '0.0' is missing"),
        ({"0.0": np.zeros((20, 3), np.uint16)}, "has shape"),
        ({"0.1": np.full((20, 64), 2, np.uint16)}, "no such outcome"),
        ({"0.1": np.zeros((20, 64), np.float32)}, "is float32, not uint16"),
    ],
)
def test_damaged_chains_are_refused(changes: Dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        chains_of(built(SAMPLED)).load(spoilt(**changes), "chains.npz")


def test_two_devices_compare_with_the_same_chains() -> None:
    """Without norms, the terms of every image are those of one device."""
    found = []
    for devices in (1, 2):
        parts = built(SAMPLED, NO_NORM, devices=devices)
        for layer in parts.net.layers:  # the biases start at 0, where all paths are alike
            layer.bias.set_data(mx.nd.array([0.5, -0.3, 0.2, 0.4]))
        streams = parts.step.backward(a_step(), full_weights(parts), 1)
        found.append(np.concatenate([part.asnumpy() for stream in streams for part in stream.parts], axis=1))
        paths = parts.step.chains.paths(parts.devices)
        assert [each.context for each in paths] == parts.devices
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-5)
    assert np.abs(found[0][-1]).max() > 1e-4


def test_a_traced_network_takes_a_step() -> None:
    """One with batch norms and skip connections; eager and hybridised steps agree."""
    changes = ("model.name=digits_resnet", "model.channels=null", "loss.weights.path_norm=1")
    terms = []
    for hybridise in (True, False):
        parts = built(SAMPLED, *changes, hybridise=hybridise)
        (stream, _) = parts.step.backward(a_step(), full_weights(parts), 1)
        terms.append(stream.means())
        names = parts.objective.names
    assert names[-1] == "path_norm" and abs(terms[0][-1]) > 1e-4
    np.testing.assert_allclose(terms[0], terms[1], rtol=1e-3, atol=1e-4)


def test_chains_that_do_not_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_chains, "free_memory", lambda: 1e6)
    with pytest.raises(
        ModelError, match="loss.sampling.chains: 1000 chains .* 0.0 are free;\ngive at most 19$"
    ):
        PathChains(built(SAMPLED).net, Sampling(chains=1000), 0, mx.cpu(0))


@pytest.mark.parametrize("key", ["chains", "sweeps"])
def test_none_is_refused(key: str) -> None:
    with pytest.raises(RecipeError, match=f"loss.sampling.{key}: must be at least 1"):
        built(SAMPLED, f"loss.sampling.{key}=0")
