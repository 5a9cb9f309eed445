"""``Companion``: networks beside the classifier with an optimiser of their own."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock, Trainer
from mxnet.gluon.parameter import Parameter

from gluon_nrm.data.pipeline.streams import Batch, Step
from gluon_nrm.distributed.gradient_sum import GradientSum
from gluon_nrm.distributed.workers import Workers
from gluon_nrm.errors import NonFiniteLoss
from gluon_nrm.recipe.schema import Adversarial
from gluon_nrm.training.optimisers import load_trainer, trainer_arrays
from gluon_nrm.training.stream_terms import StreamTerms, gather_terms
from gluon_nrm.typing import Tensor


class Setting(NamedTuple):
    """Circumstances of a companion's training."""

    recipe: Adversarial
    #: seed of its random codes
    seed: int
    devices: List[Any]
    workers: Workers
    #: ``train.kvstore``
    kvstore: str


class Companion:
    """Networks beside the classifier, their loss and their optimiser (Adam).

    A subclass gives ``networks`` and calls ``_prepare`` with its graph, which returns the means of its losses
    on one device, (T,). Their sum is minimised in ``parameters`` alone.

    Attributes:
        terms: names of the losses, as metrics show them.
        inputs: names of the objective's extra inputs that ``of`` gives.
        networks: its own networks, by the name of their file in a checkpoint.
    """

    terms: Tuple[str, ...] = ()
    inputs: Tuple[str, ...] = ()
    networks: Dict[str, HybridBlock] = {}

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.parameters: List[Parameter] = []
        self._gradient_sum: Optional[GradientSum] = None

    def _prepare(self, graph: HybridBlock, parameters: Sequence[Parameter]) -> None:
        """Take the graph of the losses and the parameters that are trained; make the optimiser."""
        self.graph, self.parameters = graph, list(parameters)
        recipe = self.setting.recipe
        for parameter in self.parameters:
            parameter.wd_mult = 0.0
        self.trainer = Trainer(
            {parameter.name: parameter for parameter in self.parameters},
            "adam",
            {"learning_rate": recipe.lr, "beta1": recipe.beta1, "wd": 0.0},
            kvstore=None if self.setting.kvstore.startswith("dist") else self.setting.kvstore,
            update_on_kvstore=False,
        )

    def sum_gradients(self, first_key: int) -> None:
        """Sum gradients over all workers from now on, under kvstore keys from ``first_key`` on."""
        self._gradient_sum = GradientSum(self.setting.workers, self.parameters, first_key)

    def hybridize(self, **options: Any) -> None:
        """Run the losses as one graph."""
        self.graph.hybridize(**options)

    def start(self, images: np.ndarray) -> None:
        """Start the networks from a batch of images (B, C, H, W), before the first step of a new run."""

    def of(self, name: str, batch: Batch, number: int, place: int) -> List[Tensor]:
        """Return an extra input of the objective on each device.

        Args:
            name: one of ``inputs``.
            batch: the stream's batch.
            number: number of the training step.
            place: number of the stream.
        """
        raise NotImplementedError

    def arguments(self, step: Step, terms: List[StreamTerms], number: int) -> List[Tuple[Tensor, ...]]:
        """Return the arguments of the graph on each device.

        Args:
            step: the batches.
            terms: the classifier's terms of this step.
            number: number of the training step.
        """
        raise NotImplementedError

    def backward(self, step: Step, terms: List[StreamTerms], number: int) -> StreamTerms:
        """Compute the losses and their gradients, which replace all gradients of the networks involved."""
        arguments = self.arguments(step, terms, number)
        with mx.autograd.record():
            found = [self.graph(*each) for each in arguments]
        share = 1.0 / (len(found) * self.setting.workers.size)
        mx.autograd.backward(found, [mx.nd.ones_like(each) * share for each in found])
        mx.nd.waitall()
        return StreamTerms("companion", [mx.nd.reshape(each.detach(), (-1, 1)) for each in found])

    def step(self, step: Step, terms: List[StreamTerms], number: int, rate: float) -> Dict[str, float]:
        """Take a step of the companion's own and return the means of its losses over all devices.

        Args:
            step: the batches.
            terms: the classifier's terms of this step.
            number: number of the training step, counted from 1.
            rate: learning rate of the classifier, as a share of that at the start of its phase.

        Raises:
            NonFiniteLoss: a loss is infinite or not a number; its parameters are as before the step.
        """
        found = self.backward(step, terms, number)
        if self._gradient_sum is not None:
            self._gradient_sum()
        means = gather_terms([found], self.setting.workers)[0].means()
        for name, value in zip(self.terms, means):
            if not np.isfinite(value):
                raise NonFiniteLoss(
                    f"loss {name} of adversarial.method {self.setting.recipe.method} became {value} at step "
                    f"{number}; the last checkpoint is intact.\nLower adversarial.lr or optimiser.phases.N.lr"
                )
        self.trainer.set_learning_rate(self.setting.recipe.lr * rate)
        self.trainer.step(1)
        return {name: float(value) for name, value in zip(self.terms, means)}

    def arrays(self) -> Dict[str, np.ndarray]:
        """Return the optimiser's state for a checkpoint."""
        return trainer_arrays(self.trainer)

    def load(self, arrays: Mapping[str, np.ndarray], updates: int, where: str) -> None:
        """Restore the optimiser's state after ``updates`` steps.

        Raises:
            CheckpointError: an entry is missing or has another shape.
        """
        load_trainer(self.trainer, arrays, updates, where)

    def generate(self, count: int, seed: int) -> Optional[np.ndarray]:
        """Generate normalised images, (count, C, H, W), in prediction mode; None without a generator."""
        return None
