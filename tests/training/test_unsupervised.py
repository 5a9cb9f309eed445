"""A run without labels: what it trains on, its evaluation, its row in a table; errors without matching."""

from __future__ import annotations

import json
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from short_runs import (
    FULL,
    UNSUPERVISED,
    built,
    differences,
    fit_without_pictures,
    full_weights,
    recipe,
    trainer_of,
    values,
)

from gluon_nrm.runs.averages import group_mean_std, to_markdown
from gluon_nrm.runs.evaluation_record import read_evaluation
from gluon_nrm.runs.tables import collect, read_csv, write_csv
from gluon_nrm.training.describe_evaluation import evaluation_text
from gluon_nrm.training.evaluate import evaluate_network
from gluon_nrm.training.evaluate_run import evaluate_run


def test_no_label_is_used() -> None:
    """The objective sees unlabelled batches alone, and the network learns from them."""
    parts = built(UNSUPERVISED)
    assert not len(parts.split.labelled) and parts.objective.names[-1] == "balance"
    trainer, before = trainer_of(parts), values(parts.net)
    for number, step in enumerate(parts.streams.epoch(0), 1):
        assert not len(step.labelled.labels) and step.unlabelled is not None
        np.testing.assert_array_equal(step.unlabelled.labels, -np.ones(8))
        (terms,) = parts.step(step, full_weights(parts), trainer, number)
        assert terms.name == "unlabelled" and np.isfinite(terms.means()).all()
    assert len(differences(values(parts.net), before)) > 5


def test_clusters_are_matched_before_errors_are_counted() -> None:
    parts = built(UNSUPERVISED)
    plain = evaluate_network(parts.net, parts.evaluation(), mx.cpu())
    matched = evaluate_network(parts.net, parts.evaluation(), mx.cpu(), clusters=True)
    assert plain.clustering is None and matched.clustering is not None
    assert sorted(matched.errors) == sorted(plain.errors) == ["", "_max", "_min"]
    assert all(matched.errors[name] <= plain.errors[name] for name in plain.errors)
    own = np.array(matched.clustering.match)[plain.predicted.classes]
    np.testing.assert_array_equal(matched.predicted.classes, own)
    assert matched.errors[""] == pytest.approx(100 * np.mean(own != plain.predicted.labels))


def test_a_run_its_evaluation_and_its_table(tmp_path: Path) -> None:
    run = fit_without_pictures(recipe(UNSUPERVISED), root=tmp_path)
    row = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[-1])
    record = read_evaluation(run.path / "evaluation.json")
    assert record.clustering is not None
    assert row["clustering/student_nmi"] == pytest.approx(record.clustering.nmi)
    assert row["clustering/student_ari"] == pytest.approx(record.clustering.ari)
    assert row["error/student"] == pytest.approx(100 - record.clustering.accuracy) == record.error
    text = evaluation_text(evaluate_run(run.path, devices="cpu"))
    assert "clusters accuracy" in text and "best one-to-one match" in text
    rows = collect([run.path])
    write_csv(rows, tmp_path / "table.csv")
    again = read_csv(tmp_path / "table.csv")
    for each in (rows, again):
        table = to_markdown(group_mean_std(each))
        assert "| NMI | ARI |" in table and f"{rows[0]['nmi_last']:.3f}" in table
        assert "best one-to-one match" in table


def test_a_table_with_labels_has_no_such_columns(tmp_path: Path) -> None:
    run = fit_without_pictures(recipe(FULL, "train.epochs=1", "train.epoch_steps=1"), root=tmp_path)
    assert "clustering" not in (run.path / "evaluation.json").read_text()
    write_csv(collect([run.path]), tmp_path / "table.csv")
    assert "nmi" not in (tmp_path / "table.csv").read_text()
    assert "NMI" not in to_markdown(group_mean_std(read_csv(tmp_path / "table.csv")))
