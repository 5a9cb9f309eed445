"""Names of the clusters of a run without labels: of its evaluation's match, in predictions and in exports."""

from __future__ import annotations

import csv
import json
import re
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import pytest
from PIL import Image
from short_runs import UNSUPERVISED, fit_without_pictures, recipe

from gluon_nrm.errors import RunError
from gluon_nrm.export.export_run import export_run
from gluon_nrm.option_names import command_line
from gluon_nrm.predict.manifest import read_manifest
from gluon_nrm.predict.open_classifier import open_classifier
from gluon_nrm.predict.predict_options import PredictOptions
from gluon_nrm.runs.clusters import cluster_names
from gluon_nrm.runs.evaluation_record import read_evaluation
from gluon_nrm.training.restore import restore

UNMATCHED = [f"cluster {number}" for number in range(10)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two branches, no teacher, evaluated on 50 validation images."""
    return fit_without_pictures(recipe(UNSUPERVISED), root=tmp_path_factory.mktemp("runs")).path


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


def names_of(folder: Path, **options: Any) -> List[str]:
    return open_classifier(folder, PredictOptions(devices="cpu", **options)).class_names


def test_names_by_hand() -> None:
    assert cluster_names(["cat", "dog"], [1, 0]) == ["cluster 0 (class dog)", "cluster 1 (class cat)"]
    assert cluster_names(["cat", "dog"], None) == ["cluster 0", "cluster 1"]


def test_a_prediction_names_the_class_that_the_evaluation_counts(run: Path) -> None:
    """predictions.csv has the class of every validation image, after the match."""
    parts = restore(run, devices="cpu").parts
    classifier = open_classifier(run, PredictOptions(devices="cpu"))
    pixels = np.asarray(parts.evaluated().images, dtype=np.float32)
    clusters = classifier.predict(pixels).probabilities.argmax(axis=1)
    with open(run / "predictions.csv", encoding="utf-8", newline="") as file:
        expected = [row["predicted_class"] for row in csv.DictReader(file)]
    assert len(expected) == 50
    for cluster, label in zip(clusters, expected):
        assert classifier.class_names[cluster] == f"cluster {cluster} (class {label})"


def test_the_command_and_an_export(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((8, 8), 99, np.uint8)).save("grey.png")
    export_run(run, tmp_path / "out", formats=["symbol"])
    match = read_evaluation(run / "evaluation.json").clustering
    assert match is not None
    wanted = [f"cluster {number} (class {label})" for number, label in enumerate(match.match)]
    assert read_manifest(tmp_path / "out").class_names == wanted == names_of(run)
    for folder in (run, tmp_path / "out"):
        with command_line():
            assert import_module("gluon_nrm.cli.predict").main([str(folder), "grey.png", "--top", "1"]) == 0
        line = capsys.readouterr().out.splitlines()[1]
        found = re.match(r"grey\.png +(cluster \d \(class \d\)) +[\d.]+ %$", line)
        assert found is not None and found.group(1) in wanted


@pytest.mark.parametrize("output", ["max", "min"])
def test_a_branch_has_a_match_of_its_own(run: Path, output: str) -> None:
    assert names_of(run, output=output) == UNMATCHED != names_of(run, output="mixture")


Change = Callable[[Dict[str, Any]], None]


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.update(epoch=1),
        lambda value: value.update(network="teacher"),
        lambda value: value.pop("clustering"),
    ],
)
def test_an_evaluation_of_something_else_names_nothing(copy: Path, change: Change) -> None:
    edit(copy / "evaluation.json", change)
    assert names_of(copy) == UNMATCHED


def test_without_an_evaluation(copy: Path) -> None:
    (copy / "evaluation.json").unlink()
    assert names_of(copy) == UNMATCHED


@pytest.mark.parametrize("match", [[0] * 10, list(range(9)), list(range(1, 11))])
def test_a_damaged_match_is_named(copy: Path, match: List[int]) -> None:
    edit(copy / "evaluation.json", lambda value: value["clustering"].update(match=match))
    with pytest.raises(RunError, match=r"evaluation\.json is damaged: clustering\.match .*; evaluate"):
        names_of(copy)


def edit(path: Path, change: Change) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")
