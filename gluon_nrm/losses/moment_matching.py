"""Matching of the rendered features' statistics with the inferred ones' (equation 12)."""

from __future__ import annotations

from typing import List

from mxnet.gluon import HybridBlock

from ..layers.statistics import EPSILON
from ..typing import Operators, Tensor


class MomentMatching(HybridBlock):
    """KL divergence of the Gaussian of the rendered features from that of the inferred ones, summed over the layers.

    With m, v the (C,) mean and variance of the rendered and M, V of the inferred features of a layer, the mean over its
    channels of 1/2 [ (m - M)^2 / V + v / V - log(v / V) - 1 ]. Variances below ``EPSILON`` count as ``EPSILON``: v is 0 where
    all images of a batch have one class. (A floor, and not a sum, leaves every larger variance's divergence exact.)

    Called with two lists, one [mean, variance] a layer each, in the same order. Gradient flows into both sides. Returns one
    value for the batch, (1,). Range [0, inf).
    """

    def hybrid_forward(self, F: Operators, rendered: List[List[Tensor]], inferred: List[List[Tensor]]) -> Tensor:
        total = 0.0
        for (m, v), (M, V) in zip(rendered, inferred):
            v, V = F.maximum(v, EPSILON), F.maximum(V, EPSILON)
            divergence = (F.square(m - M) + v) / V - F.log(v / V) - 1
            total = total + F.mean(divergence, axis=0, keepdims=True) * 0.5
        return total
