"""A trained run, rebuilt from its folder alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Optional, Union

from gluon_nrm.errors import CheckpointError
from gluon_nrm.recipe import Recipe, recipe_from_text
from gluon_nrm.training.arrays import load_network
from gluon_nrm.training.assemble import Parts, assemble
from gluon_nrm.training.checkpoint import load_checkpoint
from gluon_nrm.training.devices import parse_devices
from gluon_nrm.training.runs import RunFolder, load_run


class Restored(NamedTuple):
    """What a run is made of, with the parameters of its newest checkpoint."""

    run: RunFolder
    recipe: Recipe
    epoch: int  # epochs completed
    parts: Parts


def restore(
    path: Union[str, Path], devices: Optional[str] = None, data_dir: Union[str, Path, None] = None
) -> Restored:
    """Rebuild a run's data and networks from its own recipe and load its newest checkpoint.

    Args:
        path: the run's folder; it may be training at this moment.
        devices: as for ``fit``; the first one is used.
        data_dir: as for ``fit``.

    Raises:
        NRMError: the folder is no run, has no checkpoint yet, is damaged or does not fit its recipe.
    """
    run = load_run(path)
    recipe = recipe_from_text(run.recipe_text(), str(run.recipe_path))
    checkpoint = load_checkpoint(run.checkpoints)
    if checkpoint is None:
        raise CheckpointError(f"{run.checkpoints}: there is no checkpoint yet; train the run for an epoch")
    # wherever a run was trained, one device and no kvstore are enough here
    device = parse_devices(devices)[0]
    recipe = replace(recipe, train=replace(recipe.train, kvstore="device"))
    parts = assemble(recipe, [device], data_dir=data_dir)
    for name, net in parts.networks.items():
        load_network(net, checkpoint.arrays.get(name, {}), str(checkpoint.path / f"{name}.npz"))
    return Restored(run, recipe, checkpoint.epoch, parts)
