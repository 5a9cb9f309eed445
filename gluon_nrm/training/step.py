"""One training step: both streams through the objective, one backward pass, one update."""

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
from gluon_nrm.training.consistency_targets import Targets
from gluon_nrm.training.loss_scale import LossScale
from gluon_nrm.training.stream_terms import StreamTerms, check_finite, gather_terms


class TrainStep:
    """Runs steps on all devices.

    The streams go through the network one after the other, so that each has batch statistics of its own, the
    unlabelled one first, as released. The total is the sum of both streams' weighted mean terms. In float16
    its gradients are scaled (``LossScale``).

    Args:
        objective: the loss terms; hybridised, it is one graph.
        devices: where to run; a global batch is dealt out evenly.
        teacher: supplies the consistency target, if that is among the terms.
        adversary: perturbs the images, if virtual_adversarial is among the terms.
        workers: the processes that share each global batch; each takes the same steps.
    """

    def __init__(
        self,
        objective: Objective,
        devices: List[Any],
        teacher: Optional[Targets] = None,
        adversary: Optional[Adversary] = None,
        workers: Optional[Workers] = None,
    ) -> None:
        self.workers = workers or Workers()
        #: sums gradients over the workers; None where the trainer does all that is to be done
        self.gradient_sum: Optional[GradientSum] = None
        self.objective, self.devices = objective, devices
        self.teacher, self.adversary = teacher, adversary
        self.scale = LossScale(objective.net.options.dtype == "float16")
        # going through all blocks for them takes milliseconds
        self._learn = [p for p in objective.collect_params().values() if p.grad_req != "null"]

    def __call__(
        self, step: Step, weights: Dict[str, float], trainer: Trainer, number: int
    ) -> List[StreamTerms]:
        """Take training step ``number``, counted from 1, and return the unweighted terms of each stream.

        They are those of the whole global batch, but with dist_async, where a worker knows its own alone.

        Args:
            step: the global batches, or this worker's part of them.
            weights: of each term.
            trainer: updates the parameters at the rate that it has.
            number: the step's number, which the teacher's decay and random perturbations depend on.

        Raises:
            NonFiniteLoss: a term is infinite or not a number; the parameters are as before the step.
        """
        scale = self.scale.value
        terms = self.backward(step, weights, number)
        if self.gradient_sum is not None:
            self.gradient_sum()
        if not self.workers.asynchronous:
            terms = gather_terms(terms, self.workers)
        check_finite(terms, self.objective.names, number)
        if self.scale.accept(trainer._params):
            # the gradients are the scale's multiples; it was theirs before `accept` set the next one
            trainer.step(scale)
        if self.teacher is not None:
            for stream in terms:
                self.teacher.observe(getattr(step, stream.name), stream.predictions)
            self.teacher.update(number)
        return terms

    def backward(self, step: Step, weights: Dict[str, float], number: int = 1) -> List[StreamTerms]:
        """Compute the terms of both streams and the gradient of their weighted sum.

        One stream after the other goes all the way up, down and back: together they would need twice the
        memory.
        """
        streams = [("labelled", step.labelled)]
        if step.unlabelled is not None:
            streams.insert(0, ("unlabelled", step.unlabelled))
        found: List[StreamTerms] = []
        gradients: List[Any] = []
        of_first: List[Any] = []
        zero_states = self._zero_states()
        for place, (name, batch) in enumerate(streams):
            arguments = self._inputs(batch, zero_states, number, place)
            found.append(self._backward_stream(name, batch, weights, arguments))
            if len(found) < len(streams):
                gradients = self._gradients()
                of_first = [gradient.copy() for gradient in gradients]
            # The next stream shall find this one's memory free. And the norms move their running statistics
            # behind the scheduler's back in the backward pass: what reads those next (teacher, checkpoint,
            # evaluation) has to wait for it.
            mx.nd.waitall()
        for gradient, first in zip(gradients, of_first):
            mx.nd.elemwise_add(gradient, first, out=gradient)
        return found

    def _backward_stream(
        self, name: str, batch: Batch, weights: Dict[str, float], arguments: List[Tuple[Any, ...]]
    ) -> StreamTerms:
        """Compute one stream's terms and their gradient, which replaces the one that was there."""
        with mx.autograd.record():
            outcomes = [self.objective(*each) for each in arguments]
        parts = [outcome.terms for outcome in outcomes]
        size = len(batch.labels) * (1 if self.workers.asynchronous else self.workers.size)
        self.objective.backward(outcomes, [self._weigh(part, weights, size) for part in parts])
        wanted = self.teacher is not None and self.teacher.wants_predictions
        return StreamTerms(name, parts, [outcome.predictions for outcome in outcomes if wanted])

    def _gradients(self) -> List[Any]:
        """Gradients of all parameters that learn, of every device."""
        return [gradient for parameter in self._learn for gradient in parameter.list_grad()]

    def _weigh(self, part: Any, weights: Dict[str, float], batch: int) -> Any:
        """Gradient of the weighted mean over the global batch for one device's terms, (T, B / devices)."""
        scale = self.scale.value / batch
        column = np.array([[weights[name] * scale] for name in self.objective.names], dtype=np.float32)
        return mx.nd.array(np.repeat(column, part.shape[1], axis=1), ctx=part.context)

    def _zero_states(self) -> List[Any]:
        """States of the zero image's path on every device, where the objective asks for them."""
        if "zero_states" not in self.objective.inputs:
            return []
        shape = (1, *self.objective.net.input_shape)
        # outside of training a convolution would leave its weights in its own memory layout
        with mx.autograd.train_mode():
            return [self.objective.zero_states(mx.nd.zeros(shape, ctx=device)) for device in self.devices]

    def _inputs(
        self, batch: Batch, zero_states: List[Any], number: int, stream: int
    ) -> List[Tuple[Any, ...]]:
        """Arguments of the objective for each device."""
        arguments = [split_and_load(mx.nd.array(each), self.devices) for each in (batch.images, batch.labels)]
        if zero_states:
            arguments.append(zero_states)
        if self.teacher is not None:
            arguments.append(self.teacher.of(batch, self.devices))
        if self.adversary is not None:
            arguments.append(self.adversary.of(batch, self.devices, number, stream, self.workers.rank))
        return list(zip(*arguments))
