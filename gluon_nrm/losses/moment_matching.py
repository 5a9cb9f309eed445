"""Matching of the rendered features' statistics with the inferred ones', a term of the released experiments.

The gradient with respect to a map is affine in the map: with m and v the mean and variance of n pixels x,
dm/dx = 1 / n and dv/dx = 2 (x - m) / n. It is written down here, because MXNet's autograd takes much longer,
through squares and means. ``Objective.backward`` hands it to the maps. All work on a map is done by batch
norms, which read and write it in the memory layout of the convolutions on either side.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import mxnet as mx
from mxnet.gluon import HybridBlock

from gluon_nrm.models.interface.passes import Matched, MatchedLayer
from gluon_nrm.rules.statistics import EPSILON
from gluon_nrm.typing import Operators, Tensor


class GradientCoefficients(NamedTuple):
    """The gradient of the loss with respect to maps x of mean m: (by_mean + by_variance (x - m)) / B.

    B is the batch size.
    """

    #: mean of each map, (C,)
    means: List[Tensor]
    #: dL/dm / pixels of a map, the channels of all maps concatenated, (sum of C,)
    by_mean: Tensor
    #: 2 dL/dv / pixels of a map, the channels of all maps concatenated, (sum of C,)
    by_variance: Tensor


class MomentMatching(HybridBlock):
    """KL divergence of the rendered features' Gaussian from that of the inferred ones, over all layers.

    m and v are the mean and variance of a rendered channel over batch and space, M and V those of the
    inferred channel. The loss of a layer is the mean over its channels of
    1/2 [ (m - M)^2 / V + v / V - log(v / V) - 1 ]; the layers are summed, the branches averaged. Variances
    below ``EPSILON`` are set to ``EPSILON``: v is 0 where all images of a batch have one class.

    Called by ``match`` with ``maps_of`` a joint pass, (B, C, H, W) each, and ``unused_statistics``. It runs
    in training mode, so that its batch norms use the statistics of the batch. Returns the loss of the batch,
    (1,), range [0, inf), and the fields of ``GradientCoefficients``.

    Args:
        layers: the layers that are matched.
        branches: 1, or 2 with a Min branch.
    """

    def __init__(self, layers: Sequence[MatchedLayer], branches: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._layers = list(layers) * branches
        self._shares = [1.0 / (layer.channels * branches) for layer in self._layers]
        #: index of each layer's inferred map among all maps
        self._inferred = _inferred_places(layers, branches)
        #: -1 for inferred maps that are negated: those of the Min branch alone
        of_max = len(self._layers) + len(layers)
        self._signs = [1.0 if place < of_max else -1.0 for place in self._inferred]
        inferred = dict(zip(self._inferred, self._layers)).values()
        #: channels of every map
        self.channels = tuple(layer.channels for layer in [*self._layers, *inferred])

    def maps_of(self, matched: Sequence[Matched]) -> List[Tensor]:
        """List the rendered maps of every branch, then the inferred ones; a shared map is listed once."""
        rendered, inferred = ([each for branch in matched for each in branch[side]] for side in range(2))
        return [*rendered, *dict(zip(self._inferred, inferred)).values()]

    def hybrid_forward(
        self, F: Operators, maps: List[Tensor], zeros: List[Tensor], ones: List[Tensor]
    ) -> Tuple[Tensor, List[Tensor], Tensor, Tensor]:
        unused = dict(zip(_widths(self.channels), zip(zeros, ones)))
        found = [_moments(F, x, *unused[C]) for x, C in zip(maps, self.channels)]
        # one operation on the statistics of all maps costs much less than one for each map
        means = [mean for mean, _ in found]
        rendered, inferred = found[: len(self._layers)], [found[place] for place in self._inferred]
        m, own_v = F.concat(*[mean for mean, _ in rendered], dim=0), _variance(F, rendered)
        M = F.concat(*[mean if sign > 0 else -mean for (mean, _), sign in zip(inferred, self._signs)], dim=0)
        own_V = _variance(F, inferred)
        v, V = F.maximum(own_v, EPSILON), F.maximum(own_V, EPSILON)
        relative = (F.square(m - M) + v) / V
        divergence = (relative - F.log(v / V) - 1) * _spread(F, means, self._shares)
        by_m = (m - M) / V
        # below the floor nothing depends on the variance
        by_v, by_V = (1 / V - 1 / v) * (own_v > EPSILON), (1 - relative) / V * (own_V > EPSILON)
        per_rendered = [share / layer.rendered for share, layer in zip(self._shares, self._layers)]
        per_inferred = [share / layer.inferred for share, layer in zip(self._shares, self._layers)]
        of_rendered, of_inferred = (_spread(F, means, each) for each in (per_rendered, per_inferred))
        turned = _spread(F, means, [-share * sign for share, sign in zip(per_inferred, self._signs)])
        return (
            F.sum(divergence, keepdims=True) * 0.5, means,
            F.concat(by_m * of_rendered, self._of_maps(F, by_m * turned), dim=0),
            F.concat(by_v * of_rendered, self._of_maps(F, by_V * of_inferred), dim=0),
        )  # fmt: skip

    def _of_maps(self, F: Operators, gradients: Tensor) -> Tensor:
        """Add up the gradients of each inferred map over the branches that share it."""
        wanted: Dict[int, Tensor] = {}
        begin = 0
        for place, layer in zip(self._inferred, self._layers):
            end = begin + layer.channels
            own = F.slice_axis(gradients, axis=0, begin=begin, end=end)
            wanted[place] = wanted[place] + own if place in wanted else own
            begin = end
        return F.concat(*wanted.values(), dim=0)


def _inferred_places(layers: Sequence[MatchedLayer], branches: int) -> List[int]:
    """Index of each layer's inferred map in ``MomentMatching.maps_of``, branch after branch."""
    first = len(layers) * branches
    fresh = itertools.count(first + len(layers))
    return [
        next(fresh) if branch and layer.negated else place
        for branch in range(branches)
        for place, layer in enumerate(layers, start=first)
    ]


def _widths(channels: Sequence[int]) -> List[int]:
    """List each number of channels once."""
    return sorted(set(channels))


def _spread(F: Operators, like: List[Tensor], of_layers: List[float]) -> Tensor:
    """Repeat one number a layer for all its channels; ``like`` begins with a (C,) for each layer."""
    return F.concat(*[F.ones_like(each) * number for each, number in zip(like, of_layers)], dim=0)


def _moments(F: Operators, x: Tensor, zero: Tensor, one: Tensor) -> Tuple[Tensor, Tensor]:
    """Mean and reciprocal standard deviation of every channel over batch and space, (C,) each."""
    _, mean, inverse_std = F.BatchNorm(
        x, F.ones_like(one), F.zeros_like(one), zero, one, eps=EPSILON, fix_gamma=False, output_mean_var=True
    )
    return mean, inverse_std


def _variance(F: Operators, moments: List[Tuple[Tensor, Tensor]]) -> Tensor:
    inverse_std = F.concat(*[each for _, each in moments], dim=0)
    return 1.0 / F.square(inverse_std) - EPSILON


@functools.lru_cache(maxsize=None)
def unused_statistics(channels: Tuple[int, ...], device: mx.Context) -> Tuple[List[Tensor], List[Tensor]]:
    """Running means and variances, (C,) for each number of channels, that the batch norms never read."""
    widths = _widths(channels)
    return [mx.nd.zeros(C, ctx=device) for C in widths], [mx.nd.ones(C, ctx=device) for C in widths]


@functools.lru_cache(maxsize=None)
def unit_variances(channels: Tuple[int, ...], device: mx.Context) -> List[Tensor]:
    """Running variances of 1, (C,) for each number of channels, that the batch norms never change."""
    return [mx.nd.ones(C, ctx=device) for C in _widths(channels)]


def match(block: MomentMatching, maps: List[Tensor]) -> Tuple[Tensor, GradientCoefficients]:
    """Compute the loss of ``maps`` and the coefficients of its gradient, both constant."""
    with mx.autograd.pause(train_mode=True):
        loss, *coefficients = block(maps, *unused_statistics(block.channels, maps[0].context))
    return loss, GradientCoefficients(*coefficients)


class MapGradients(HybridBlock):
    """Compute the gradient of the weighted loss with respect to all maps.

    Called with the weight divided by the batch size, (1,), the maps, (B, C, H, W) each, the fields of
    their ``GradientCoefficients``, and ``unit_variances``.

    Args:
        channels: channels of every map.
    """

    def __init__(self, channels: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._channels = tuple(channels)

    def hybrid_forward(
        self, F: Operators, weight: Tensor, maps: List[Tensor], means: List[Tensor], by_mean: Tensor,
        by_variance: Tensor, ones: List[Tensor],
    ) -> List[Tensor]:  # fmt: skip
        unit = dict(zip(_widths(self._channels), ones))
        shift = F.broadcast_mul(by_mean, weight)
        # the norm divides by the root of 1 + EPSILON
        scale = F.broadcast_mul(by_variance, weight * math.sqrt(1 + EPSILON))
        found, begin = [], 0
        for x, mean, C in zip(maps, means, self._channels):
            gamma, beta = (F.slice_axis(e, axis=0, begin=begin, end=begin + C) for e in (scale, shift))
            found.append(
                F.BatchNorm(
                    x, gamma, beta, mean, unit[C], eps=EPSILON, fix_gamma=False, use_global_stats=True
                )
            )
            begin += C
        return found
