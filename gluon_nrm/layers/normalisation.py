"""Batch and instance normalisation of the inference and the rendering pass."""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, Tuple

from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import Parameter
from mxnet.initializer import Normal

from gluon_nrm.layers.shared_parameters import share
from gluon_nrm.rules.statistics import EPSILON, instance_norm
from gluon_nrm.typing import Operators, Tensor

Pair = Tuple[int, int]

MOMENTUM = 0.9


class Negated(NamedTuple):
    """Whether a block's input and its output are the negatives of what they stand for.

    The Min branch runs on u = -v, where its minima are maxima (``models.halves``); the sign goes into a
    norm's scale and shift, where it costs nothing.
    """

    input: bool = False
    output: bool = False


AS_IT_IS = Negated()


class AroundOne(Normal):
    """N(1, sigma): how the released experiments initialise every gamma."""

    def __init__(self, sigma: float = 0.02) -> None:
        super().__init__(sigma)

    def _init_weight(self, _: str, array: Any) -> None:
        super()._init_weight(_, array)
        array += 1


class BatchNorm(HybridBlock):
    """Batch normalisation: (B, C, H, W) to the same shape.

    Args:
        channels: feature maps C.
        bias: the layer's bias b(l), (C,), used as the norm's shift; a bias costs nothing there. None: no such
            bias.
        own_beta: learn a beta besides ``bias`` (the released form has both: the shift is their sum).
        negated: what of it is mirrored; the running mean is that of the input as it comes.

    Returns, from ``hybrid_forward``, a list: the output, and the (C,) scale and shift of the affine map that
    the norm was in this call, nothing mirrored, as constants but for gamma, beta and bias.
    """

    def __init__(
        self,
        channels: int,
        bias: Optional[Parameter] = None,
        own_beta: bool = False,
        negated: Negated = AS_IT_IS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._negated = negated
        shape = (channels,)
        with self.name_scope():
            self.gamma = self.params.get("gamma", shape=shape, init=AroundOne())
            self.running_mean = self.params.get(
                "running_mean", shape=shape, init="zeros", differentiable=False
            )
            self.running_var = self.params.get("running_var", shape=shape, init="ones", differentiable=False)
            if own_beta or bias is None:
                self.beta = self.params.get("beta", shape=shape, init="zeros")
        if bias is not None:
            share(self, "bias", bias)

    def hybrid_forward(
        self, F: Operators, x: Tensor, gamma: Tensor, running_mean: Tensor, running_var: Tensor,
        beta: Optional[Tensor] = None, bias: Optional[Tensor] = None,
    ) -> List[Tensor]:  # fmt: skip
        shift, negated = _sum(beta, bias), self._negated
        # the statistics come back as the mean and the reciprocal standard deviation that were used: the
        # batch's in training, the running ones otherwise; no gradient flows through them
        y, mean, inverse_std = F.BatchNorm(
            x, gamma if negated.input == negated.output else -gamma, -shift if negated.output else shift,
            running_mean, running_var, eps=EPSILON, momentum=MOMENTUM, fix_gamma=False, output_mean_var=True,
        )  # fmt: skip
        scale = gamma * F.BlockGrad(inverse_std)
        moved = F.BlockGrad(mean) * scale
        return [y, scale, shift + moved if negated.input else shift - moved]


class InstanceNorm(HybridBlock):
    """Instance normalisation of the zero-image branch, where a batch norm stands in the image's: same shapes.

    Returns a list, like it, of the output alone. Gamma is fixed, as released. Args as for ``BatchNorm``, and

    Args:
        size: height and width of the maps.
        learn_beta: False bottom-up, where beta acts through the states alone and can get no gradient.
    """

    def __init__(
        self,
        channels: int,
        size: Pair,
        bias: Optional[Parameter] = None,
        own_beta: bool = False,
        learn_beta: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._size = size
        shape = (channels,)
        with self.name_scope():
            self.gamma = self.params.get("gamma", shape=shape, init=AroundOne(), grad_req="null")
            if own_beta or bias is None:
                requirement = "write" if learn_beta else "null"
                self.beta = self.params.get("beta", shape=shape, init="zeros", grad_req=requirement)
        if bias is not None:
            share(self, "bias", bias)

    def hybrid_forward(
        self,
        F: Operators,
        x: Tensor,
        gamma: Tensor,
        beta: Optional[Tensor] = None,
        bias: Optional[Tensor] = None,
    ) -> List[Tensor]:
        return [instance_norm(F, x, gamma, _sum(beta, bias), self._size)]


class Bias(HybridBlock):
    """The layer's bias alone, where there is no normalisation; returns what ``BatchNorm`` does."""

    def __init__(self, bias: Parameter, negated: Negated = AS_IT_IS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._negated = negated
        share(self, "bias", bias)

    def hybrid_forward(self, F: Operators, x: Tensor, bias: Tensor) -> List[Tensor]:
        negated, shift = self._negated, F.reshape(bias, shape=(1, -1, 1, 1))
        x = x if negated.input == negated.output else -x
        y = F.broadcast_sub(x, shift) if negated.output else F.broadcast_add(x, shift)
        return [y, F.ones_like(bias), bias]


def _sum(beta: Optional[Tensor], bias: Optional[Tensor]) -> Tensor:
    if beta is None:
        return bias
    return beta if bias is None else beta + bias
