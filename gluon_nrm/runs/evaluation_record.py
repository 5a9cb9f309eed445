"""Errors of a run by class, and the two files that hold them: ``evaluation.json`` and ``predictions.csv``.

docs/evaluation.md describes every key and column.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence

import numpy as np

from gluon_nrm.errors import RunError
from gluon_nrm.recipe import Recipe
from gluon_nrm.runs.clusters import Clustering
from gluon_nrm.storage.files import os_errors, write_text
from gluon_nrm.storage.json_io import SourceFile, read_json, read_value

#: Name of the file of an evaluation, in the folder of its run.
EVALUATION = "evaluation.json"
#: Version of evaluation.json.
FORMAT = 1
#: Most classes whose confusion matrix is written, and most pairs of confused classes.
MOST_CLASSES, MOST_PAIRS = 200, 1000

REMEDY = "evaluate the run again, which writes it anew"


@dataclass(frozen=True, eq=False)
class Predicted:
    """Predictions of a network for N images."""

    labels: np.ndarray  # (N,) int64, true classes
    classes: np.ndarray  # (N,) int64, predicted classes
    probabilities: np.ndarray  # (N,) float64, of the predicted classes

    @property
    def wrong(self) -> np.ndarray:
        """True for each wrongly classified image, (N,)."""
        return self.labels != self.classes

    def worst_mistakes(self, count: int) -> np.ndarray:
        """Indices of at most ``count`` wrongly classified images, the most confident first."""
        wrong = np.flatnonzero(self.wrong)
        return wrong[np.argsort(-self.probabilities[wrong], kind="stable")][:count]


@dataclass(frozen=True)
class ClassResult:
    """Errors of one class."""

    name: str
    images: int
    wrong: int
    #: per cent of its images that are wrong; None without images
    error: Optional[float]
    #: per cent of the images predicted as this class that belong to it; None if none is
    precision: Optional[float]


@dataclass(frozen=True)
class ConfusedPair:
    """Images of one class that were taken for another."""

    true: str
    predicted: str
    images: int
    #: per cent of the images of the true class
    share: float


@dataclass(frozen=True)
class EvaluationRecord:
    """Contents of ``evaluation.json``."""

    format: int
    recipe: str
    dataset: str
    #: epochs completed, and epochs of the whole run
    epoch: int
    epochs: int
    #: "test" or "validation"
    part: str
    images: int
    #: the network whose predictions are counted below: "teacher" where there is one, else "student"
    network: str
    #: per cent
    error: float
    #: mean error of the classes that have images, per cent
    balanced_error: float
    #: error of each network and branch by its name in metrics.jsonl without ``error/``
    errors: Dict[str, float]
    #: in the order of the classes
    classes: List[ClassResult]
    #: most images first
    confusions: List[ConfusedPair]
    #: images of each true class (row) by predicted class (column); None for more than ``MOST_CLASSES``
    confusion_matrix: Optional[List[List[int]]] = None
    #: of a run without labels; its errors are those after the clusters have been matched to classes
    clustering: Optional[Clustering] = None

    def worst_classes(self, count: int) -> List[ClassResult]:
        """The classes of the largest error, those without a mistake left out."""
        wrong = [each for each in self.classes if each.wrong]
        return sorted(wrong, key=lambda each: (-(each.error or 0.0), -each.wrong))[:count]


def confusion_counts(predicted: Predicted, classes: int) -> np.ndarray:
    """Count images by true class (row) and predicted class (column), (K, K)."""
    from sklearn.metrics import confusion_matrix  # its import takes a second

    counts: np.ndarray = confusion_matrix(predicted.labels, predicted.classes, labels=np.arange(classes))
    return counts


def class_results(counts: np.ndarray, names: Sequence[str]) -> List[ClassResult]:
    """Compute the errors of each class from ``confusion_counts`` (K, K)."""
    found = []
    for index, name in enumerate(names):
        images, right, taken = (
            int(counts[index].sum()),
            int(counts[index, index]),
            int(counts[:, index].sum()),
        )
        error = 100.0 * (images - right) / images if images else None
        found.append(
            ClassResult(name, images, images - right, error, 100.0 * right / taken if taken else None)
        )
    return found


def confused_pairs(counts: np.ndarray, names: Sequence[str], most: int = MOST_PAIRS) -> List[ConfusedPair]:
    """List the pairs of classes that are confused, most images first, from ``confusion_counts`` (K, K)."""
    mistakes = counts - np.diag(np.diag(counts))
    rows, columns = np.nonzero(mistakes)
    images = mistakes[rows, columns]
    return [
        ConfusedPair(
            names[rows[place]],
            names[columns[place]],
            int(images[place]),
            100.0 * float(images[place]) / float(counts[rows[place]].sum()),
        )  # fmt: skip
        for place in np.argsort(-images, kind="stable")[:most]
    ]


def mean_class_error(results: Sequence[ClassResult]) -> float:
    """Average the errors of the classes that have images, in per cent."""
    return float(np.mean([each.error for each in results if each.error is not None]))


def make_record(
    recipe: Recipe,
    epoch: int,
    part: str,
    errors: Mapping[str, Mapping[str, float]],
    counts: np.ndarray,
    class_names: Sequence[str],
) -> EvaluationRecord:
    """Make the record of an evaluation.

    Args:
        recipe: of the run.
        epoch: epochs completed.
        part: "test" or "validation".
        errors: of each network, as ``error_rates`` returns them; the predictions of the last are counted.
        counts: of ``confusion_counts``, (K, K).
        class_names: names of the K classes.
    """
    classes, network = class_results(counts, class_names), list(errors)[-1]
    return EvaluationRecord(
        format=FORMAT,
        recipe=recipe.name,
        dataset=recipe.data.name,
        epoch=epoch,
        epochs=recipe.train.epochs,
        part=part,
        images=int(counts.sum()),
        network=network,
        error=errors[network][""],
        balanced_error=mean_class_error(classes),
        errors={f"{name}{suffix}": rate for name, rates in errors.items() for suffix, rate in rates.items()},
        classes=classes,
        confusions=confused_pairs(counts, class_names),
        confusion_matrix=counts.tolist() if len(class_names) <= MOST_CLASSES else None,
    )


def write_evaluation(record: EvaluationRecord, path: Path) -> None:
    """Write ``evaluation.json`` atomically; a row of the matrix is one line.

    Raises:
        RunError: the file cannot be written.
    """
    value = asdict(record)
    matrix = value.pop("confusion_matrix")
    if record.clustering is None:
        del value["clustering"]
    text = json.dumps(value, indent=2)
    rows = "null" if matrix is None else "[\n    " + ",\n    ".join(map(json.dumps, matrix)) + "\n  ]"
    with os_errors(RunError, "write", path):
        write_text(path, f'{text[:-2]},\n  "confusion_matrix": {rows}\n}}\n')


def read_evaluation(path: Path) -> EvaluationRecord:
    """Read ``evaluation.json``.

    Raises:
        RunError: the file is missing, damaged, or of a newer version of this package.
    """
    source = SourceFile(str(path), RunError, REMEDY)
    value = read_json(path, RunError, remedy=REMEDY)
    found = value.get("format")
    if isinstance(found, int) and not isinstance(found, bool) and found > FORMAT:
        raise RunError(
            f"{path} was written by a newer version (format {found}); update the package, or {REMEDY}"
        )
    record: EvaluationRecord = read_value(EvaluationRecord, value, "", source)
    return record


def write_predictions(
    predicted: Predicted,
    names: Sequence[str],
    indices: np.ndarray,
    files: Optional[Sequence[str]],
    path: Path,
) -> None:
    """Write ``predictions.csv`` atomically: a line for each image.

    Args:
        predicted: the predictions.
        names: names of the K classes.
        indices: position of each image in the test set, or in the training set for validation images, (N,).
        files: name of each image; None: they have none.
        path: the file.

    Raises:
        RunError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "file", "true_class", "predicted_class", "probability"])
    for place, (label, guess, probability) in enumerate(
        zip(predicted.labels, predicted.classes, predicted.probabilities)
    ):
        file = files[place] if files is not None else ""
        writer.writerow([int(indices[place]), file, names[label], names[guess], f"{probability:.6f}"])
    with os_errors(RunError, "write", path):
        write_text(path, text.getvalue())
