"""A pretrained network of the package in the place of a run: prediction, export and evaluation take both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Union

import numpy as np

from gluon_nrm.data.sets.registry import data_folder
from gluon_nrm.models.registry import build_pretrained
from gluon_nrm.pretrained.description import PretrainedNetwork
from gluon_nrm.pretrained.find import describe_pretrained, read_parameters
from gluon_nrm.pretrained.names import pretrained_name
from gluon_nrm.recipe import Recipe
from gluon_nrm.runs.metrics import Row
from gluon_nrm.runs.restore_networks import TrainedRun, restore_networks
from gluon_nrm.runs.run_data import stored_data
from gluon_nrm.runs.run_folder import RunFolder
from gluon_nrm.system.devices import parse_devices


class PretrainedRun(RunFolder):
    """The run that a pretrained network was published from, as far as its description tells.

    It answers for a finished run: settings, commit, error of the last epoch. There is no folder.
    """

    def __init__(self, found: PretrainedNetwork) -> None:
        super().__init__(Path(found.name))
        self._found = found

    @property
    def finished(self) -> bool:
        """True: only finished runs are published."""
        return True

    @property
    def settings(self) -> Recipe:
        """The complete recipe."""
        return self._found.load_recipe()

    def env(self) -> Dict[str, Any]:
        """Return the commit of the code that trained; there were no changes that were not committed."""
        return {"commit": self._found.commit, "uncommitted_changes": False}

    def read_metrics(self) -> List[Row]:
        """Return the last epoch with the error of the network."""
        found = self._found
        return [{"epoch": found.epochs, f"error/{found.network}": found.test_error.per_cent}]


def restore_trained(
    model: Union[str, Path],
    *,
    devices: Optional[str] = None,
    data_dir: Union[str, Path, None] = None,
    dtype: Optional[str] = None,
) -> TrainedRun:
    """Restore the networks of a run, given by its folder, or a pretrained network, given by its name.

    Arguments and errors are those of ``restore_networks``. A pretrained network runs in float32.
    """
    name = pretrained_name(model)
    if name is None:
        return restore_networks(model, devices=devices, data_dir=data_dir, dtype=dtype)
    found = describe_pretrained(name)
    return restore_pretrained(found, read_parameters(found), devices=devices, data_dir=data_dir)


def restore_pretrained(
    found: PretrainedNetwork,
    arrays: Mapping[str, np.ndarray],
    *,
    devices: Optional[str] = None,
    data_dir: Union[str, Path, None] = None,
) -> TrainedRun:
    """Restore a pretrained network from its description and parameters; no image is read.

    Raises:
        NRMError: the parameters are not those of the network, or there is no such device.
    """
    device = parse_devices(devices)[0]
    recipe, facts = found.load_recipe(), replace(found.data, data_dir=str(data_folder(data_dir)))
    net = build_pretrained(found, arrays, device)
    data = stored_data(recipe, facts, data_dir)
    return TrainedRun(PretrainedRun(found), recipe, data, {found.network: net}, found.epochs, device)
