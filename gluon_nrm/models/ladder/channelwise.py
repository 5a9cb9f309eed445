"""Statistics and affine maps of each feature map or unit over a batch, as part of the graph.

Arrays are feature maps (B, C, H, W) or units (B, N), told apart by their shape without the batch; one number
belongs to each feature map or unit. On the CPU the gradient of MXNet's broadcasts takes ten times as long as
these convolutions and matrix products.
"""

from __future__ import annotations

from typing import Optional, Tuple

import mxnet as mx

from gluon_nrm.rules.statistics import EPSILON, plain_mean, spatial_mean
from gluon_nrm.typing import Operators, Tensor

#: (C, H, W) of maps, or (N,) of units.
Shape = Tuple[int, ...]


def _ones(F: Operators, x: Tensor) -> Tensor:
    """Ones (B, 1) for units (B, N)."""
    # not recorded: eager MXNet 1.9.1 crashes in the backward pass of an array without a gradient
    with mx.autograd.pause():
        return F.ones_like(F.slice_axis(x, axis=1, begin=0, end=1))


def _mean(F: Operators, x: Tensor, shape: Shape, plain: bool = False) -> Tensor:
    """Mean of each feature map or unit over the batch, (C,); ``plain`` as for ``plain_mean``."""
    if len(shape) == 3:
        x = plain_mean(F, x) if plain else F.reshape(spatial_mean(F, x), shape=(0, 0))
    with mx.autograd.pause():
        even = F.softmax(F.reshape(_ones(F, x), shape=(1, -1)))
    return F.reshape(F.dot(even, x), shape=(-1,))


def scale_and_shift(
    F: Operators, x: Tensor, shape: Shape, scale: Optional[Tensor] = None, shift: Optional[Tensor] = None
) -> Tensor:
    """Compute scale x + shift.

    Args:
        F: the operator module.
        x: feature maps (B, C, H, W) or units (B, N).
        shape: of ``x`` without the batch.
        scale: one number of each feature map or unit, (C,); None: 1.
        shift: likewise; None: 0.
    """
    if len(shape) == 3:
        # a convolution of every feature map by itself, with filters of one pixel; in prediction it may keep
        # its filters in a layout of its own, which must not be the parameter's memory
        filters = F.ones_like(shift) if scale is None else scale * 1
        arguments = [x, F.reshape(filters, shape=(-1, 1, 1, 1)), *([] if shift is None else [shift])]
        return F.Convolution(
            *arguments, kernel=(1, 1), num_filter=shape[0], num_group=shape[0], no_bias=shift is None
        )
    ones = _ones(F, x)
    if scale is not None:
        x = x * F.dot(ones, F.reshape(scale, shape=(1, -1)))
    return x if shift is None else x + F.dot(ones, F.reshape(shift, shape=(1, -1)))


def deviation(F: Operators, x: Tensor, shape: Shape) -> Tuple[Tensor, Tensor]:
    """Return the mean of each feature map or unit and 1 / its standard deviation, (C,) each."""
    mean = _mean(F, x, shape)
    # centred first: E[x^2] - E[x]^2 loses the variance where the mean is large
    variance = _mean(F, F.square(scale_and_shift(F, x, shape, shift=-mean)), shape, plain=True)
    return mean, F.rsqrt(variance + EPSILON)


def normalise(F: Operators, x: Tensor, shape: Shape) -> Tensor:
    """Normalise each feature map or unit by its statistics in the batch."""
    mean, inverse = deviation(F, x, shape)
    return scale_and_shift(F, x, shape, inverse, -mean * inverse)
