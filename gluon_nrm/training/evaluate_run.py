"""Error of a run's newest checkpoint, from nothing but the run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, NamedTuple, Optional, Union

from gluon_nrm.errors import DataError
from gluon_nrm.training.evaluate import error_rates
from gluon_nrm.training.restored import restore

TEST, VALIDATION = "test", "validation"


class Evaluation(NamedTuple):
    """What was evaluated, and the errors."""

    run: Path
    recipe: str  # its name
    dataset: str
    epoch: int  # epochs completed
    epochs: int  # of the whole run
    part: str  # "test" or "validation"
    images: int
    #: "student" and, where there is one, "teacher": per cent, as ``error_rates`` returns them
    errors: Dict[str, Dict[str, float]]


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
    run, recipe, epoch, parts = restore(path, devices, data_dir)
    held_out = recipe.data.validation > 0
    part = part or (VALIDATION if held_out else TEST)
    if part == VALIDATION and not held_out:
        raise DataError(f"{run.recipe_path}: data.validation is 0, so nothing is held out; evaluate 'test'")
    errors = {
        name: error_rates(net, parts.evaluation(part == VALIDATION), parts.devices[0])
        for name, net in parts.networks.items()
    }
    return Evaluation(
        run.path,
        recipe.name,
        recipe.data.name,
        epoch,
        recipe.train.epochs,
        part,
        len(parts.split.validation if part == VALIDATION else parts.dataset.test.labels),
        errors,
    )
