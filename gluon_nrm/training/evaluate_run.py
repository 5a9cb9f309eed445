"""Evaluate the newest checkpoint of a run from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, NamedTuple, Optional, Union

from gluon_nrm.data.sets.skipped_files import Skipped
from gluon_nrm.errors import DataError
from gluon_nrm.runs.open_run import load_run
from gluon_nrm.runs.run_data import TEST, VALIDATION
from gluon_nrm.training.evaluate import error_rates
from gluon_nrm.training.restore import restore


class Evaluation(NamedTuple):
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
    #: files in the user's folder that are no part of the data set
    skipped: Skipped = Skipped()


def evaluate_run(
    path: Union[str, Path],
    *,
    devices: Optional[str] = None,
    part: Optional[str] = None,
    data_dir: Union[str, Path, None] = None,
) -> Evaluation:
    """Rebuild a run's data and networks from its own recipe and evaluate its newest checkpoint.

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
    held_out = run.settings.data.validation > 0
    part = part or (VALIDATION if held_out else TEST)
    if part == VALIDATION and not held_out:
        raise DataError(f"{run.recipe_path}: data.validation is 0, so nothing is held out; evaluate 'test'")
    restored = restore(path, devices=devices, data_dir=data_dir)
    parts, recipe = restored.parts, restored.parts.recipe
    errors = {
        name: error_rates(net, parts.evaluation(part == VALIDATION), restored.device)
        for name, net in parts.networks.items()
    }
    return Evaluation(
        run.path,
        recipe.name,
        recipe.data.name,
        restored.epoch,
        recipe.train.epochs,
        part,
        len(parts.split.validation if part == VALIDATION else parts.dataset.test.labels),
        errors,
        parts.dataset.skipped,
    )
