"""Means, variances and instance normalisation, from operators that are cheap on every device.

On the CPU ``F.mean`` over axes, ``F.InstanceNorm`` and the gradient of a broadcast take ten to fifty times as
long as one pass over the memory. Matrix products with a vector of ones compute the same sums, and spread
numbers over pixels, at the speed of memory in both passes.
"""

from __future__ import annotations

from typing import Tuple

from gluon_nrm.typing import Operators, Tensor

Pair = Tuple[int, int]

EPSILON = 1e-5


def _rows(F: Operators, x: Tensor) -> Tuple[Tensor, Tensor]:
    """Flatten maps (B, C, H, W) to rows (B, C, HW), and return the weight 1 / HW of each pixel, (1, HW)."""
    # `reshape` of a convolution's output copies twice, and moves the output itself out of oneDNN's memory
    # layout, in which the gradient of its batch norm takes a quarter of the time
    plain = F.transpose(x, axes=(0, 1, 2, 3))
    heights, widths = (F.contrib.arange_like(plain, axis=axis) for axis in (2, 3))
    pixels = F.broadcast_add(F.reshape(heights, shape=(-1, 1)), F.reshape(widths, shape=(1, -1)))
    weight = _even(F, pixels)
    return F.reshape_like(plain, weight, lhs_begin=2, lhs_end=4, rhs_begin=1, rhs_end=2), weight


def _even(F: Operators, like: Tensor) -> Tensor:
    """Even weights 1 / n, (1, n), for n numbers of any shape."""
    return F.softmax(F.zeros_like(F.reshape(like, shape=(1, -1))))


def _average(F: Operators, x: Tensor, weight: Tensor) -> Tensor:
    """Average over the last axis: (..., n) to (..., 1)."""
    return F.FullyConnected(x, weight, num_hidden=1, no_bias=True, flatten=False)


def spatial_mean(F: Operators, x: Tensor) -> Tensor:
    """Mean over height and width: (B, C, H, W) to (B, C, 1, 1)."""
    # mean of every line, then of the lines; reshaping the map to rows would copy it
    rows, columns = (_even(F, F.contrib.arange_like(x, axis=axis)) for axis in (2, 3))
    lines = _average(F, x, columns)
    return _average(F, F.reshape(lines, shape=(0, 0, 1, -1)), rows)


def plain_mean(F: Operators, x: Tensor) -> Tensor:
    """Mean over height and width of the result of an element-wise operator: (B, C, H, W) to (B, C).

    Cheaper than ``spatial_mean``. The output of a convolution would be copied.
    """
    rows = F.reshape(x, shape=(0, 0, -1))
    return F.reshape(_average(F, rows, _even(F, F.contrib.arange_like(rows, axis=2))), shape=(0, 0))


def instance_norm(F: Operators, x: Tensor, gamma: Tensor, beta: Tensor, size: Pair) -> Tensor:
    """Normalise every channel of every image by its own statistics.

    Args:
        F: the operator module.
        x: images (B, C, *size).
        gamma: scale of the result, (C,).
        beta: shift of the result, (C,).
        size: height and width of the images.
    """
    rows, weight = _rows(F, x)
    pixels = size[0] * size[1]
    ones = F.reshape(F.ones_like(weight), shape=(-1, 1))

    def spread(values: Tensor) -> Tensor:
        """Repeat a number over all pixels: (B, C, 1) to (B, C, HW)."""
        return F.FullyConnected(values, ones, num_hidden=pixels, no_bias=True, flatten=False)

    # centred first: E[x^2] - E[x]^2 loses the variance where the mean is large
    centred = rows - spread(_average(F, rows, weight))
    variance = _average(F, F.square(centred), weight)
    scale = F.broadcast_mul(F.rsqrt(variance + EPSILON), F.reshape(gamma, shape=(1, -1, 1)))
    shift = F.broadcast_add(F.zeros_like(scale), F.reshape(beta, shape=(1, -1, 1)))
    normalised = centred * spread(scale) + spread(shift)
    # `reshape_like` copies nothing, `reshape` does
    image = F.reshape(ones, shape=size)
    return F.reshape_like(normalised, image, lhs_begin=2, lhs_end=3, rhs_begin=0, rhs_end=2)
