"""Means, variances and instance normalisation, from operators that are cheap on every device.

On the CPU ``F.mean`` over axes, ``F.InstanceNorm`` and the gradient of every broadcast cost ten to fifty
times what a pass over the memory does. Matrix products with a vector of ones do the same sums, and spread
numbers over pixels, at the speed of memory in both directions. This is the one place to look for a faster
formulation.
"""

from __future__ import annotations

from typing import List, Tuple

from gluon_nrm.typing import Operators, Tensor

EPSILON = 1e-5


def _rows(F: Operators, x: Tensor) -> Tuple[Tensor, Tensor]:
    """One row of pixels a map, (B, C, H, W) to (B, C, HW), and the weight 1 / HW of each pixel, (1, HW)."""
    rows = F.reshape(x, shape=(0, 0, -1))
    first = F.slice_axis(F.slice_axis(rows, axis=0, begin=0, end=1), axis=1, begin=0, end=1)
    return rows, F.softmax(F.zeros_like(F.reshape(first, shape=(1, -1))))


def _average(F: Operators, rows: Tensor, weight: Tensor) -> Tensor:
    """Average over pixels: (B, C, HW) to (B, C, 1)."""
    return F.FullyConnected(rows, weight, num_hidden=1, no_bias=True, flatten=False)


def spatial_mean(F: Operators, x: Tensor) -> Tensor:
    """Mean over height and width: (B, C, H, W) to (B, C, 1, 1)."""
    return F.expand_dims(_average(F, *_rows(F, x)), axis=3)


def spatial_moments(F: Operators, x: Tensor) -> List[Tensor]:
    """Mean of every channel of every image, and of its square: (B, C, H, W) to two (B, C, 1, 1).

    Their means over the batch give the channel's moments; the caller takes those for all layers at once.
    """
    rows, weight = _rows(F, x)
    return [F.expand_dims(_average(F, each, weight), axis=3) for each in (rows, F.square(rows))]


def instance_norm(F: Operators, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """Normalise every channel of every image by its own statistics; gamma and beta are (C,)."""
    rows, weight = _rows(F, x)
    pixels = F.ones_like(weight)
    # centred first: where the mean is large, a difference of products would lose the variance
    centred = rows - F.dot(_average(F, rows, weight), pixels)
    variance = _average(F, F.square(centred), weight)
    scale = F.broadcast_mul(F.rsqrt(variance + EPSILON), F.reshape(gamma, shape=(1, -1, 1)))
    shift = F.broadcast_add(F.zeros_like(scale), F.reshape(beta, shape=(1, -1, 1)))
    return F.reshape_like(centred * F.dot(scale, pixels) + F.dot(shift, pixels), x)
