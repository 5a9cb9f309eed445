"""One training step: objective and gradients of both streams, then one update."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

import mxnet as mx
import numpy as np
from mxnet.gluon import Trainer
from mxnet.gluon.utils import split_and_load

from gluon_nrm.data.pipeline.streams import Batch, Step
from gluon_nrm.distributed.gradient_sum import GradientSum
from gluon_nrm.distributed.workers import Workers
from gluon_nrm.losses.objective import Objective
from gluon_nrm.training.adversarial import Adversary
from gluon_nrm.training.companions.companion import Companion
from gluon_nrm.training.consistency_targets import Targets
from gluon_nrm.training.loss_scale import LossScale
from gluon_nrm.training.many_arrays import ManyArrays
from gluon_nrm.training.path_chains import PathChains
from gluon_nrm.training.stream_terms import StreamTerms, check_finite, gather_terms


class TrainStep:
    """Run training steps on all devices.

    The streams go through the network one after the other, the unlabelled one first, as released, so each has
    its own batch statistics. The loss is the sum of the weighted mean terms of both streams. In float16 its
    gradients are scaled (``LossScale``).

    Args:
        objective: the loss terms.
        devices: devices that share each batch evenly.
        teacher: source of the consistency targets, if consistency is among the terms.
        adversary: perturbs the images, if virtual_adversarial is among the terms.
        workers: processes that share each global batch.
        chains: paths drawn from the prior, for the sampled form of path_norm.
        companion: networks trained beside the classifier; they step after it.
    """

    def __init__(
        self,
        objective: Objective,
        devices: List[Any],
        teacher: Optional[Targets] = None,
        adversary: Optional[Adversary] = None,
        workers: Optional[Workers] = None,
        chains: Optional[PathChains] = None,
        companion: Optional[Companion] = None,
    ) -> None:
        self.workers = workers or Workers()
        #: sums gradients over the workers; None if there is nothing to sum
        self.gradient_sum: Optional[GradientSum] = None
        self.objective, self.devices = objective, devices
        self.teacher, self.adversary, self.chains = teacher, adversary, chains
        self.companion = companion
        #: mean losses of the companion at the last step
        self.companion_losses: Dict[str, float] = {}
        self.scale = LossScale(objective.net.options.dtype == "float16")
        self._sums: Optional[ManyArrays] = None
        # collecting them at every step would take milliseconds
        self._learn = [p for p in objective.collect_params().values() if p.grad_req != "null"]

    def __call__(
        self, step: Step, weights: Dict[str, float], trainer: Trainer, number: int, rate: float = 1.0
    ) -> List[StreamTerms]:
        """Take training step ``number``, counted from 1, and return the unweighted terms of each stream.

        They cover the global batch; with dist_async, only the part of this worker.

        Args:
            step: this worker's part of the global batches.
            weights: weight of each term.
            trainer: updates the parameters.
            number: number of the step, for the decay of the teacher and the random perturbations.
            rate: learning rate as a share of that at the start of its phase, for the companion.

        Raises:
            NonFiniteLoss: a term is infinite or not a number; the parameters of the network, or of the
                companion, are as before the step.
        """
        scale = self.scale.value
        terms = self.backward(step, weights, number)
        if self.gradient_sum is not None:
            self.gradient_sum()
        if not self.workers.asynchronous:
            terms = gather_terms(terms, self.workers)
        check_finite(terms, self.objective.names, number)
        if self.scale.accept(trainer._params):
            # the scale of these gradients, read before `accept` set the next one
            trainer.step(scale)
        if self.companion is not None:
            self.companion_losses = self.companion.step(step, terms, number, rate)
        if self.teacher is not None:
            for stream in terms:
                self.teacher.observe(getattr(step, stream.name), stream.predictions)
            self.teacher.update(number)
        return terms

    def backward(self, step: Step, weights: Dict[str, float], number: int = 1) -> List[StreamTerms]:
        """Compute the terms of both streams and the gradient of their weighted sum.

        Forward and backward pass of one stream end before the next stream begins, which halves the memory.
        """
        streams = [("labelled", step.labelled)] if len(step.labelled.labels) else []
        if step.unlabelled is not None:
            streams.insert(0, ("unlabelled", step.unlabelled))
        found: List[StreamTerms] = []
        gradients: List[Any] = []
        of_first: List[Any] = []
        paths = self._reference_paths(number)
        for place, (name, batch) in enumerate(streams):
            arguments = self._inputs(batch, paths, number, place)
            found.append(self._backward_stream(name, batch, weights, arguments))
            if len(found) < len(streams):
                gradients = self._gradients()
                if self._sums is None:
                    self._sums = ManyArrays(gradients)
                of_first = self._sums.copy(gradients)
            # Wait, so that the memory of this stream is free for the next one. Also, batch norms write their
            # running statistics in the backward pass, and MXNet's scheduler does not make the next reader
            # (teacher, checkpoint, evaluation) wait for them.
            mx.nd.waitall()
        if self._sums is not None and of_first:
            self._sums.add(gradients, of_first)
        return found

    def _backward_stream(
        self, name: str, batch: Batch, weights: Dict[str, float], arguments: List[Tuple[Any, ...]]
    ) -> StreamTerms:
        """Compute the terms of one stream and their gradients, which replace the previous gradients."""
        with mx.autograd.record():
            outcomes = [self.objective(*each) for each in arguments]
        parts = [outcome.terms for outcome in outcomes]
        size = len(batch.labels) * (1 if self.workers.asynchronous else self.workers.size)
        self.objective.backward(outcomes, [self._weigh(part, weights, size) for part in parts])
        wanted = self.teacher is not None and self.teacher.wants_predictions
        rendered = [outcome.rendered for outcome in outcomes if outcome.rendered is not None]
        return StreamTerms(name, parts, [outcome.predictions for outcome in outcomes if wanted], rendered)

    def _gradients(self) -> List[Any]:
        """List the gradients of all trained parameters on all devices."""
        return [gradient for parameter in self._learn for gradient in parameter.list_grad()]

    def _weigh(self, part: Any, weights: Dict[str, float], batch: int) -> Any:
        """Compute the head gradients of one device: the weights of its terms, (T, B / devices)."""
        scale = self.scale.value / batch
        column = np.array([[weights[name] * scale] for name in self.objective.names], dtype=np.float32)
        return mx.nd.array(np.repeat(column, part.shape[1], axis=1), ctx=part.context)

    def _reference_paths(self, number: int) -> List[Any]:
        """Paths that path_norm compares with, on every device: the zero image's states, or the chains."""
        if self.chains is not None:
            self.chains.advance(number)
            return list(self.chains.paths(self.devices))
        if "zero_states" not in self.objective.inputs:
            return []
        shape = (1, *self.objective.net.input_shape)
        # outside of training mode, a convolution would leave its weights in its own memory layout
        with mx.autograd.train_mode():
            return [self.objective.zero_states(mx.nd.zeros(shape, ctx=device)) for device in self.devices]

    def _inputs(self, batch: Batch, paths: List[Any], number: int, stream: int) -> List[Tuple[Any, ...]]:
        """Arguments of the objective for each device."""
        arguments = [split_and_load(mx.nd.array(each), self.devices) for each in (batch.images, batch.labels)]
        if paths:
            arguments.append(paths)
        if self.teacher is not None:
            arguments.append(self.teacher.of(batch, self.devices))
        if self.adversary is not None:
            arguments.append(self.adversary.of(batch, self.devices, number, stream, self.workers.rank))
        if self.companion is not None:
            wanted = [name for name in self.objective.inputs if name in self.companion.inputs]
            arguments += [self.companion.of(name, batch, number, stream) for name in wanted]
        return list(zip(*arguments))
