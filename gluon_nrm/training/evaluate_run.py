"""Evaluation of the newest checkpoint of a run: errors, errors by class, and the files that hold them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

import numpy as np

from gluon_nrm.data.facts.facts import PartFacts
from gluon_nrm.data.sets.skipped_files import Skipped
from gluon_nrm.errors import DataError, RunError
from gluon_nrm.runs.evaluation_figures import MOST_MISTAKES, Mistake, plot_confusion, plot_mistakes
from gluon_nrm.runs.evaluation_record import (
    EvaluationRecord,
    Predicted,
    confusion_counts,
    make_record,
    write_evaluation,
    write_predictions,
)
from gluon_nrm.runs.open_run import RunFolder, load_run
from gluon_nrm.runs.run_data import TEST, VALIDATION, evaluated_part
from gluon_nrm.storage.files import os_errors
from gluon_nrm.training.assemble import Parts
from gluon_nrm.training.evaluate import NetworkResult, evaluate_network
from gluon_nrm.training.noise_variance import estimate_noise_variance
from gluon_nrm.training.restore import restore


@dataclass(frozen=True)
class Evaluation:
    """Errors of a checkpoint, with the data they were measured on."""

    run: Path
    recipe: str  # its name
    dataset: str
    epoch: int  # epochs completed
    epochs: int  # of the whole run
    part: str  # "test" or "validation"
    images: int
    #: "student" and, where there is one, "teacher": per cent, as ``error_rates`` returns them
    errors: Dict[str, Dict[str, float]]
    #: errors by class of the last of these networks, the contents of evaluation.json
    record: EvaluationRecord
    #: predictions of this network, the contents of predictions.csv
    predictions: NamedPredictions = field(compare=False, repr=False)
    #: its most confident mistakes
    mistakes: List[Mistake] = field(compare=False, repr=False)
    #: images by true and predicted class, (K, K)
    counts: np.ndarray = field(compare=False, repr=False)
    #: files in the user's folder that are no part of the data set
    skipped: Skipped = Skipped()
    #: sigma^2 as the residuals of these images have it; None: not estimated, or the network does not render
    noise_variance: Optional[float] = None


@dataclass(frozen=True, eq=False)
class NamedPredictions:
    """Predictions of N images, with what tells the images apart."""

    predicted: Predicted
    #: of the K classes
    class_names: Sequence[str]
    #: position of each image in the test set, or in the training set for validation images, (N,)
    indices: np.ndarray
    #: file of each image; None: the images have no names, or the run has too many to store them
    files: Optional[Sequence[str]]

    def image_name(self, place: int) -> str:
        """Name image ``place``: its file, or its number."""
        return self.files[place] if self.files is not None else f"image {self.indices[place]}"


def evaluate_run(
    path: Union[str, Path],
    *,
    devices: Optional[str] = None,
    part: Optional[str] = None,
    data_dir: Union[str, Path, None] = None,
) -> Evaluation:
    """Rebuild a run's data and networks from its own recipe and evaluate its newest checkpoint.

    It writes nothing; ``write_files`` writes the result into the run.

    Args:
        path: the run's folder; it may be training at this moment.
        devices: as for ``fit``; the first one is used.
        part: "test" or "validation"; None is what the run itself was evaluated on.
        data_dir: as for ``fit``.

    Raises:
        NRMError: the folder is no run, has no checkpoint yet, is damaged or does not fit its recipe, or there
            is no such part.
    """
    run = load_run(path)
    usual = evaluated_part(run.settings)
    part = part or usual
    if part == VALIDATION and usual == TEST:
        raise DataError(f"{run.recipe_path}: data.validation is 0, so nothing is held out; evaluate 'test'")
    restored = restore(path, devices=devices, data_dir=data_dir)
    found = evaluate_parts(restored.parts, restored.run, restored.epoch, part)
    if not (restored.network.renders and restored.network.options.render):
        return found
    images = restored.parts.evaluation(part == VALIDATION)
    return replace(found, noise_variance=estimate_noise_variance(restored.network, images, restored.device))


def evaluate_parts(
    parts: Parts,
    run: RunFolder,
    epoch: int,
    part: str,
    known: Optional[Mapping[str, Dict[str, float]]] = None,
) -> Evaluation:
    """Evaluate the networks of a run as they are.

    Args:
        parts: networks and data of the run.
        run: its folder, which is only named.
        epoch: epochs completed.
        part: "test" or "validation".
        known: errors that need not be computed again, by network; the last network, whose predictions are
            counted by class, is evaluated in any case.
    """
    networks, held_out = parts.networks, part == VALIDATION
    last = list(networks)[-1]
    errors: Dict[str, Dict[str, float]] = dict(known or {})
    for name, net in networks.items():
        if name == last or name not in errors:
            result = evaluate_network(net, parts.evaluation(held_out), parts.devices[0], parts.clusters)
            errors[name] = result.errors
    return _describe(parts, run, epoch, part, {name: errors[name] for name in networks}, result)


def errors_of_row(row: Mapping[str, Any], networks: Sequence[str]) -> Dict[str, Dict[str, float]]:
    """Take the errors of some networks from a row of metrics.jsonl, as ``error_rates`` returns them."""
    return {
        name: {
            key[len(start) :]: rate
            for start in [f"error/{name}"]
            for key, rate in row.items()
            if key == start or key.startswith(f"{start}_")
        }
        for name in networks
        if row.get(f"error/{name}") is not None
    }


def _describe(
    parts: Parts,
    run: RunFolder,
    epoch: int,
    part: str,
    errors: Dict[str, Dict[str, float]],
    result: NetworkResult,
) -> Evaluation:
    recipe, dataset, predicted = parts.recipe, parts.dataset, result.predicted
    counts = confusion_counts(predicted, dataset.classes)
    record = replace(
        make_record(recipe, epoch, part, errors, counts, dataset.class_names), clustering=result.clustering
    )
    predictions = _named(parts, part, predicted)
    return Evaluation(
        run.path, recipe.name, recipe.data.name, epoch, recipe.train.epochs, part, record.images, errors,
        record, predictions, _mistakes(parts, part, predictions), counts, dataset.skipped,
    )  # fmt: skip


def _named(parts: Parts, part: str, predicted: Predicted) -> NamedPredictions:
    """Add the names of the classes and the images."""
    held_out, facts = part == VALIDATION, parts.facts
    indices = parts.split.validation if held_out else np.arange(len(predicted.labels))
    stored: Optional[PartFacts] = None
    if facts is not None:
        stored = facts.train if held_out else facts.test
    files = [stored.names[index] for index in indices] if stored is not None and stored.names else None
    return NamedPredictions(predicted, parts.dataset.class_names, indices, files)


def _mistakes(parts: Parts, part: str, predictions: NamedPredictions) -> List[Mistake]:
    """Collect the most confident mistakes with their images."""
    predicted, names = predictions.predicted, predictions.class_names
    chosen = predicted.worst_mistakes(MOST_MISTAKES)
    if not len(chosen):
        return []
    images = np.asarray(parts.evaluated(part == VALIDATION).subset(chosen).images)
    return [
        Mistake(
            image, names[predicted.labels[place]], names[predicted.classes[place]],
            float(predicted.probabilities[place]), predictions.image_name(place),
        )
        for image, place in zip(images, chosen)
    ]  # fmt: skip


def write_files(found: Evaluation) -> List[Path]:
    """Write an evaluation into the folder of its run: numbers, predictions, two figures.

    The files are ``evaluation.json``, ``predictions.csv``, ``figures/confusion.png`` and
    ``figures/mistakes.png``. Of test images of a run that is evaluated on validation images, their names end
    with ``_test``.

    Returns:
        The files.

    Raises:
        RunError: a file cannot be written.
    """
    run, record, predictions = RunFolder(found.run), found.record, found.predictions
    ending = "" if found.part == evaluated_part(run.settings) else f"_{found.part}"
    paths = [
        run.path / f"evaluation{ending}.json",
        run.path / f"predictions{ending}.csv",
        run.figures / f"confusion{ending}.png",
        run.figures / f"mistakes{ending}.png",
    ]
    with os_errors(RunError, "make", run.figures):
        run.figures.mkdir(exist_ok=True)
    write_evaluation(record, paths[0])
    named = predictions
    write_predictions(named.predicted, named.class_names, named.indices, named.files, paths[1])
    of = f"{record.images} {record.part} images, {record.network}, after epoch {record.epoch}"
    plot_confusion(
        found.counts, named.class_names, paths[2], f"{record.recipe}: error {record.error:.2f} %\n{of}"
    )
    plot_mistakes(found.mistakes, paths[3], f"{record.recipe}: most confident mistakes\n{of}")
    return paths
