"""Read the weights that a network starts from: a file, a run, a pretrained network, a zoo's download."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, NamedTuple

import numpy as np

from gluon_nrm.errors import ModelError
from gluon_nrm.models.model_zoos import zoo_arrays
from gluon_nrm.pretrained.find import describe_pretrained, read_parameters
from gluon_nrm.pretrained.names import pretrained_name, suggest_pretrained
from gluon_nrm.recipe import Recipe
from gluon_nrm.runs.restore_networks import read_run
from gluon_nrm.runs.run_folder import network_names
from gluon_nrm.storage import files
from gluon_nrm.storage.params_file import PREFIXES, TYPES, DamagedArraysError, read_arrays

#: Types of arrays in files of weights, by MXNet's number; all are converted to float32.
WEIGHT_TYPES: Mapping[int, Any] = {**TYPES, 1: np.dtype("<f8"), 2: np.dtype("<f2"), 6: np.dtype("<i8")}


class Weights(NamedTuple):
    """Named arrays of a trained network, and their source in messages."""

    source: str
    arrays: Dict[str, np.ndarray]  # float32, of any shape


def read_weights(recipe: Recipe) -> Weights:
    """Read what ``model.weights`` or ``model.pretrained`` of a recipe names.

    Raises:
        NRMError: the file or the run cannot be read or is damaged, or the zoo has no such weights.
    """
    model = recipe.model
    if model.weights is None:
        return Weights(f"pretrained {model.name}", zoo_arrays(model.name))
    name = pretrained_name(model.weights)
    if name is not None:
        return Weights(f"pretrained {name}", read_parameters(describe_pretrained(name)))
    path = files.expand_path(Path(model.weights), ModelError)
    if files.is_dir(path, ModelError):
        _, trained, checkpoint = read_run(path)
        return Weights(str(path), dict(checkpoint.arrays[network_names(trained)[-1]]))
    return Weights(str(path), read_params(path))


def read_params(path: Path) -> Dict[str, np.ndarray]:
    """Read a .params file of Gluon (``save_parameters``) or of MXNet's Module, without pickle.

    Returns:
        Arrays of float32 by name, without the prefixes ``arg:`` and ``aux:``.

    Raises:
        ModelError: the file is missing, damaged or no such file, or holds no names.
    """
    if not files.is_file(path, ModelError):
        raise ModelError(
            f"model.weights: {path} is no file; give a .params file, the folder of a run, or a pretrained "
            f"network; {suggest_pretrained(path.name)}"
        )
    with files.os_errors(ModelError, "read", path):
        data = files.read_file(path)
    try:
        arrays = read_arrays(data, WEIGHT_TYPES)
    except DamagedArraysError as problem:
        raise ModelError(
            f"model.weights: {path} is no .params file of MXNet ({problem});\n"
            "give a file that net.save_parameters(FILE) wrote"
        ) from None
    if not arrays:
        raise ModelError(f"model.weights: {path} holds no named array; save it by net.save_parameters(FILE)")
    found = {}
    for name, array in arrays.items():
        short = name[len(PREFIXES[0]) :] if name.startswith(PREFIXES) else name
        found[short] = array.astype(np.float32)
    return found
