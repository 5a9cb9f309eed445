"""One layer of a Ladder network's decoder, and the cost of what it denoises."""

from __future__ import annotations

import math
from typing import Any, Optional

import mxnet as mx
from mxnet.gluon import HybridBlock

from gluon_nrm.models.ladder.channelwise import Shape, deviation, normalise, scale_and_shift
from gluon_nrm.models.ladder.layers import CONVOLUTION, DENSE, MAX_POOLING, LadderLayer
from gluon_nrm.rules.pooling import spread
from gluon_nrm.rules.statistics import plain_mean
from gluon_nrm.typing import Operators, Tensor


class CombinatorStart(mx.init.Initializer):
    """Initialise a1 to a5 of a combinator, (5, N): a2 is 1, the others are 0, as the authors do."""

    def _init_weight(self, _: str, array: Tensor) -> None:
        array[:] = 0
        array[1] = 1


class Combinator(HybridBlock):
    """Estimate clean values from noisy ones z and the signal u from the layer above, (B, *shape) each.

    The estimate is (z - mean(u)) slope(u) + mean(u). Mean and slope are each a1 sigmoid(a2 u + a3) + a4 u +
    a5, with ten parameters for every unit or feature map (Rasmus et al. 2015, Section 3.2).

    Args:
        shape: without the batch.
    """

    def __init__(self, shape: Shape, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._shape = shape
        with self.name_scope():
            start = {"shape": (5, shape[0]), "init": CombinatorStart()}
            self.mean = self.params.get("mean", **start)
            self.slope = self.params.get("slope", **start)

    def hybrid_forward(self, F: Operators, z: Tensor, u: Tensor, mean: Tensor, slope: Tensor) -> Tensor:
        centred_at, factor = self._curve(F, u, mean), self._curve(F, u, slope)
        return (z - centred_at) * factor + centred_at

    def _curve(self, F: Operators, u: Tensor, parameters: Tensor) -> Tensor:
        """Compute a1 sigmoid(a2 u + a3) + a4 u + a5."""
        a1, a2, a3, a4, a5 = (F.reshape(a, shape=(-1,)) for a in F.split(parameters, num_outputs=5, axis=0))
        # this operator's exponential is vectorised, that of ``sigmoid`` is not
        step = F.Activation(scale_and_shift(F, u, self._shape, a2, a3), act_type="sigmoid")
        return scale_and_shift(F, step, self._shape, a1, a5) + scale_and_shift(F, u, self._shape, a4)


class DecoderLayer(HybridBlock):
    """Denoise one layer: the result of the layer above and the noisy pre-activations to (B, *shape).

    The way down mirrors the layer above with weights of its own: a dense layer or a convolution back to its
    input, every pixel of a pooling repeated over its window, a mean repeated over all pixels. The result is
    normalised by the batch. At the top it is the class probabilities that are.

    Args:
        above: the layer above; None at the top, which is called with class probabilities (B, K).
        shape: of the pre-activations, without the batch.
    """

    def __init__(self, above: Optional[LadderLayer], shape: Shape, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._above, self._shape = above, shape
        with self.name_scope():
            if above is not None and above.weighted:
                self.weight = self.params.get("weight", shape=_downward(above, shape))
            self.combinator = Combinator(shape)

    def hybrid_forward(
        self, F: Operators, higher: Tensor, noisy: Tensor, weight: Optional[Tensor] = None
    ) -> Tensor:
        u = self._descend(F, higher, weight)
        return self.combinator(noisy, normalise(F, u, self._shape))

    def _descend(self, F: Operators, higher: Tensor, weight: Optional[Tensor]) -> Tensor:
        above, shape = self._above, self._shape
        if above is None:
            return higher
        if above.kind == DENSE:
            flat = F.FullyConnected(higher, weight, num_hidden=math.prod(shape), no_bias=True)
            return F.reshape(flat, shape=(-1, *shape))
        window = (above.side, above.side)
        if above.kind == CONVOLUTION:
            # the full convolution with filters of its own has the reach of the transpose
            margin = (above.side - 1 - above.pad,) * 2
            return F.Convolution(higher, weight, kernel=window, pad=margin, num_filter=shape[0], no_bias=True)
        size = (shape[1], shape[2])
        if above.kind == MAX_POOLING:
            return spread(F, higher, window, size)
        return F.broadcast_axis(F.reshape(higher, shape=(0, 0, 1, 1)), axis=(2, 3), size=size)


def _downward(above: LadderLayer, shape: Shape) -> Shape:
    """Shape of the weight that leads from the output of a layer back to its input."""
    if above.kind == DENSE:
        return math.prod(shape), above.units
    return shape[0], above.units, above.side, above.side


class DenoisingCost(HybridBlock):
    """Squared error of denoised values, averaged over a layer's width: two (B, *shape) to (B,).

    Both the denoised values and the clean pre-activations are normalised by mean and deviation of the clean
    batch; the mean cancels in their difference. The image is not normalised.

    Args:
        shape: without the batch.
        normalises: False for the image.
    """

    def __init__(self, shape: Shape, normalises: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._shape, self._normalises = shape, normalises

    def hybrid_forward(self, F: Operators, denoised: Tensor, clean: Tensor) -> Tensor:
        error = denoised - clean
        if self._normalises:
            error = scale_and_shift(F, error, self._shape, deviation(F, clean, self._shape)[1])
        squared = F.square(error)
        return F.mean(plain_mean(F, squared) if len(self._shape) == 3 else squared, axis=1)
