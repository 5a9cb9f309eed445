"""Forms of path normalisation beside -log pi(z*|y): the figures of one model, rank correlation and table."""

from __future__ import annotations

from pathlib import Path
from typing import List

import mxnet as mx
import numpy as np
import pytest
import tiny_models
from short_runs import SAMPLED, fit_without_pictures, recipe

from benchmarks.prior import forms_against_exact
from benchmarks.prior.forms_against_exact import (
    Line,
    csv_text,
    enumerated,
    form_values,
    negative_log_priors,
    rank_correlation,
    spread,
    table,
    trained,
)
from gluon_nrm.probability import Enumeration, RenderingModel

NAN = float("nan")


def test_rank_correlation_by_hand() -> None:
    """Ranks 1, 2, 3.5, 3.5 against 1, 3, 2, 4; Pearson's correlation of the ranks."""
    found = rank_correlation(np.array([1.0, 2.0, 5.0, 5.00001]), np.array([0.0, 20.0, 10.0, 30.0]))
    assert found == pytest.approx(np.corrcoef([1, 2, 3.5, 3.5], [1, 3, 2, 4])[0, 1])
    assert np.isnan(rank_correlation(np.zeros(3), np.arange(3.0)))
    assert np.isnan(rank_correlation(np.arange(3.0), np.full(3, 7.0)))


def test_the_negative_log_prior_is_that_of_the_enumeration() -> None:
    """The inferred path is looked up among all paths; of its configurations one is counted."""
    net = tiny_models.MODELS["two_layers"](path_norm="exact")
    tiny_models.redraw(net, np.random.default_rng(3), False)
    model = RenderingModel(net)
    enumeration = Enumeration(model)
    x = mx.nd.array(np.random.default_rng(4).standard_normal((20, *net.input_shape)))
    log_z = np.array([enumeration.log_partition(label) for label in range(2)])
    found, labels = negative_log_priors(model, x, log_z)
    every = np.concatenate(enumeration.outcomes, axis=1)
    own = np.concatenate(model.outcomes(x), axis=1)
    for value, label, outcome in zip(found, labels, own):
        (place,) = np.flatnonzero((every == outcome).all(axis=1))
        log_prior = enumeration.log_prior(label)[place] - enumeration.log_weights[place]
        assert value == pytest.approx(-log_prior, abs=1e-4)
    assert form_values(net, x, labels) == pytest.approx(found, abs=1e-4)


@pytest.mark.parametrize("name", ["two_layers", "pool_small"])
def test_forms_of_an_enumerated_model(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Exact: no bias. Sampled: its bias is minus the entropy of the prior, so it is never above 0."""
    monkeypatch.setattr(forms_against_exact, "CHAINS", 400)
    monkeypatch.setattr(forms_against_exact, "BURN_IN", 20)
    lines = {line.form: line for line in enumerated(name, False, 1)}
    assert list(lines) == ["layerwise", "mode", "sampled", "exact"]
    assert lines["exact"].rank == pytest.approx(1.0) and lines["exact"].bias == pytest.approx(0.0, abs=1e-4)
    assert all(line.nats == pytest.approx(lines["exact"].nats) for line in lines.values())
    assert lines["mode"].rank > lines["layerwise"].rank
    net = tiny_models.MODELS[name](path_norm="exact")
    tiny_models.redraw(net, np.random.default_rng(1), False)
    model = RenderingModel(net)
    enumeration = Enumeration(model)
    x = mx.nd.array(np.random.default_rng(1).standard_normal((200, *net.input_shape)))
    labels = model.infer(x).label.asnumpy().astype(int)
    entropies = []
    for label in range(2):
        log_prior = enumeration.log_prior(label)
        entropies.append(-(np.exp(log_prior) * (log_prior - enumeration.log_weights)).sum())
    expected = -np.mean(np.array(entropies)[labels])
    assert lines["sampled"].bias == pytest.approx(expected, abs=0.25)


def test_forms_of_a_trained_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The forms that need no enumeration, all of one run's network, whatever form it was trained with."""
    monkeypatch.setattr(forms_against_exact, "ANNEALING", (2, 1, 3))
    monkeypatch.setattr(forms_against_exact, "TRAINED_BURN_IN", 2)
    monkeypatch.setattr(forms_against_exact, "TRAINED_CHAINS", 1)
    short = recipe(SAMPLED, "train.epochs=1", "train.epoch_steps=1")
    lines = trained(fit_without_pictures(short, root=tmp_path).path, 0)
    assert [line.form for line in lines] == ["layerwise", "mode", "sampled"]
    assert len({round(line.nats, 3) for line in lines}) == 1 and lines[0].spread > 0
    assert all(np.isfinite(line.bias) for line in lines)


def test_table_by_hand() -> None:
    lines: List[Line] = [
        Line("m", "both signs", 0, "layerwise", 0.5, -1.0, 6.0, 0.0),
        Line("m", "both signs", 1, "layerwise", NAN, -3.0, 8.0, 0.0),
        Line("m", "both signs", 0, "exact", 1.0, -0.001, 6.0, 0.0),
        Line("m", "both signs", 1, "exact", 1.0, 0.0, 8.0, 0.0),
        Line("run", "trained", 0, "layerwise", NAN, 2.0, 5.0, 0.5),
    ]
    rows = table(lines).splitlines()
    cells = ["m", "both signs", "2", "7.0 ± 1.4", "0.50 (1 constant)", "-2.0 ± 1.4", *[""] * 4]
    assert rows[2] == "| " + " | ".join([*cells, "1.00 ± 0.00", "0.0 ± 0.0"]) + " |"
    assert rows[3] == "| run | trained | 1 | 5.0 | constant | 2.0 |  |  |  |  |  |  |" and len(rows) == 4
    assert rows[0].count("|") == rows[1].count("|") == rows[2].count("|")
    assert csv_text(lines).splitlines()[1] == "m,both signs,0,layerwise,0.5000,-1.0000,6.0000,0.0000"
    assert spread([], 1) == ""
