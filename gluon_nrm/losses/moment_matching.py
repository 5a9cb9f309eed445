"""Matching of the rendered features' statistics with the inferred ones' (equation 12).

The gradient with respect to a map is affine in the map, but MXNet's way there, through squares and means, is
long: 8 % of a training step. So it is written down here, and goes back from the maps themselves
(``Objective.backward``): with m and v the mean and variance of n pixels x, dm/dx = 1 / n and
dv/dx = 2 (x - m) / n. Batch norms do all that is done to a map: they read and write it in the memory layout
that the convolutions on either side have it in.
"""

from __future__ import annotations

from typing import Any, List, NamedTuple, Sequence, Tuple

import mxnet as mx
from mxnet.gluon import HybridBlock

from gluon_nrm.layers.statistics import EPSILON
from gluon_nrm.models.base import MatchedLayer
from gluon_nrm.typing import Operators, Tensor


class MapSlopes(NamedTuple):
    """How the loss changes with one map: B times its gradient is by_deviation (x - m) / sd + by_mean.

    With B the batch size and sd the square root of v + ``EPSILON``; (C,) each.
    """

    mean: Tensor
    variance: Tensor
    #: dL/dm / pixels of a map
    by_mean: Tensor
    #: 2 sd dL/dv / pixels of a map
    by_deviation: Tensor


class _Moments(NamedTuple):
    """Of one layer's maps, or of all layers' side by side."""

    mean: Tensor
    variance: Tensor


def _moments(F: Operators, x: Tensor, zero: Tensor, one: Tensor) -> _Moments:
    """Mean and variance of every channel over batch and space: (B, C, H, W) to (C,) each."""
    _, mean, inverse_std = F.BatchNorm(
        x, F.ones_like(one), F.zeros_like(zero), zero, one, eps=EPSILON, fix_gamma=False, output_mean_var=True
    )
    return _Moments(mean, F.relu(1.0 / F.square(inverse_std) - EPSILON))


class MomentMatching(HybridBlock):
    """KL divergence of the rendered features' Gaussian from that of the inferred ones, over all layers.

    With m, v the mean and variance, over batch and space, of a rendered channel and M, V those of the
    inferred one, the mean over a layer's channels of 1/2 [ (m - M)^2 / V + v / V - log(v / V) - 1 ], the sum
    over the layers, and the mean over the branches. Variances below ``EPSILON`` count as ``EPSILON``: v is 0
    where all images of a batch have one class. (A floor, and not a sum, leaves every larger variance's
    divergence exact.)

    Called by ``match``, in training mode, so that its batch norms take the batch's statistics: with the maps
    of each branch, (B, C, H, W), the rendered ones of all layers and then the inferred ones; and with zeros
    and ones, (C,) for every C in ``widths``. Returns the loss of the batch, (1,), range [0, inf), and
    ``MapSlopes`` for each map.

    Args:
        layers: those that are matched.
        branches: 1, or 2 where there is a Min branch.
    """

    def __init__(self, layers: Sequence[MatchedLayer], branches: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._layers, self._share = tuple(layers), 1.0 / branches
        turned = [-1.0 if layer.mirrored else 1.0 for layer in layers]
        self._signs = [[1.0] * len(layers), turned][:branches]  # of the inferred maps
        self.widths = sorted({layer.channels for layer in layers})

    def hybrid_forward(
        self, F: Operators, maps: List[Tensor], zeros: List[Tensor], ones: List[Tensor]
    ) -> Tuple[Tensor, List[MapSlopes]]:
        unused = dict(zip(self.widths, zip(zeros, ones)))  # running statistics
        remaining = iter(maps)
        total, slopes = 0.0, []
        for signs in self._signs:
            rendered, inferred = (
                [_moments(F, next(remaining), *unused[layer.channels]) for layer in self._layers]
                for _ in range(2)
            )
            plain = [1.0] * len(signs)
            loss, *derivatives = self._compare(
                F, self._side_by_side(F, rendered, plain), self._side_by_side(F, inferred, signs)
            )
            total = total + loss * self._share
            pixels = zip(*[(layer.rendered, layer.inferred) for layer in self._layers])
            for side in zip((rendered, inferred), derivatives, pixels, (plain, signs)):
                slopes += self._slopes(F, *side)
        return total, slopes

    def _side_by_side(self, F: Operators, moments: List[_Moments], signs: Sequence[float]) -> _Moments:
        """Moments of all layers, nothing mirrored, (sum of C,): one operation costs less than one a layer."""
        means = [each.mean * sign for each, sign in zip(moments, signs)]
        return _Moments(F.concat(*means, dim=0), F.concat(*[each.variance for each in moments], dim=0))

    def _compare(
        self, F: Operators, rendered: _Moments, inferred: _Moments
    ) -> Tuple[Tensor, Tuple[Tensor, Tensor], Tuple[Tensor, Tensor]]:
        """Loss of a branch; and of the sum over the channels, for either side, dL/dm and 2 sd dL/dv."""
        v, V = (F.maximum(each.variance, EPSILON) for each in (rendered, inferred))
        difference = rendered.mean - inferred.mean
        relative = (F.square(difference) + v) / V
        total = 0.0
        for layer in self._split(F, relative - F.log(v / V) - 1):
            total = total + F.mean(layer, axis=0, keepdims=True) * 0.5
        by_deviation = [
            # below the floor nothing depends on the variance
            twice * (each.variance > EPSILON) * F.sqrt(each.variance + EPSILON)
            for twice, each in ((1 / V - 1 / v, rendered), ((1 - relative) / V, inferred))
        ]
        by_mean = difference / V
        return total, (by_mean, by_deviation[0]), (-by_mean, by_deviation[1])

    def _slopes(
        self, F: Operators, moments: List[_Moments], derivatives: Tuple[Tensor, Tensor],
        pixels: Sequence[int], signs: Sequence[float],
    ) -> List[MapSlopes]:  # fmt: skip
        found = []
        parts = zip(*[self._split(F, each) for each in derivatives])
        every = zip(self._layers, moments, parts, pixels, signs)
        for layer, own, (by_mean, by_deviation), count, sign in every:
            share = self._share / (layer.channels * count)
            found.append(MapSlopes(*own, by_mean * (share * sign), by_deviation * share))
        return found

    def _split(self, F: Operators, values: Tensor) -> List[Tensor]:
        """Layer by layer what stands side by side: (sum of C,) to (C,) each."""
        found, begin = [], 0
        for layer in self._layers:
            found.append(F.slice_axis(values, axis=0, begin=begin, end=begin + layer.channels))
            begin += layer.channels
        return found


def match(block: MomentMatching, maps: List[Any]) -> Tuple[Any, List[MapSlopes]]:
    """Compare the arrays ``maps`` by ``block``: its loss and their slopes, constants."""
    device = maps[0].context
    with mx.autograd.pause(train_mode=True):
        zeros, ones = ([fill(C, ctx=device) for C in block.widths] for fill in (mx.nd.zeros, mx.nd.ones))
        loss, slopes = block(maps, zeros, ones)
    return loss, [MapSlopes(*each) for each in slopes]


class MapGradients(HybridBlock):
    """Gradient of the loss times a weight with respect to the maps, for maps and their ``MapSlopes``.

    Called with the weight divided by the batch size, (1,).
    """

    def hybrid_forward(
        self, F: Operators, weight: Tensor, maps: List[Tensor], slopes: List[MapSlopes]
    ) -> List[Tensor]:
        return [
            F.BatchNorm(
                x, F.broadcast_mul(by_deviation, weight), F.broadcast_mul(by_mean, weight), mean, variance,
                eps=EPSILON, fix_gamma=False, use_global_stats=True,
            )
            for x, (mean, variance, by_mean, by_deviation) in zip(maps, slopes)
        ]  # fmt: skip
