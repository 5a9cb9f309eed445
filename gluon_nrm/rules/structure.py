"""Transposes of operators that move values: repetition, sum, concatenation, reshape, padding."""

from __future__ import annotations

from typing import List, Sequence, Tuple

import mxnet as mx

from gluon_nrm.typing import Operators, Tensor


def transpose_sum(h: Tensor, summands: int) -> List[Tensor]:
    """Render a sum: the same image onto each summand (Appendix B.7: skip connections)."""
    return [h] * summands


def repeat_image(F: Operators, one: Tensor, like: Tensor) -> Tensor:
    """Repeat one image along the batch: (1, ...) to (B, ...), where ``like`` is (B, ...) of any shape."""
    # a product with a column of ones; on the CPU the gradient of a broadcast takes ten times as long
    first = F.reshape(F.slice_axis(like, axis=1, begin=0, end=1), shape=(0, -1))
    column = F.ones_like(F.slice_axis(first, axis=1, begin=0, end=1))
    flat = F.dot(column, F.reshape(one, shape=(1, -1)))
    return F.reshape_like(flat, one, lhs_begin=1, lhs_end=2, rhs_begin=1, rhs_end=4)


def repeat_constant(F: Operators, one: Tensor, like: Tensor) -> Tensor:
    """Repeat a constant along the batch: (1, ...) to (B, ...), where ``like`` is (B, ...) of any shape.

    Cheaper than ``repeat_image``, which also carries a gradient.
    """
    # not recorded: eager MXNet 1.9.1 crashes in the backward pass of an array without a gradient
    with mx.autograd.pause():
        # row 0 for every image; on the CPU a broadcast takes two to three times as long
        return F.take(one, F.zeros_like(F.contrib.arange_like(F.BlockGrad(like), axis=0)))


def transpose_concatenation(F: Operators, h: Tensor, sizes: Sequence[int], axis: int = 1) -> List[Tensor]:
    """Render a concatenation: its slice onto each part; ``sizes`` are their lengths along ``axis``."""
    parts, begin = [], 0
    for size in sizes:
        parts.append(F.slice_axis(h, axis=axis, begin=begin, end=begin + size))
        begin += size
    return parts


def transpose_reshape(F: Operators, h: Tensor, shape: Sequence[int]) -> Tensor:
    """Render a reshape or flattening: reshape to its input's ``shape``, for any batch size."""
    return F.reshape(h, shape=(-1, *shape[1:]))


def transpose_pad(F: Operators, h: Tensor, before: Tuple[int, int], after: Tuple[int, int]) -> Tensor:
    """Render zero padding of height and width: crop it off."""
    for axis in range(2):
        if before[axis] or after[axis]:
            h = F.slice_axis(h, axis=2 + axis, begin=before[axis], end=-after[axis] or None)
    return h
