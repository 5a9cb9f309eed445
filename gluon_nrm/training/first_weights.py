"""The weights that a run starts from: read once, kept in the run's folder, set before the first step."""

from __future__ import annotations

import io
from typing import NamedTuple, Optional

import numpy as np

from gluon_nrm.errors import RunError
from gluon_nrm.recipe import Recipe
from gluon_nrm.runs.network_arrays import load_network, network_arrays
from gluon_nrm.runs.run_folder import RunFolder, write_json
from gluon_nrm.storage import files
from gluon_nrm.storage.npz_io import read_npz
from gluon_nrm.training.assemble import Parts
from gluon_nrm.training.start_weights import StartReport, start_from
from gluon_nrm.training.weights_file import Weights, read_weights


class FirstWeights(NamedTuple):
    """The weights that a run starts from, and what was done with them."""

    weights: Weights
    report: StartReport


def set_first_weights(parts: Parts, earlier: Optional[RunFolder]) -> Optional[FirstWeights]:
    """Set the networks of a run to the weights that its recipe starts from.

    A run that goes on does not need the file again: it has a checkpoint, or the weights that it kept.

    Args:
        parts: initialised and without a checkpoint; the teacher starts as a copy of the student.
        earlier: the run that goes on; None for a new one.

    Returns:
        None if the recipe starts from no weights, or the run from its checkpoint.

    Raises:
        NRMError: the weights cannot be read, or are of another network.
    """
    recipe = parts.recipe
    if not _wanted(recipe) or (
        earlier is not None and files.find_files(earlier.checkpoints, "epoch_*", RunError)
    ):
        return None
    if earlier is not None and files.exists(earlier.start_path, RunError):
        weights = Weights(str(earlier.start_path), read_npz(earlier.start_path, RunError))
    else:
        weights = read_weights(recipe)
    report = start_from(parts.net, weights)
    parts.start = report.line()
    arrays = network_arrays(parts.net)
    for name, net in parts.networks.items():
        if net is not parts.net:
            load_network(net, arrays, name)
    return FirstWeights(weights, report)


def keep_first_weights(run: RunFolder, first: FirstWeights) -> None:
    """Store the weights and the report in the run's folder, unless they are there.

    Raises:
        RunError: the folder cannot be written.
    """
    if files.exists(run.start_path, RunError):
        return
    write_json(run.start_report_path, first.report.plain())
    data = io.BytesIO()
    np.savez(data, **first.weights.arrays)
    with files.os_errors(RunError, "write", run.start_path):
        files.write_bytes(run.start_path, data.getvalue())


def _wanted(recipe: Recipe) -> bool:
    return recipe.model.weights is not None or recipe.model.pretrained
