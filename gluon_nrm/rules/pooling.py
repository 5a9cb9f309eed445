"""Max- and average pooling over windows that tile the image, and their transposes.

The latent of max-pooling is the position t of each window's maximum: a map of the input's size that is 1 at
the maxima and 0 elsewhere. If pixels tie, each of them gets a 1, as in the released code; the exact transpose
would pick one. Windows do not overlap: the stride is the kernel. Rows and columns that no window covers are
rendered as zeros.
"""

from __future__ import annotations

from typing import Tuple

import mxnet as mx

from gluon_nrm.typing import Operators, Tensor

Pair = Tuple[int, int]


def pool(F: Operators, x: Tensor, kernel: Pair) -> Tensor:
    """Max-pooling; on the Min branch's negated features this is min-pooling."""
    return F.Pooling(x, kernel=kernel, stride=kernel, pool_type="max")


def average_pool(F: Operators, x: Tensor, kernel: Pair) -> Tensor:
    """Average pooling. It has no latent, and is the same in both branches."""
    return F.Pooling(x, kernel=kernel, stride=kernel, pool_type="avg")


def global_average_pool(F: Operators, x: Tensor) -> Tensor:
    """Mean over height and width: (B, C, H, W) to (B, C, 1, 1)."""
    return F.contrib.AdaptiveAvgPooling2D(x, output_size=1)


def _enlarge(F: Operators, h: Tensor, kernel: Pair, size: Pair, beyond: int = 0) -> Tensor:
    """Repeat every pixel over its window; ``size`` includes rows and columns that no window covers.

    ``beyond`` columns of zeros are added on the right.
    """
    rows, columns = kernel
    width = size[1] // columns
    # a product of every line with a 0/1 matrix; on the CPU `UpSampling` takes more than twice as long,
    # `repeat` more than ten times
    pixels = F.one_hot(F.contrib.arange_like(h, axis=3), width)
    line = F.reshape(F.stack(*[pixels] * columns, axis=1), shape=(-3, 0))
    if beyond:
        blank = F.zeros_like(F.slice_axis(pixels, axis=0, begin=0, end=1))
        line = F.concat(line, *[blank] * beyond, dim=0)
    across = width * columns + beyond
    lines = F.FullyConnected(
        h, F.concat(*[line] * rows, dim=0), num_hidden=rows * across, no_bias=True, flatten=False
    )
    return F.reshape(lines, shape=(0, 0, -1, across))


def _left_over(size: Pair, kernel: Pair) -> Pair:
    return size[0] % kernel[0], size[1] % kernel[1]


def _pad_bottom_right(F: Operators, h: Tensor, rows: int, columns: int) -> Tensor:
    if not (rows or columns):
        return h
    return F.pad(h, mode="constant", constant_value=0, pad_width=(0, 0, 0, 0, 0, rows, 0, columns))


def position(F: Operators, x: Tensor, pooled: Tensor, kernel: Pair, size: Pair) -> Tensor:
    """Latent t of every pixel, (B, C, *size): 1 at its window's maximum (no gradient).

    Args:
        F: the operator module.
        x: input of the pooling, (B, C, *size).
        pooled: its output, (B, C, H', W').
        kernel: window height and width.
        size: height and width of ``x``.
    """
    rows, columns = _left_over(size, kernel)
    # eager MXNet 1.9.1 crashes in the backward pass of a recorded comparison; in a graph, BlockGrad keeps the
    # backward pass out of the enlargement
    with mx.autograd.pause():
        if rows:
            x = F.slice_axis(x, axis=2, begin=0, end=size[0] - rows)
        if columns:
            x = F.slice_axis(x, axis=3, begin=0, end=size[1] - columns)
        won = F.broadcast_greater_equal(x, _enlarge(F, F.BlockGrad(pooled), kernel, size))
        return _pad_bottom_right(F, won, rows, columns)


def spread(F: Operators, h: Tensor, kernel: Pair, size: Pair) -> Tensor:
    """Copy every pixel over its window, (B, C, *size), with zeros outside; unpooling is this times t."""
    rows, columns = _left_over(size, kernel)
    image = _enlarge(F, h, kernel, size, columns)
    if not rows:
        return image
    # `pad` takes twice as long
    blank = F.zeros_like(F.slice_axis(image, axis=2, begin=0, end=1))
    return F.concat(image, *[blank] * rows, dim=2)


def apply_position(F: Operators, h: Tensor, t: Tensor) -> Tensor:
    """Keep a spread rendering at the inferred positions only: t . h. Either may have batch size 1."""
    return F.broadcast_mul(h, t)


def transpose_average_pool(F: Operators, h: Tensor, kernel: Pair, size: Pair) -> Tensor:
    """Spread every pixel evenly over its window (weight 1 / pixels of the window)."""
    return spread(F, h * (1.0 / (kernel[0] * kernel[1])), kernel, size)


def transpose_global_average_pool(F: Operators, h: Tensor, size: Pair) -> Tensor:
    """Spread a (B, C, 1, 1) rendering evenly over the image: (B, C, *size)."""
    return F.broadcast_axis(h * (1.0 / (size[0] * size[1])), axis=(2, 3), size=size)
