"""Matching of the rendered features' statistics with the inferred ones' (equation 12)."""

from __future__ import annotations

from typing import Any, List, Sequence, Tuple

from mxnet.gluon import HybridBlock

from gluon_nrm.layers.statistics import EPSILON
from gluon_nrm.typing import Operators, Tensor


class MomentMatching(HybridBlock):
    """KL divergence of the rendered features' Gaussian from that of the inferred ones, over all layers.

    With m, v the mean and variance, over batch and space, of a rendered channel and M, V those of the
    inferred one, the mean over a layer's channels of 1/2 [ (m - M)^2 / V + v / V - log(v / V) - 1 ].
    Variances below ``EPSILON`` count as ``EPSILON``: v is 0 where all images of a batch have one class. (A
    floor, and not a sum, leaves every larger variance's divergence exact.)

    Called with two lists, one [mean, mean square] a layer each, (B, C, 1, 1), in the same order. Gradient
    flows into both sides. Returns one value for the batch, (1,). Range [0, inf).

    Args:
        channels: of every layer, in the order of the lists.
    """

    def __init__(self, channels: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._channels = tuple(channels)

    def hybrid_forward(
        self, F: Operators, rendered: List[List[Tensor]], inferred: List[List[Tensor]]
    ) -> Tensor:
        m, v = self._moments(F, rendered)
        M, V = self._moments(F, inferred)
        divergence = (F.square(m - M) + v) / V - F.log(v / V) - 1
        total = 0.0
        for channels, begin in zip(self._channels, self._begins()):
            layer = F.slice_axis(divergence, axis=0, begin=begin, end=begin + channels)
            total = total + F.mean(layer, axis=0, keepdims=True) * 0.5
        return total

    def _begins(self) -> List[int]:
        return [sum(self._channels[:place]) for place in range(len(self._channels))]

    def _moments(self, F: Operators, layers: List[List[Tensor]]) -> Tuple[Tensor, Tensor]:
        """Mean and floored variance of all layers' channels side by side, (sum of C,)."""
        # one small operation for all layers costs much less than one for each
        mean = F.mean(F.concat(*[layer[0] for layer in layers], dim=1), axis=(0, 2, 3))
        square = F.mean(F.concat(*[layer[1] for layer in layers], dim=1), axis=(0, 2, 3))
        return mean, F.maximum(square - F.square(mean), EPSILON)
