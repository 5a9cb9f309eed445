"""Errors by class, evaluation.json and predictions.csv, compared with counts by hand."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import pytest

from gluon_nrm.errors import RunError
from gluon_nrm.runs import evaluation_record as module
from gluon_nrm.runs.evaluation_record import (
    ConfusedPair,
    EvaluationRecord,
    Predicted,
    class_results,
    confused_pairs,
    confusion_counts,
    mean_class_error,
    read_evaluation,
    write_evaluation,
    write_predictions,
)

NAMES = ["ant", "bee", "cat", "dog"]
#: 4 ants (1 taken for a bee), 3 bees (2 taken for cats), 2 cats, no dog; one ant is taken for a dog
LABELS = [0, 0, 0, 0, 1, 1, 1, 2, 2]
GUESSES = [0, 0, 1, 3, 1, 2, 2, 2, 2]


def predicted() -> Predicted:
    probabilities = np.array([0.9, 0.8, 0.7, 0.99, 0.6, 0.95, 0.7, 0.5, 0.4])
    return Predicted(np.array(LABELS), np.array(GUESSES), probabilities)


def record(**changes: Any) -> EvaluationRecord:
    counts = confusion_counts(predicted(), 4)
    classes = class_results(counts, NAMES)
    given: Dict[str, Any] = dict(
        format=1, recipe="toy", dataset="folder", epoch=2, epochs=5, part="test", images=9, network="teacher",
        error=400 / 9, balanced_error=mean_class_error(classes),
        errors={"student": 50.0, "teacher": 400 / 9, "teacher_max": 60.0}, classes=classes,
        confusions=confused_pairs(counts, NAMES), confusion_matrix=counts.tolist(),
    )  # fmt: skip
    return EvaluationRecord(**{**given, **changes})


def test_counts_by_hand() -> None:
    counts = confusion_counts(predicted(), 4)
    by_hand = np.zeros((4, 4), dtype=int)
    for label, guess in zip(LABELS, GUESSES):
        by_hand[label, guess] += 1
    assert counts.tolist() == by_hand.tolist() == [[2, 1, 0, 1], [0, 1, 2, 0], [0, 0, 2, 0], [0, 0, 0, 0]]
    found = class_results(counts, NAMES)
    assert [(each.name, each.images, each.wrong, each.error) for each in found] == [
        ("ant", 4, 2, 50.0), ("bee", 3, 2, pytest.approx(200 / 3)), ("cat", 2, 0, 0.0), ("dog", 0, 0, None)
    ]  # fmt: skip
    # of the images predicted as it, those that belong to it: 2 of 2, 1 of 2, 2 of 4, 0 of 1
    assert [each.precision for each in found] == [100.0, 50.0, 50.0, 0.0]
    assert class_results(counts[:3, :3] * 0, NAMES[:3])[0].precision is None
    assert mean_class_error(found) == pytest.approx((50 + 200 / 3 + 0) / 3)  # without the dogs


def test_confused_pairs_most_first() -> None:
    pairs = confused_pairs(confusion_counts(predicted(), 4), NAMES)
    assert pairs == [
        ConfusedPair("bee", "cat", 2, pytest.approx(200 / 3)),  # type: ignore[arg-type]
        ConfusedPair("ant", "bee", 1, 25.0),
        ConfusedPair("ant", "dog", 1, 25.0),
    ]
    assert confused_pairs(confusion_counts(predicted(), 4), NAMES, most=1) == pairs[:1]
    assert confused_pairs(np.diag([3, 4]), NAMES[:2]) == []


def test_worst_mistakes_and_classes() -> None:
    assert predicted().worst_mistakes(10).tolist() == [3, 5, 2, 6]  # of equal confidence the first first
    assert predicted().worst_mistakes(2).tolist() == [3, 5]
    assert [each.name for each in record().worst_classes(10)] == ["bee", "ant"]
    assert [each.name for each in record().worst_classes(1)] == ["bee"]


def test_evaluation_json_and_back(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    write_evaluation(record(), path)
    assert read_evaluation(path) == record()
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert stored["confusion_matrix"][1] == [0, 1, 2, 0] and stored["classes"][3]["error"] is None
    assert "    [0, 1, 2, 0],\n" in path.read_text(encoding="utf-8")  # a line for each class
    many = record(confusion_matrix=None)
    write_evaluation(many, path)
    assert read_evaluation(path) == many
    assert [each.name for each in tmp_path.iterdir()] == ["evaluation.json"]
    odd = replace(record().classes[0], name='a "b"\n\udcff')
    write_evaluation(record(classes=[odd]), path)
    assert read_evaluation(path).classes == [odd]


DAMAGED: List[Any] = [
    (lambda value: value.pop("error"), "is damaged: error is missing"),
    (lambda value: value.update(classes=3), "is damaged: classes must be a list"),
    (lambda value: value["classes"][0].update(images="x"), r"classes\.0\.images must be an integer"),
    (lambda value: value.update(format=2), r"written by a newer version \(format 2\)"),
    (lambda value: value["confusion_matrix"][0].append(True), r"confusion_matrix\.0\.4 must be an integer"),
]


@pytest.mark.parametrize(("change", "message"), DAMAGED)
def test_a_damaged_file_is_named(change: Callable[[Any], None], message: str, tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    write_evaluation(record(), path)
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(RunError, match=message) as caught:
        read_evaluation(path)
    assert "evaluate the run again" in str(caught.value)
    with pytest.raises(RunError, match=r"cannot read .*nothing\.json"):
        read_evaluation(tmp_path / "nothing.json")


def test_predictions_csv(tmp_path: Path) -> None:
    path, indices = tmp_path / "predictions.csv", np.arange(10, 19)
    files = [f'a,"{number}"\n.png' for number in range(9)]
    for given in (files, None):
        write_predictions(predicted(), NAMES, indices, given, path)
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 9 and [row["image"] for row in rows] == [str(index) for index in indices]
        assert [row["file"] for row in rows] == (given or [""] * 9)
        assert rows[3] == {
            "image": "13", "file": files[3] if given else "", "true_class": "ant", "predicted_class": "dog",
            "probability": "0.990000",
        }  # fmt: skip
    with pytest.raises(RunError, match=r"cannot write .*nowhere"):
        write_predictions(predicted(), NAMES, indices, None, tmp_path / "nowhere" / "a.csv")
    with pytest.raises(RunError, match=r"cannot write .*nowhere"):
        module.write_evaluation(record(), tmp_path / "nowhere" / "a.json")
