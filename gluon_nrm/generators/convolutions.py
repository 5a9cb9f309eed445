"""Stacks of convolutions: their sizes, the size of what they return, and their first weights."""

from __future__ import annotations

from typing import Iterator, NamedTuple, Sequence, Tuple

import mxnet as mx

from gluon_nrm.errors import ModelError


class ConvolutionSpec(NamedTuple):
    """Sizes of one convolution."""

    #: feature maps of the output
    channels: int
    #: side of the square filters, in pixels
    kernel: int
    #: step of the filters, in pixels
    stride: int = 1
    #: zeros around the map, in pixels
    pad: int = 0


def output_shape(specs: Sequence[ConvolutionSpec], input_shape: Tuple[int, int, int]) -> Tuple[int, int, int]:
    """Compute channels, height and width after a stack of convolutions.

    Raises:
        ModelError: the images are too small.
    """
    channels, height, width = input_shape
    for spec in specs:
        height, width = ((side + 2 * spec.pad - spec.kernel) // spec.stride + 1 for side in (height, width))
        if min(height, width) < 1:
            raise ModelError(
                f"images of {input_shape[1]} x {input_shape[2]} pixels are too small for this network, which "
                f"needs {_smallest_side(specs)} a side; set data.size, or take another model.name"
            )
        channels = spec.channels
    return channels, height, width


def with_inputs(specs: Sequence[ConvolutionSpec], channels: int) -> Iterator[Tuple[int, ConvolutionSpec]]:
    """Yield the number of input channels of each convolution beside it; ``channels``: of the first one."""
    for spec in specs:
        yield channels, spec
        channels = spec.channels


def he_normal(pieces: int = 1) -> mx.init.Initializer:
    """Return an initialiser of weights that keeps the features' second moment: N(0, 2 / fan in).

    For layers before a ReLU (He et al. 2015, equation 10) or a leaky one of small slope. The largest of two
    pieces of maxout keeps twice as much of it: N(0, 1 / fan in).

    Args:
        pieces: 1, or 2 before maxout.
    """
    return mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2 / pieces)


def _smallest_side(specs: Sequence[ConvolutionSpec]) -> int:
    """Compute the smallest side of images that leaves one pixel at least."""
    side = 1
    for spec in reversed(specs):
        side = max((side - 1) * spec.stride + spec.kernel - 2 * spec.pad, 1)
    return side
