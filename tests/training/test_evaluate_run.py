"""Evaluation of a run by class: its files, its text, and curves that are drawn while it trains."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import picture_files as files
import pytest
from short_runs import FULL, SUPERVISED, recipe

from gluon_nrm.errors import RunError, Stopped
from gluon_nrm.runs.curves import draw_curves
from gluon_nrm.runs.evaluation_record import (
    EvaluationRecord,
    Predicted,
    class_results,
    confused_pairs,
    confusion_counts,
    read_evaluation,
)
from gluon_nrm.runs.run_folder import RunFolder
from gluon_nrm.training import fit as fit_module
from gluon_nrm.training import loop
from gluon_nrm.training.describe_evaluation import class_lines, closing_lines, error_line, evaluation_text
from gluon_nrm.training.evaluate_run import errors_of_row, evaluate_run, write_files
from gluon_nrm.training.fit import fit
from gluon_nrm.training.progress import Progress

pytestmark = pytest.mark.filterwarnings("ignore:.* is not used by any computation")

CLASSES = ("apple", "bee, small", "cat")


def rows_of(path: Path) -> List[Dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def train(root: Path, text: str, *overrides: str) -> RunFolder:
    return fit(recipe(text, *overrides), root=root, devices="cpu", stream=io.StringIO())


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of one epoch on image files."""
    folder = tmp_path_factory.mktemp("photos")
    files.class_folders(folder / "m", dict.fromkeys(CLASSES, 20), height=12, width=12)
    data = f"data: {{name: folder, path: {folder / 'm'}, labels: 6}}"
    short = ("train.epochs=1", "train.epoch_steps=1", "model.channels=[4, pool, 4]")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_module, "draw", lambda *_: None)
        return train(folder / "runs", data + FULL[FULL.index("\n") :], *short)


def test_files_of_a_run_on_image_files(photos: RunFolder) -> None:
    """Written at the end of training; every number follows from predictions.csv."""
    rows, record = rows_of(photos.path / "predictions.csv"), read_evaluation(photos.path / "evaluation.json")
    facts = photos.facts()
    assert facts is not None and [row["file"] for row in rows] == facts.test.names
    assert [row["true_class"] for row in rows] == [name for name in CLASSES for _ in range(4)]
    wrong = Counter(row["true_class"] for row in rows if row["true_class"] != row["predicted_class"])
    assert [(each.name, each.images, each.wrong) for each in record.classes] == [
        (name, 4, wrong[name]) for name in CLASSES
    ]
    last = photos.read_metrics()[-1]
    assert record.error == pytest.approx(100 * sum(wrong.values()) / 12) == last["error/teacher"]
    assert record.errors == {key[6:]: value for key, value in last.items() if key.startswith("error/")}
    pairs = Counter((row["true_class"], row["predicted_class"]) for row in rows)
    assert {(each.true, each.predicted): each.images for each in record.confusions} == {
        pair: count for pair, count in pairs.items() if pair[0] != pair[1]
    }
    assert all(1 / 3 <= float(row["probability"]) <= 1 for row in rows)
    assert {path.name for path in photos.figures.iterdir()} == {"confusion.png", "mistakes.png"}


def test_evaluate_gives_the_same(photos: RunFolder) -> None:
    found = evaluate_run(photos.path, devices="cpu")
    assert found.record == read_evaluation(photos.path / "evaluation.json")
    rows, wrong = rows_of(photos.path / "predictions.csv"), found.predictions.predicted.wrong
    confident = sorted((-float(row["probability"]), row["file"]) for row, no in zip(rows, wrong) if no)
    shown = [(each.name, round(each.probability, 6)) for each in found.mistakes]
    assert sorted(shown) == sorted((file, -minus) for minus, file in confident)
    assert [probability for _, probability in shown] == sorted((p for _, p in shown), reverse=True)
    assert all(each.image.shape == (3, 12, 12) for each in found.mistakes)
    text = evaluation_text(found)
    assert f"teacher  error {found.record.error:.2f} % (Max branch " in text and ", Min branch " in text
    assert "class (teacher, " in text


def test_the_last_lines_of_training(photos: RunFolder) -> None:
    log = (photos.path / "train.log").read_text(encoding="utf-8").splitlines()
    found = evaluate_run(photos.path, devices="cpu")
    assert [line[21:] for line in log[-5:]] == closing_lines(found, renders=True)
    assert log[-5].endswith(f"  {error_line(found.record)}") and error_line(found.record).endswith(
        "(teacher)"
    )
    assert "plot" in closing_lines(found, renders=False)[3]


def test_another_part_has_files_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "draw", lambda *_: None)
    run = train(tmp_path, SUPERVISED, "train.epochs=1", "train.epoch_steps=1", "data.validation=50")
    before = (run.path / "evaluation.json").read_bytes()
    rows = rows_of(run.path / "predictions.csv")
    facts = run.facts()
    assert facts is not None and [int(row["image"]) for row in rows] == facts.validation
    assert json.loads(before)["part"] == "validation" and {row["file"] for row in rows} == {""}
    found = evaluate_run(run.path, devices="cpu", part="test")
    names = ["evaluation_test.json", "predictions_test.csv", "confusion_test.png", "mistakes_test.png"]
    assert [path.name for path in write_files(found)] == names
    assert (run.path / "evaluation.json").read_bytes() == before
    assert len(rows_of(run.path / "predictions_test.csv")) == 500 == found.images
    assert found.mistakes[0].name.startswith("image ")
    (run.path / "evaluation.json").unlink()
    (run.path / "evaluation.json").mkdir()
    with pytest.raises(RunError, match=r"cannot write .*evaluation\.json"):
        write_files(evaluate_run(run.path, devices="cpu"))


def test_errors_of_a_row() -> None:
    row = {
        "epoch": 1,
        "error/student": 2.0,
        "error/student_max": 3.0,
        "error/teacher": None,
        "loss/total": 1.0,
    }
    assert errors_of_row(row, ["student", "teacher"]) == {"student": {"": 2.0, "_max": 3.0}}


def test_a_hundred_classes_are_ten_lines() -> None:
    names, rng = [f"kind {k}\n" for k in range(100)], np.random.default_rng(0)
    labels = np.repeat(np.arange(100), 10)
    guesses = np.where(rng.random(1000) < 0.3, rng.integers(0, 100, 1000), labels)
    counts = confusion_counts(Predicted(labels, guesses, np.ones(1000)), 100)
    given: Dict[str, Any] = dict.fromkeys(EvaluationRecord.__dataclass_fields__)
    given.update(network="student", classes=class_results(counts, names))
    lines = class_lines(EvaluationRecord(**{**given, "confusions": confused_pairs(counts, names)}))
    assert len(lines) == 11 and lines[0].startswith("class (student, the 10 worst of 100 classes)")
    errors = [float(line.split("%")[0].split()[-1]) for line in lines[1:]]
    assert errors == sorted(errors, reverse=True) and errors[0] == max(
        each.error for each in given["classes"]
    )
    assert r"kind" in lines[1] and r"\n" in lines[1]
    right = class_results(np.diag([3, 4]), ["a", "b"])
    assert class_lines(EvaluationRecord(**{**given, "classes": right, "confusions": []})) == [
        "no mistake of the student on any class"
    ]


def test_curves_are_drawn_at_checkpoints_and_after_ctrl_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: List[int] = []
    monkeypatch.setattr(loop, "draw_curves", lambda run: drawn.append(len(run.read_metrics())))
    monkeypatch.setattr(loop, "REDRAW_AFTER", 0.0)
    monkeypatch.setattr(fit_module, "draw", lambda *_: None)
    short = ("train.epoch_steps=1", "data.validation=0")
    train(tmp_path / "a", SUPERVISED, "train.epochs=3", "train.checkpoint_every_epochs=2", *short)
    assert drawn == [2, 3]
    # a figure that cannot be drawn is no reason to stop
    monkeypatch.setattr(
        loop, "draw_curves", lambda run: draw_curves(run, tmp_path / "nowhere" / "curves.png")
    )
    stream = io.StringIO()
    fit(recipe(SUPERVISED, "train.epochs=1", *short), root=tmp_path / "b", devices="cpu", stream=stream)
    assert "cannot draw" in stream.getvalue() and "finished: " in stream.getvalue()
    monkeypatch.setattr(loop, "draw_curves", draw_curves)
    monkeypatch.setattr(loop, "REDRAW_AFTER", 1e9)
    epoch = Progress.epoch

    def stop(self: Progress, row: Any) -> None:
        epoch(self, row)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Progress, "epoch", stop)
    with pytest.raises(Stopped):
        train(tmp_path / "c", SUPERVISED, "train.epochs=3", *short)
    assert [path.name for path in (tmp_path / "c" / "short-s0" / "figures").iterdir()] == ["curves.png"]
