"""Operators that move values without changing them: repetitions, sums, concatenations, reshapes, padding."""

from __future__ import annotations

from typing import List, Sequence, Tuple

import mxnet as mx

from gluon_nrm.typing import Operators, Tensor


def transpose_sum(h: Tensor, summands: int) -> List[Tensor]:
    """A sum renders the same image into each of its summands (Appendix B.7: skip connections)."""
    return [h] * summands


def repeat_image(F: Operators, one: Tensor, like: Tensor) -> Tensor:
    """Let one image stand for a batch: (1, ...) to (B, ...), where ``like`` is (B, ...) of any shape."""
    # a product with a column of ones: on the CPU the gradient of a broadcast costs ten times as much
    first = F.reshape(F.slice_axis(like, axis=1, begin=0, end=1), shape=(0, -1))
    column = F.ones_like(F.slice_axis(first, axis=1, begin=0, end=1))
    flat = F.dot(column, F.reshape(one, shape=(1, -1)))
    return F.reshape_like(flat, one, lhs_begin=1, lhs_end=2, rhs_begin=1, rhs_end=4)


def repeat_constant(F: Operators, one: Tensor, like: Tensor) -> Tensor:
    """The same of what gets no gradient, for which no product is needed; ``like`` has the result's shape."""
    # not recorded when run eagerly: MXNet 1.9.1 crashes on its way back to what gets no gradient
    with mx.autograd.pause():
        return F.broadcast_like(one, like)


def transpose_concatenation(F: Operators, h: Tensor, sizes: Sequence[int], axis: int = 1) -> List[Tensor]:
    """A concatenation renders into each part its slice; ``sizes`` are their lengths along ``axis``."""
    parts, begin = [], 0
    for size in sizes:
        parts.append(F.slice_axis(h, axis=axis, begin=begin, end=begin + size))
        begin += size
    return parts


def transpose_reshape(F: Operators, h: Tensor, shape: Sequence[int]) -> Tensor:
    """A reshape (or flattening) renders by the reshape back to its input's ``shape``, of any batch size."""
    return F.reshape(h, shape=(-1, *shape[1:]))


def transpose_pad(F: Operators, h: Tensor, before: Tuple[int, int], after: Tuple[int, int]) -> Tensor:
    """Zero padding of height and width renders by the crop that undoes it."""
    for axis in range(2):
        if before[axis] or after[axis]:
            h = F.slice_axis(h, axis=2 + axis, begin=before[axis], end=-after[axis] or None)
    return h
