"""Restore a trained network from the folder of its run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

from gluon_nrm.models import Network
from gluon_nrm.runs.open_run import RunFolder
from gluon_nrm.runs.restore_networks import load_checkpoint_into, read_run
from gluon_nrm.runs.run_data import data_of_run
from gluon_nrm.system.devices import parse_devices
from gluon_nrm.training.assemble import Parts, assemble


class Restored(NamedTuple):
    """A run's data and networks as its newest checkpoint left them."""

    run: RunFolder
    parts: Parts
    #: epochs completed
    epoch: int
    device: Any

    @property
    def network(self) -> Network:
        """The teacher if there is one, else the student."""
        return self.parts.networks.get("teacher", self.parts.net)


def restore(
    path: Union[str, Path],
    *,
    devices: Optional[str] = None,
    data_dir: Union[str, Path, None] = None,
    dtype: Optional[str] = None,
) -> Restored:
    """Rebuild a run's networks from its own recipe and facts and load its newest checkpoint.

    No image is read: ``parts.dataset`` loads images when they are used, and refuses images that differ from
    those of the run.

    Args:
        path: the run's folder; it may be training at this moment.
        devices: as for ``fit``; the first one is used.
        data_dir: current folder of the data; None: that of the start of the run.
        dtype: precision of convolutions; None: that of the recipe.

    Raises:
        NRMError: the folder is no run, has no checkpoint yet, is damaged or does not fit its recipe.
    """
    run, recipe, checkpoint = read_run(path, dtype)
    device = parse_devices(devices)[0]
    parts = assemble(recipe, [device], data=data_of_run(run, recipe, data_dir))
    load_checkpoint_into(parts.saved, checkpoint)
    return Restored(run, parts, checkpoint.epoch, device)
