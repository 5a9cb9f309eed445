"""A finished run, the network of it that is exported, and the images that the export is checked with.

A pretrained network of the package stands for the run that it was published from.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Optional, Union

import numpy as np

from gluon_nrm.data import Dataset, ImageSet, Split
from gluon_nrm.data.sets.dataset import Images
from gluon_nrm.errors import DeployError
from gluon_nrm.export.trace_network import Normalisation
from gluon_nrm.predict.chosen_network import ChosenNetwork, choose_network
from gluon_nrm.predict.manifest import MIXTURE, Measured
from gluon_nrm.pretrained.names import pretrained_name
from gluon_nrm.runs.open_run import RunFolder, load_run
from gluon_nrm.runs.pretrained_run import restore_trained
from gluon_nrm.runs.run_data import VALIDATION, evaluated_part
from gluon_nrm.system.commands import command_name


class FinishedRun(NamedTuple):
    """A finished run and the network of it that is exported."""

    chosen: ChosenNetwork
    #: constants that the graph normalises pixels by; None: the graph takes normalised images
    normalisation: Optional[Normalisation]

    @property
    def dataset(self) -> Dataset:
        """The data of the run."""
        return self.chosen.trained.data.dataset

    @property
    def split(self) -> Split:
        """Its labelled, unlabelled and validation images."""
        return self.chosen.trained.data.split

    @property
    def part(self) -> str:
        """The images that the run was evaluated on: "test" or "validation"."""
        return evaluated_part(self.chosen.trained.recipe)

    @property
    def held_out(self) -> ImageSet:
        """Those images and their labels."""
        dataset = self.dataset
        return dataset.train.subset(self.split.validation) if self.part == VALIDATION else dataset.test

    def training_images(self, most: int) -> np.ndarray:
        """At most ``most`` images that training used, spread evenly, as the graph takes them (N, C, H, W)."""
        used = np.union1d(self.split.labelled, self.split.unlabelled)
        used = used[used < self.dataset.training_images]  # unlabelled files need not be there any more
        places = used[np.linspace(0, len(used) - 1, min(most, len(used))).astype(int)]
        return self.prepare(self.dataset.train.images[places])

    def prepare(self, images: Images) -> np.ndarray:
        """Convert stored images to the graph's input, (B, C, H, W) float32."""
        if self.normalisation is not None:
            return np.asarray(images).astype(np.float32)
        return self.dataset.normalise(images)

    @property
    def error(self) -> Optional[Measured]:
        """Error of the exported output in the run's last epoch.

        None where the metrics do not hold it, or the run has no facts of its data.
        """
        chosen = self.chosen
        facts, output = chosen.trained.data.facts, chosen.choice.output
        if facts is None:
            return None
        images = len(facts.validation) if self.part == VALIDATION else facts.test.images
        suffix = "" if output == MIXTURE or not chosen.net.options.maxmin else f"_{output}"
        rows = chosen.trained.run.read_metrics()
        rate = rows[-1].get(f"error/{chosen.name}{suffix}") if rows else None
        return None if rate is None else Measured(self.part, images, float(rate))


def load_finished_run(
    path: Union[str, Path],
    *,
    network: Optional[str] = None,
    output: Optional[str] = None,
    rendering: bool = False,
    softmax: bool = False,
    normalise: bool = False,
    data_dir: Union[str, Path, None] = None,
) -> FinishedRun:
    """Restore a run in float32 on the CPU and choose the network to export; arguments as for ``export_run``.

    Raises:
        DeployError: the run is not finished, or has no such network, branch or rendering.
        NRMError: it cannot be restored.
    """
    if pretrained_name(path) is None:
        check_finished(load_run(path), "export it")
    trained = restore_trained(path, devices="cpu", data_dir=data_dir, dtype="float32")
    chosen = choose_network(trained, network, output, rendering=rendering, softmax=softmax)
    dataset = trained.data.dataset
    return FinishedRun(chosen, Normalisation(dataset.mean, dataset.std) if normalise else None)


def check_finished(run: RunFolder, then: str) -> None:
    """Raise DeployError unless a run is finished; ``then`` says what it has to be finished for."""
    if not run.finished:
        epochs = len(run.read_metrics())
        raise DeployError(
            f"{run.path} is not finished: {epochs} epochs of {run.recipe()['train']['epochs']}; "
            f"go on with {command_name('train')} and its recipe, then {then}"
        )
