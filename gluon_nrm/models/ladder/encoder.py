"""One layer of a Ladder network's encoder: its clean and its corrupted pass, with shared weights."""

from __future__ import annotations

from typing import Any, List

from mxnet.gluon import HybridBlock

from gluon_nrm.layers.normalisation import MOMENTUM
from gluon_nrm.layers.shared_parameters import share
from gluon_nrm.layers.training_noise import TrainingNoise
from gluon_nrm.models.ladder.channelwise import Shape, normalise, scale_and_shift
from gluon_nrm.models.ladder.layers import LadderLayer, LadderOperation
from gluon_nrm.rules.statistics import EPSILON
from gluon_nrm.typing import Operators, Tensor

#: Slope of an activation that changes nothing.
LINEAR = 1.0


def _activate(F: Operators, a: Tensor, slope: float) -> Tensor:
    """(Leaky) ReLU of a slope below zero."""
    if slope == LINEAR:
        return a
    return F.LeakyReLU(a, act_type="leaky", slope=slope) if slope else F.Activation(a, act_type="relu")


class CleanActivation(HybridBlock):
    """Normalise pre-activations, scale, shift and activate them: (B, *shape) to the same shape.

    Training normalises by the batch and moves the running statistics, prediction uses these. The affine map
    is gamma z + beta; the paper's gamma (z + beta) is the same functions.

    Args:
        units: feature maps or units.
        slope: of the leaky ReLU below zero; ``LINEAR``: no activation.
        shifts: learn a shift beta; without it beta stays 0.
        scales: learn a scale gamma; a (leaky) ReLU needs none, because the next layer's weights scale.
    """

    def __init__(self, units: int, slope: float, shifts: bool, scales: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._slope, shape = slope, (units,)
        learn = {True: "write", False: "null"}
        get = self.params.get
        with self.name_scope():
            self.gamma = get("gamma", shape=shape, init="ones", grad_req=learn[scales])
            self.beta = get("beta", shape=shape, init="zeros", grad_req=learn[shifts])
            self.running_mean = get("running_mean", shape=shape, init="zeros", differentiable=False)
            self.running_var = get("running_var", shape=shape, init="ones", differentiable=False)

    def hybrid_forward(
        self, F: Operators, x: Tensor, gamma: Tensor, beta: Tensor, running_mean: Tensor, running_var: Tensor
    ) -> Tensor:
        a = F.BatchNorm(
            x, gamma, beta, running_mean, running_var, eps=EPSILON, momentum=MOMENTUM, fix_gamma=False
        )
        return _activate(F, a, self._slope)


class CorruptedActivation(HybridBlock):
    """Normalise pre-activations by the batch and add noise; then scale, shift and activate them.

    Returns a list: the noisy normalised pre-activations, which the decoder sees, and the activations,
    (B, *shape) each.

    Args:
        clean: the activation whose scale and shift it shares.
        shape: of the pre-activations, without the batch.
        noise: standard deviation, in units of the normalised pre-activations.
    """

    def __init__(self, clean: CleanActivation, shape: Shape, noise: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._slope, self._shape = clean._slope, shape
        with self.name_scope():
            self.noise = TrainingNoise(noise)
        share(self, "gamma", clean.gamma)
        share(self, "beta", clean.beta)

    def hybrid_forward(self, F: Operators, x: Tensor, gamma: Tensor, beta: Tensor) -> List[Tensor]:
        noisy = self.noise(normalise(F, x, self._shape))
        return [noisy, _activate(F, scale_and_shift(F, noisy, self._shape, gamma, beta), self._slope)]


class EncoderLayer(HybridBlock):
    """Run the clean pass of one layer: (B, *shape) to [pre-activations, activations].

    Attributes:
        operation: the layer without norm and activation, for both passes.
        clean: its norm and activation in the clean pass.
        corrupted: its norm, noise and activation in the corrupted pass.
        shape: of its pre-activations, without the batch.

    Args:
        layer: the layer.
        shape: of its input, without the batch.
        noise: as for ``CorruptedActivation``.
        slope: as for ``CleanActivation``.
        top: True for the layer of the class scores, which has a shift and no activation.
        scales: as for ``CleanActivation``.
    """

    def __init__(
        self, layer: LadderLayer, shape: Shape, noise: float, slope: float, top: bool, scales: bool,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.shape = layer.output_shape(shape)
        rectified = layer.weighted and not top
        with self.name_scope():
            self.operation = LadderOperation(layer, shape)
            self.clean = CleanActivation(
                self.shape[0], slope if rectified else LINEAR, layer.weighted or top, scales
            )
            self.corrupted = CorruptedActivation(self.clean, self.shape, noise)

    def hybrid_forward(self, F: Operators, h: Tensor) -> List[Tensor]:
        before = self.operation(h)
        return [before, self.clean(before)]
