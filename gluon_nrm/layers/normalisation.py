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
    """Negation of a norm's input and output: x stands for -v.

    The Min branch runs on negated features, where its minima are maxima. A norm puts the signs into its scale
    and shift, where they cost nothing.
    """

    input: bool = False
    output: bool = False


NOT_NEGATED = Negated()


class AroundOne(Normal):
    """Initialise from N(1, sigma), as the released experiments do for every gamma."""

    def __init__(self, sigma: float = 0.02) -> None:
        super().__init__(sigma)

    def _init_weight(self, _: str, array: Tensor) -> None:
        super()._init_weight(_, array)
        array += 1


class BatchNorm(HybridBlock):
    """Batch normalisation: (B, C, H, W) to the same shape.

    Args:
        channels: feature maps C.
        bias: the layer's bias b(l), (C,), used as the norm's shift; None: no such bias.
        own_beta: learn a beta besides ``bias``; the shift is their sum (released form).
        negated: whether input and output are negated; the running mean is that of the input.

    Returns a list: the output, and the scale and shift, (C,) each, of the affine map that this call applied,
    without any negation. They are constant except for gamma, beta and bias.
    """

    def __init__(
        self,
        channels: int,
        bias: Optional[Parameter] = None,
        own_beta: bool = False,
        negated: Negated = NOT_NEGATED,
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
        # mean and reciprocal standard deviation are the batch's in training, else the running ones; they
        # carry no gradient
        y, mean, inverse_std = F.BatchNorm(
            x, gamma if negated.input == negated.output else -gamma, -shift if negated.output else shift,
            running_mean, running_var, eps=EPSILON, momentum=MOMENTUM, fix_gamma=False, output_mean_var=True,
        )  # fmt: skip
        scale = gamma * F.BlockGrad(inverse_std)
        moved = F.BlockGrad(mean) * scale
        return [y, scale, shift + moved if negated.input else shift - moved]


class InstanceNorm(HybridBlock):
    """Instance normalisation of the zero image's path, (B, C, H, W) to the same shape; gamma is fixed.

    Returns a list of the output alone.

    Args:
        channels: feature maps C.
        size: height and width of the maps.
        bias: as for ``BatchNorm``.
        own_beta: as for ``BatchNorm``.
        learn_beta: False in inference, where beta acts through the states only and has no gradient.
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
    """The layer's bias alone, for layers without normalisation; returns the same list as ``BatchNorm``."""

    def __init__(self, bias: Parameter, negated: Negated = NOT_NEGATED, **kwargs: Any) -> None:
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
