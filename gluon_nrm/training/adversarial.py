"""Virtual adversarial perturbations (Miyato et al. 2018, section 3.3 and Algorithm 1)."""

from __future__ import annotations

from typing import Any, List

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from gluon_nrm.data.pipeline.streams import Batch
from gluon_nrm.layers.quiet_block import QuietBlock
from gluon_nrm.losses.virtual_adversarial import VirtualAdversarial
from gluon_nrm.models import Network
from gluon_nrm.recipe.schema import Vat
from gluon_nrm.system.devices import deal
from gluon_nrm.training.targets import ClassProbabilities
from gluon_nrm.typing import Operators, Tensor

#: Added to what is divided by.
TINY = 1e-12


class Unit(HybridBlock):
    """Each image of (B, C, H, W) scaled to L2 norm 1; by its largest value first, or small ones would vanish.

    An image of zeros stays one.
    """

    def hybrid_forward(self, F: Operators, d: Tensor) -> Tensor:
        d = F.broadcast_div(d, F.max(F.abs(d), axis=0, exclude=True, keepdims=True) + TINY)
        return F.broadcast_div(d, F.sqrt(F.sum(d * d, axis=0, exclude=True, keepdims=True)) + TINY)


class Probe(QuietBlock):
    """How far the prediction at x + xi d is from a given one: (B, C, H, W) twice and (B, K) to (B,)."""

    def __init__(self, probabilities: ClassProbabilities, xi: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._xi = xi
        with self.name_scope():
            self.probabilities = probabilities
            self.divergence = VirtualAdversarial()

    def hybrid_forward(self, F: Operators, x: Tensor, d: Tensor, clean: Tensor) -> Tensor:
        return self.divergence(clean, self.probabilities(x + d * self._xi))


class Adversary:
    """Perturbs images by r = epsilon g / |g|, the direction in which their prediction changes most.

    g is the gradient at d = xi of the divergence from the clean prediction, with respect to the perturbation:
    one step of the power method on its Hessian, from a random d of length 1; more if the recipe says so. The
    clean prediction and r are constants: the loss differentiates the prediction at x + r alone.

    As in the authors' implementation, every pass is as in training: batch statistics (each pass its own) and
    dropout masks drawn anew, and none of these passes moves running statistics. The random directions depend
    on the seed, the step and the stream alone, not on the number of devices and workers.

    Args:
        second: the network as perturbed images go through it (``share_parameters``).
        recipe: epsilon, xi and the number of steps.
        seed: seed of the random directions.
    """

    def __init__(self, second: Network, recipe: Vat, seed: int) -> None:
        self._recipe, self._seed = recipe, seed
        self._probabilities = ClassProbabilities(second)
        self._probe = Probe(self._probabilities, recipe.xi)
        self._unit = Unit()
        for block in (self._probabilities, self._unit):
            block.hybridize(static_alloc=True, static_shape=True)
        # without static memory: with it, MXNet 1.9.1 computes wrong gradients of a graph's inputs
        self._probe.hybridize()

    def of(self, batch: Batch, devices: List[Any], step: int, stream: int, worker: int = 0) -> List[Any]:
        """Perturbed images of a batch, (B / devices, C, H, W) on each device.

        Args:
            batch: the images.
            devices: where they are dealt out.
            step: the training step's number.
            stream: the stream's.
            worker: which part of the global batch this is.
        """
        rng = np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(step, stream)))
        count, *shape = batch.images.shape
        # those of the parts before this one are drawn and dropped
        directions = rng.standard_normal(((worker + 1) * count, *shape), dtype=np.float32)[worker * count :]
        return [self.perturb(*both) for both in zip(deal(batch.images, devices), deal(directions, devices))]

    def perturb(self, images: Any, directions: Any) -> Any:
        """Perturb images (B, C, H, W) on one device; ``directions``, of the same shape, is where to start."""
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
