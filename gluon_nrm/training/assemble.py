"""Build everything that a recipe describes: data, network, teacher, objective, training step."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Union

from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import Parameter

from gluon_nrm.data import (
    Batch,
    Cutout,
    Dataset,
    ImageSet,
    Split,
    Streams,
    evaluation_batches,
    make_augmentation,
)
from gluon_nrm.data.facts.facts import Facts
from gluon_nrm.distributed.gradient_sum import GradientSum
from gluon_nrm.distributed.workers import Workers
from gluon_nrm.errors import ModelError
from gluon_nrm.losses.objective import Objective
from gluon_nrm.models import Network
from gluon_nrm.models.image_size import size_warning
from gluon_nrm.models.twin_network import share_parameters
from gluon_nrm.recipe.cross_checks import WANTS_NOISE, targets_vary
from gluon_nrm.recipe.schema import Recipe
from gluon_nrm.recipe.terms import TERMS
from gluon_nrm.runs.check_memory import check_batches
from gluon_nrm.runs.restore_networks import build_network
from gluon_nrm.runs.run_data import RunData, new_data, noise_data
from gluon_nrm.system.devices import check_batch, check_dtype, check_kvstore
from gluon_nrm.system.processor import allow_matrix_tiles, precision_warning
from gluon_nrm.training.adversarial import Adversary
from gluon_nrm.training.companions.build import make_companion
from gluon_nrm.training.companions.companion import Companion
from gluon_nrm.training.companions.discriminator import DiscriminatorCompanion
from gluon_nrm.training.consistency_targets import PiModel, Targets, TemporalEnsembling
from gluon_nrm.training.optimisers import trained_parameters
from gluon_nrm.training.path_chains import PathChains
from gluon_nrm.training.server_updates import check_asynchronous
from gluon_nrm.training.step import TrainStep
from gluon_nrm.training.teacher import MeanTeacher

#: Operators that MXNet's engine gets as one task.
BULK = 1000


@dataclass
class Parts:
    """The parts of a run."""

    recipe: Recipe
    devices: List[Any]
    dataset: Dataset
    split: Split
    streams: Streams
    net: Network
    teacher: Optional[Targets]
    objective: Objective
    step: TrainStep
    #: facts of the data; None for noise, and for runs of earlier versions
    facts: Optional[Facts] = None
    #: report on the weights that the network started from; empty without any
    start: str = ""

    @property
    def workers(self) -> Workers:
        """The processes that train together."""
        return self.step.workers

    @property
    def warnings(self) -> List[str]:
        """Lines that say what of the recipe does not suit its images or this processor."""
        model = self.recipe.model
        found = (
            size_warning(model.name, model.channels, self.dataset.input_shape),
            precision_warning(self.recipe.train.dtype),
        )
        return [f"warning  {warning}" for warning in found if warning]

    def evaluation(self, held_out: Optional[bool] = None) -> Iterator[Batch]:
        """Return batches of the held-out validation part (True) or of the test set (False).

        None takes the held-out part if the recipe has one.
        """
        return evaluation_batches(self.dataset, self.evaluated(held_out), self.recipe.train.eval_batch)

    def evaluated(self, held_out: Optional[bool] = None) -> ImageSet:
        """The images of ``evaluation``, not decoded yet."""
        if held_out is None:
            held_out = self.recipe.data.validation > 0
        return self.dataset.train.subset(self.split.validation) if held_out else self.dataset.test

    @property
    def clusters(self) -> bool:
        """True if the run has no labels, so that its classes are clusters."""
        return self.recipe.data.labels == 0

    @property
    def parameters(self) -> List[Parameter]:
        """The parameters that are trained."""
        return trained_parameters(self.objective)

    @property
    def companion(self) -> Optional[Companion]:
        """Networks that are trained beside the classifier."""
        return self.step.companion

    @property
    def draws(self) -> bool:
        """True if a step draws numbers from MXNet's streams (dropout, gates, noise)."""
        return self.net.stochastic or self.companion is not None

    @property
    def saved(self) -> Dict[str, HybridBlock]:
        """The networks of a checkpoint: those that are evaluated, and the companion's."""
        own = self.companion.networks if self.companion is not None else {}
        return {**self.networks, **own}

    @property
    def networks(self) -> Dict[str, Network]:
        """The networks that are evaluated: the student, and the teacher if it is a network."""
        teacher = self.teacher.net if self.teacher is not None else None
        return {"student": self.net, **({"teacher": teacher} if teacher is not None else {})}


def assemble(
    recipe: Recipe,
    devices: List[Any],
    hybridise: bool = True,
    *,
    data_dir: Union[str, Path, None] = None,
    noise: bool = False,
    workers: Optional[Workers] = None,
    data: Optional[RunData] = None,
) -> Parts:
    """Build everything a recipe describes, initialised from its seed.

    Args:
        recipe: what to build.
        devices: the devices to run on.
        hybridise: run each part as one static graph; False runs operator by operator, for debugging.
        data_dir: folder of all data sets; None: the environment variable GLUON_NRM_DATA, else ``data``.
        noise: train on random images, as many as the data set has and of its shape.
        workers: the processes that train together; None: only this one.
        data: images and split; None: load and draw them.

    Raises:
        NRMError: the data, the network or the devices do not allow it.
    """
    workers = workers or Workers()
    check_kvstore(recipe.train.kvstore)
    check_asynchronous(recipe)
    check_dtype(recipe.train.dtype, devices)
    if recipe.train.dtype == "bfloat16":
        allow_matrix_tiles()
    check_batch("train.batch_labelled", recipe.train.batch_labelled, devices, workers.size)
    check_batch("train.batch_unlabelled", recipe.train.batch_unlabelled, devices, workers.size)
    if data is None:
        data = noise_data(recipe) if noise else new_data(recipe, data_dir)
    dataset, split = data.dataset, data.split
    check_batches(recipe, dataset, workers.size)
    net = build_network(recipe, dataset, devices)
    twin = _stateless_twin(recipe, dataset, net, devices)
    teacher = _teacher(recipe, dataset, net, twin, devices) if recipe.teacher.enabled else None
    weights = asdict(recipe.loss.weights)
    names = [name for name in TERMS if weights[name] > 0]
    collects = teacher is not None and teacher.wants_predictions  # no image has a target at first
    companion = make_companion(recipe, dataset, net, devices, workers)
    discriminator = companion.discriminator if isinstance(companion, DiscriminatorCompanion) else None
    objective = Objective(
        net, names, twin, partial=collects, discriminator=discriminator, draws=recipe.adversarial.draws
    )
    adversary = None
    if twin is not None and recipe.loss.weights.virtual_adversarial > 0:
        adversary = Adversary(twin, recipe.loss.vat, recipe.train.seed)
    chains = None
    if "chains" in objective.inputs:  # before tracing, because the chains' model traces parts of the network
        chains = PathChains(net, recipe.loss.sampling, recipe.train.seed, devices[0], workers.rank)
    if hybridise:
        for block in (net, objective, teacher.net if teacher and teacher.net else net):
            trace(block)
        if companion is not None:
            companion.hybridize(static_alloc=True, static_shape=True)
    step = TrainStep(objective, devices, teacher, adversary, workers, chains, companion)
    streams = make_streams(recipe, dataset, split, workers)
    parts = Parts(recipe, devices, dataset, split, streams, net, teacher, objective, step, data.facts)
    if workers.kvstore is not None and not workers.asynchronous:
        step.gradient_sum = GradientSum(workers, parts.parameters)
        if companion is not None:
            companion.sum_gradients(len(parts.parameters))
    return parts


def trace(block: Union[HybridBlock, Objective]) -> None:
    """Run a block as one static graph, handed to MXNet's engine in long pieces, which saves time."""
    block.hybridize(static_alloc=True, static_shape=True, forward_bulk_size=BULK, backward_bulk_size=BULK)


def _stateless_twin(recipe: Recipe, dataset: Dataset, net: Network, devices: List[Any]) -> Optional[Network]:
    """Build the stateless twin for a second pass over the images; None if the recipe has no such pass."""
    pi = recipe.teacher.enabled and recipe.teacher.method == "pi"
    if not pi and recipe.loss.weights.virtual_adversarial == 0:
        return None
    twin = build_network(recipe, dataset, devices)
    share_parameters(twin, net)
    return twin


def _teacher(
    recipe: Recipe, dataset: Dataset, net: Network, twin: Optional[Network], devices: List[Any]
) -> Targets:
    """Build the source of the consistency targets.

    Raises:
        ModelError: the targets would equal the predictions of the network.
    """
    settings = recipe.teacher
    if settings.method == "mean_teacher":
        return MeanTeacher(build_network(recipe, dataset, devices), net, settings)
    if not net.stochastic and not targets_vary(recipe):
        raise ModelError(
            f"teacher.method: '{settings.method}' {WANTS_NOISE};\n"
            f"{recipe.model.name} has no dropout of its own: set model.dropout, or data.shift"
        )
    if settings.method == "temporal_ensembling":
        images = dataset.training_images + dataset.unlabelled_images
        return TemporalEnsembling(images, dataset.classes, settings.ensemble_decay)
    assert twin is not None
    return PiModel(twin)


def make_streams(recipe: Recipe, dataset: Dataset, split: Split, workers: Workers) -> Streams:
    """Make the labelled and the unlabelled stream of a recipe."""
    return Streams(
        dataset,
        split,
        augment=make_augmentation(
            dataset,
            shift=recipe.data.shift,
            mirror=recipe.data.mirror,
            area=recipe.data.crop_area,
            aspect=recipe.data.crop_aspect,
            jitter=recipe.data.jitter,
            lighting=recipe.data.lighting,
        ),
        batch_labelled=recipe.train.batch_labelled,
        batch_unlabelled=recipe.train.batch_unlabelled,
        seed=recipe.train.seed,
        epoch_steps=recipe.train.epoch_steps,
        independent_teacher=recipe.teacher.enabled and recipe.teacher.augmentation == "independent",
        cutout=Cutout(recipe.data.cutout),
        worker=workers.rank,
        workers=workers.size,
    )
