"""Virtual adversarial perturbations (Miyato et al. 2018, section 3.3 and Algorithm 1)."""

from __future__ import annotations

from typing import Any, List

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock
from mxnet.gluon.utils import split_and_load

from gluon_nrm.data.pipeline.streams import Batch
from gluon_nrm.layers.quiet_block import QuietBlock
from gluon_nrm.losses.virtual_adversarial import VirtualAdversarial
from gluon_nrm.models import Network
from gluon_nrm.recipe.schema import Vat
from gluon_nrm.training.consistency_targets import ClassProbabilities
from gluon_nrm.typing import Operators, Tensor

#: Added to divisors.
TINY = 1e-12


class Unit(HybridBlock):
    """Scale each image of (B, C, H, W) to L2 norm 1; an image of zeros stays zero.

    It is divided by its largest value first, because the squares of small values would underflow.
    """

    def hybrid_forward(self, F: Operators, d: Tensor) -> Tensor:
        d = F.broadcast_div(d, F.max(F.abs(d), axis=0, exclude=True, keepdims=True) + TINY)
        return F.broadcast_div(d, F.sqrt(F.sum(d * d, axis=0, exclude=True, keepdims=True)) + TINY)


class Probe(QuietBlock):
    """Divergence of the prediction at x + xi d from a clean one: x, d (B, C, H, W), clean (B, K) to (B,)."""

    def __init__(self, probabilities: ClassProbabilities, xi: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._xi = xi
        with self.name_scope():
            self.probabilities = probabilities
            self.divergence = VirtualAdversarial()

    def hybrid_forward(self, F: Operators, x: Tensor, d: Tensor, clean: Tensor) -> Tensor:
        return self.divergence(clean, self.probabilities(x + d * self._xi))


class Adversary:
    """Perturb images by r = epsilon g / |g|, the direction in which their prediction changes most.

    The power method finds g: it starts at a random d of length 1, and each step takes the gradient, at x + xi
    d, of the divergence from the clean prediction with respect to d. The clean prediction and r are constant:
    the loss differentiates only the prediction at x + r.

    As in the authors' implementation, every pass is in training mode, with its own batch statistics and
    dropout masks, and no pass changes running statistics. The random directions depend only on seed, step and
    stream, not on the number of devices and workers.

    Args:
        twin: the stateless twin of the network (``share_parameters``).
        recipe: epsilon, xi and the number of steps.
        seed: seed of the random directions.
    """

    def __init__(self, twin: Network, recipe: Vat, seed: int) -> None:
        self._recipe, self._seed = recipe, seed
        self._probabilities = ClassProbabilities(twin)
        self._probe = Probe(self._probabilities, recipe.xi)
        self._unit = Unit()
        for block in (self._probabilities, self._unit):
            block.hybridize(static_alloc=True, static_shape=True)
        # not static: with static memory, MXNet 1.9.1 computes wrong gradients of the inputs of a graph
        self._probe.hybridize()

    def of(self, batch: Batch, devices: List[Any], step: int, stream: int, worker: int = 0) -> List[Any]:
        """Perturbed images of a batch, (B / devices, C, H, W) on each device.

        Args:
            batch: the images.
            devices: devices that share the batch.
            step: number of the training step.
            stream: number of the stream.
            worker: rank of this worker.
        """
        rng = np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(step, stream)))
        count, *shape = batch.images.shape
        # directions of the workers before this one are drawn and dropped
        directions = rng.standard_normal(((worker + 1) * count, *shape), dtype=np.float32)[worker * count :]
        parts = [split_and_load(mx.nd.array(each), devices) for each in (batch.images, directions)]
        return [self.perturb(*both) for both in zip(*parts)]

    def perturb(self, images: Any, directions: Any) -> Any:
        """Perturb images (B, C, H, W) on one device; ``directions``, of the same shape, are the start."""
        d = self._unit(directions)
        with mx.autograd.pause(train_mode=True):
            clean = self._probabilities(images)
        for _ in range(self._recipe.power_iterations):
            d.attach_grad()
            with mx.autograd.record(train_mode=True):
                divergence = self._probe(images, d, clean)
            (gradient,) = mx.autograd.grad([divergence], [d], train_mode=True)
            d = self._unit(gradient)
        return images + d * self._recipe.epsilon
