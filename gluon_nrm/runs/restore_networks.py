"""The trained networks of a run, rebuilt from its recipe, the stored facts of its data and its checkpoint."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple, Union

from mxnet.gluon import HybridBlock

from gluon_nrm.data import Dataset
from gluon_nrm.errors import CheckpointError
from gluon_nrm.models import Network, get_model, initialise
from gluon_nrm.recipe import Recipe
from gluon_nrm.runs.check_memory import check_parameters
from gluon_nrm.runs.checkpoint import Checkpoint, load_checkpoint
from gluon_nrm.runs.network_arrays import load_network
from gluon_nrm.runs.open_run import RunFolder, load_run
from gluon_nrm.runs.run_data import RunData, data_of_run
from gluon_nrm.runs.run_folder import network_names
from gluon_nrm.system.devices import check_dtype, parse_devices
from gluon_nrm.system.processor import allow_matrix_tiles


class TrainedRun(NamedTuple):
    """A run's networks as its newest checkpoint left them."""

    run: RunFolder
    recipe: Recipe
    data: RunData
    #: "student" and, where the teacher is a network of its own, "teacher"
    networks: Dict[str, Network]
    #: epochs completed
    epoch: int
    device: Any


def restore_networks(
    path: Union[str, Path],
    *,
    devices: Optional[str] = None,
    data_dir: Union[str, Path, None] = None,
    dtype: Optional[str] = None,
) -> TrainedRun:
    """Rebuild a run's networks and load its newest checkpoint; no image is read.

    Args:
        path: the run's folder; it may be training at this moment.
        devices: as for ``fit``; the first one is used.
        data_dir: where the data are now; None: where they were when the run was started.
        dtype: precision of convolutions, in place of the recipe's.

    Raises:
        NRMError: the folder is no run, has no checkpoint yet, is damaged or does not fit its recipe.
    """
    run, recipe, checkpoint = read_run(path, dtype)
    device = parse_devices(devices)[0]
    check_dtype(recipe.train.dtype, [device])
    if recipe.train.dtype == "bfloat16":
        allow_matrix_tiles()
    data = data_of_run(run, recipe, data_dir)
    networks = {name: build_network(recipe, data.dataset, [device]) for name in network_names(recipe)}
    load_checkpoint_into(networks, checkpoint)
    return TrainedRun(run, recipe, data, networks, checkpoint.epoch, device)


def read_run(path: Union[str, Path], dtype: Optional[str] = None) -> Tuple[RunFolder, Recipe, Checkpoint]:
    """Read a run's recipe and newest checkpoint; ``dtype`` replaces the recipe's precision.

    The recipe's kvstore becomes "device": wherever a run was trained, its networks fit on one device.

    Raises:
        NRMError: as ``restore_networks``.
    """
    run = load_run(path)
    recipe = run.settings
    checkpoint = load_checkpoint(run.checkpoints)
    if checkpoint is None:
        raise CheckpointError(f"{run.checkpoints}: there is no checkpoint yet; train the run for an epoch")
    train = replace(recipe.train, kvstore="device", dtype=dtype or recipe.train.dtype)
    return run, replace(recipe, train=train), checkpoint


def load_checkpoint_into(networks: Mapping[str, HybridBlock], checkpoint: Checkpoint) -> None:
    """Set the parameters of networks by name from a checkpoint.

    Raises:
        CheckpointError: as ``load_network``.
    """
    for name, net in networks.items():
        load_network(net, checkpoint.arrays.get(name, {}), str(checkpoint.path / f"{name}.npz"))


def build_network(recipe: Recipe, dataset: Dataset, devices: List[Any]) -> Network:
    """Build the network of a recipe for the shape and classes of a data set, initialised from its seed.

    Raises:
        ModelError: the recipe's network cannot be built, or does not fit into the free memory.
    """
    settings = asdict(recipe.model)
    name, scheme = settings.pop("name"), settings.pop("initialiser")
    for start in ("weights", "pretrained"):  # set after the initialisation, and only at the start of a run
        del settings[start]
    net = get_model(name, dataset.classes, dataset.input_shape, dtype=recipe.train.dtype, **settings)
    check_parameters(net.collect_params().values())
    return initialise(net, ctx=devices, seed=recipe.train.seed, scheme=scheme)
