"""Convolution, and its exact transpose with the same weight.

The transpose is written as a convolution of the stride-dilated rendering with the flipped filters: on the CPU
wheel of MXNet 1.9.1 a ``Deconvolution`` whose weight is shared with a ``Convolution`` corrupts memory.
"""

from __future__ import annotations

from typing import Tuple

from gluon_nrm.rules.precision import reduce, restore
from gluon_nrm.system.processor import channels_at_once
from gluon_nrm.typing import Operators, Tensor

Pair = Tuple[int, int]

#: Rendering onto fewer channels than this adds blank ones and cuts them off. The CPU computes 8 or 16
#: channels at a time: a 3 x 3 convolution from 128 channels onto 3 takes three times as long as onto 16.
FEW_CHANNELS = channels_at_once()


def output_size(
    size: Pair, kernel: Pair, stride: Pair = (1, 1), pad: Pair = (0, 0), dilate: Pair = (1, 1)
) -> Pair:
    """Height and width after a convolution of ``size`` pixels; below 1 if the image is too small."""
    height, width = (
        (size[i] + 2 * pad[i] - dilate[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in range(2)
    )
    return height, width


def flip_filters(F: Operators, weight: Tensor, kernel: Pair, num_group: int = 1) -> Tensor:
    """Turn filters (out, in / groups, kh, kw) into those of the transpose, (in, out / groups, kh, kw)."""
    if num_group == 1:
        swapped = F.transpose(weight, axes=(1, 0, 2, 3))
    else:
        # on the CPU an evaluation leaves the weight in oneDNN's memory layout, which `reshape` cannot read;
        # `slice_axis` copies it to the plain layout
        plain = F.slice_axis(weight, axis=0, begin=0, end=None)
        grouped = F.reshape(plain, shape=(-4, num_group, -1, 0, 0, 0))
        swapped = F.reshape(F.transpose(grouped, axes=(0, 2, 1, 3, 4)), shape=(-3, 0, 0, 0))
    if kernel == (1, 1):
        return swapped
    # a product with a reversal matrix; reversed slices take half as long again
    pixels = kernel[0] * kernel[1]
    rows = F.reshape(swapped, shape=(-1, pixels))
    backwards = (pixels - 1) - F.contrib.arange_like(F.slice_axis(rows, axis=0, begin=0, end=1), axis=1)
    reversed_rows = F.FullyConnected(rows, F.one_hot(backwards, pixels), num_hidden=pixels, no_bias=True)
    return F.reshape_like(reversed_rows, swapped)


def _insert_zeros(F: Operators, h: Tensor, axis: int, stride: int, length: int) -> Tensor:
    """Insert ``stride - 1`` zeros after every pixel along ``axis``, and cut the result to ``length``."""
    if stride == 1:
        return h
    # (.., n, ..) -> (.., n, stride, ..) -> (.., n * stride, ..)
    spread = F.stack(h, *[F.zeros_like(h)] * (stride - 1), axis=axis + 1)
    merged = F.reshape(spread, shape=(0, 0, -3, 0) if axis == 2 else (0, 0, 0, -3))
    return F.slice_axis(merged, axis=axis, begin=0, end=length)


def transpose_convolution(
    F: Operators,
    h: Tensor,  # (B, out, H', W')
    weight: Tensor,  # (out, in / groups, kh, kw)
    *,
    channels: int,
    size: Pair,
    kernel: Pair,
    stride: Pair = (1, 1),
    pad: Pair = (0, 0),
    dilate: Pair = (1, 1),
    num_group: int = 1,
    dtype: str = "float32",
) -> Tensor:
    """Apply the transpose of a convolution: spread every pixel through its template (equation 5).

    Args:
        F: the operator module.
        h: rendering onto the convolution's output, (B, out, H', W').
        weight: the convolution's weight.
        channels: channels of the convolution's input.
        size: height and width of the convolution's input, in pixels.
        kernel: filter height and width of the convolution, in pixels.
        stride: its stride.
        pad: its padding.
        dilate: its dilation.
        num_group: its groups.
        dtype: precision of the computation.

    Returns:
        The rendering onto the convolution's input, (B, channels, *size).
    """
    crop = [0, 0]
    margin = [0, 0]
    for i in range(2):
        reach = dilate[i] * (kernel[i] - 1) + 1
        # rows of the input that no window of the strided convolution covers are rendered as zeros
        uncovered = (size[i] + 2 * pad[i] - reach) % stride[i]
        count = (size[i] + 2 * pad[i] - reach) // stride[i] + 1
        h = _insert_zeros(F, h, 2 + i, stride[i], (count - 1) * stride[i] + 1 + uncovered)
        margin[i] = max(reach - 1 - pad[i], 0)
        crop[i] = max(pad[i] - reach + 1, 0)
    flipped, maps = flip_filters(F, weight, kernel, num_group), channels
    if channels < FEW_CHANNELS and num_group == 1:
        one = F.zeros_like(F.slice_axis(flipped, axis=0, begin=0, end=1))
        blank = F.broadcast_axis(one, axis=0, size=FEW_CHANNELS - channels)
        flipped, maps = F.concat(flipped, blank, dim=0), FEW_CHANNELS
    h, flipped = reduce(F, [h, flipped], dtype)
    image = F.Convolution(
        h, flipped, kernel=kernel, pad=tuple(margin), dilate=dilate, num_filter=maps, num_group=num_group,
        no_bias=True,
    )  # fmt: skip
    image = restore(F, image, dtype)
    if maps > channels:
        image = F.slice_axis(image, axis=1, begin=0, end=channels)
    for i in range(2):
        if crop[i]:
            image = F.slice_axis(image, axis=2 + i, begin=crop[i], end=-crop[i])
    return image
