"""A finished run, and the network of it that is exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

import numpy as np

from gluon_nrm.data.sets.dataset import Images, ImageSet
from gluon_nrm.errors import DeployError
from gluon_nrm.export.source import Normalisation, Wanted, choose
from gluon_nrm.models import Network
from gluon_nrm.predict.manifest import BOTH, Measured
from gluon_nrm.runs.open_run import load_run
from gluon_nrm.training.evaluate_run import TEST, VALIDATION
from gluon_nrm.training.restore import Restored, restore

Array = np.ndarray[Any, Any]


class Chosen(NamedTuple):
    """What is exported."""

    restored: Restored
    #: "student" or "teacher"
    network: str
    wanted: Wanted
    #: where the graph is to take pixels as they are
    folded: Optional[Normalisation]

    @property
    def net(self) -> Network:
        """The network."""
        return self.restored.parts.networks[self.network]

    @property
    def part(self) -> str:
        """The images that the run was evaluated on: "test" or "validation"."""
        return VALIDATION if self.restored.parts.recipe.data.validation > 0 else TEST

    @property
    def held_out(self) -> ImageSet:
        """Those images and their labels."""
        dataset, split = self.restored.parts.dataset, self.restored.parts.split
        return dataset.train.subset(split.validation) if self.part == VALIDATION else dataset.test

    def training_images(self, most: int) -> Array:
        """Up to so many images that training saw, spread evenly, as the graph takes them."""
        split = self.restored.parts.split
        seen = np.union1d(split.labelled, split.unlabelled)
        places = seen[np.linspace(0, len(seen) - 1, min(most, len(seen))).astype(int)]
        return self.prepare(self.restored.parts.dataset.train.images[places])

    def prepare(self, images: Images) -> Array:
        """Images as the graph takes them, (B, C, H, W) float32."""
        dataset = self.restored.parts.dataset
        return np.asarray(images).astype(np.float32) if self.folded else dataset.normalise(images)

    @property
    def error(self) -> Optional[Measured]:
        """Error of the network and head in the run's last epoch.

        None where the metrics do not say, or the run does not know which images they are of.
        """
        facts = self.restored.parts.facts
        if facts is None:
            return None
        images = len(facts.validation) if self.part == VALIDATION else facts.test.images
        suffix = "" if self.wanted.head == BOTH or not self.net.options.maxmin else f"_{self.wanted.head}"
        rows = self.restored.run.read_metrics()
        rate = rows[-1].get(f"error/{self.network}{suffix}") if rows else None
        return None if rate is None else Measured(self.part, images, float(rate))


def load_chosen(
    path: Union[str, Path],
    *,
    network: Optional[str] = None,
    head: Optional[str] = None,
    rendering: bool = False,
    softmax: bool = False,
    normalise: bool = False,
    data_dir: Union[str, Path, None] = None,
) -> Chosen:
    """Restore a run in float32 on the CPU and choose what to export of it; arguments as for ``export_run``.

    Raises:
        DeployError: the run is not finished, or has no such network, branch or rendering.
        NRMError: it cannot be restored.
    """
    run = load_run(path)
    if not run.finished:
        epochs = len(run.read_metrics())
        raise DeployError(
            f"{run.path} is not finished: {epochs} epochs of {run.recipe()['train']['epochs']}; "
            "go on with tools/train.py and its recipe, then export it"
        )
    restored = restore(path, devices="cpu", data_dir=data_dir, dtype="float32")
    networks = restored.parts.networks
    name = network or ("teacher" if "teacher" in networks else "student")
    if name not in networks:
        raise DeployError(f"--network {name}: {run.path} has a {' and a '.join(networks)} only; leave it out")
    wanted = choose(networks[name], head, rendering, softmax, str(run.path))
    networks[name].hybridize(active=False)  # what it computes is compared operator by operator
    dataset = restored.parts.dataset
    return Chosen(restored, name, wanted, Normalisation(dataset.mean, dataset.std) if normalise else None)
