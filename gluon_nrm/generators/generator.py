"""Generator of images from codes: the network of Salimans et al. (2016), for images of several sizes."""

from __future__ import annotations

from typing import Any, Iterator, List, Sequence, Tuple, Union

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock, nn

from gluon_nrm.errors import ModelError
from gluon_nrm.generators.weight_norm import FIRST_DEVIATION, WeightNormConvolution
from gluon_nrm.typing import Operators, Tensor

#: A pixel, one number a channel, (C,).
Pixel = Union[Sequence[float], np.ndarray]

#: Largest side of the map that the generator starts from, in pixels.
LARGEST_START = 7
#: Doublings of a side that can be halved so often; 28 has two, 32 three (from 4 pixels).
FEWEST_DOUBLINGS = 2
#: Feature maps of the first map at most, in widths.
MOST_WIDTHS = 8


class DoubleSides(HybridBlock):
    """Transposed convolution with filters of 6 x 6 pixels and stride 2: (B, in, H, W) to (B, out, 2 H, 2 W).

    A convolution of 3 x 3 computes the four pixels that each pixel becomes as four sets of feature maps, and
    ``depth_to_space`` puts them side by side (Shi et al. 2016). MXNet's ``Deconvolution`` does not run on the
    CPU with a weight that is shared or weight-normalised.

    Args:
        convolution: (B, in, H, W) to (B, 4 * out, H, W).
    """

    def __init__(self, convolution: HybridBlock, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.convolution = convolution

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tensor:
        return F.depth_to_space(self.convolution(x), block_size=2)


class FirstMaps(HybridBlock):
    """Shape rows of numbers, such as a dense layer's outputs, (B, N), as maps (B, C, H, W).

    The maps are a copy, by a slice that takes all: in a hybridised graph on the CPU, the convolution above
    them cannot write its gradient into a reshaped array ("is_view").

    Args:
        shape: C, H and W.
    """

    def __init__(self, shape: Tuple[int, int, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._shape = shape

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tensor:
        return F.slice_axis(F.reshape(x, (0, *self._shape)), axis=1, begin=0, end=None)


class ImageGenerator(HybridBlock):
    """Codes (B, Z) to normalised images (B, C, H, W).

    A dense layer, then transposed convolutions with stride 2; batch norm and ReLU after all but the last one,
    which is weight-normalised; tanh, mapped to the range of the pixels. Differences from the program of
    Salimans et al. (2016): filters of 6 x 6 in place of 5 x 5, batch norms learn a scale, and the last
    layer starts with scale 1 in place of a start from data.

    Args:
        code: size Z of a code.
        start: height and width of the first map, in pixels.
        maps: feature maps before each transposed convolution.
        low: a black pixel as the data normalises it, one number a channel, (C,).
        high: a white pixel as the data normalises it, (C,).

    Attributes:
        code: Z.
    """

    def __init__(
        self,
        code: int,
        start: Tuple[int, int],
        maps: Sequence[int],
        low: Pixel,
        high: Pixel,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.code = code
        self._first = (maps[0], *start)
        lowest, highest = (np.asarray(each, np.float32).reshape((1, -1, 1, 1)) for each in (low, high))
        with self.name_scope():
            self.hidden = nn.HybridSequential()
            self.hidden.add(*self._hidden_layers(maps))
            self.last = DoubleSides(WeightNormConvolution(maps[-1], 4 * lowest.size, 3, pad=1))
            self.middle = self.params.get_constant("middle", (lowest + highest) / 2)
            self.reach = self.params.get_constant("reach", (highest - lowest) / 2)

    def _hidden_layers(self, maps: Sequence[int]) -> Iterator[HybridBlock]:
        normal = mx.init.Normal(FIRST_DEVIATION)
        units = int(np.prod(self._first))
        yield nn.Dense(units, use_bias=False, in_units=self.code, weight_initializer=normal)
        yield from (nn.BatchNorm(in_channels=units), nn.Activation("relu"))
        yield FirstMaps(self._first)
        for before, after in zip(maps, maps[1:]):
            yield DoubleSides(
                nn.Conv2D(
                    4 * after, 3, padding=1, use_bias=False, in_channels=before, weight_initializer=normal
                )
            )
            yield from (nn.BatchNorm(in_channels=after), nn.Activation("relu"))

    def hybrid_forward(self, F: Operators, codes: Tensor, middle: Tensor, reach: Tensor) -> Tensor:
        within = F.tanh(self.last(self.hidden(codes)))
        return F.broadcast_add(F.broadcast_mul(within, reach), middle)


def make_generator(
    input_shape: Tuple[int, int, int], code: int, width: int, low: Pixel, high: Pixel
) -> ImageGenerator:
    """Build a generator of images of a data set's shape.

    Images of 32 x 32 with width 128 give the network of Salimans et al. (2016) for CIFAR-10: maps of 512, 256
    and 128 channels at 4, 8 and 16 pixels.

    Args:
        input_shape: channels, height and width of the images. Each side is a number of at most 7, doubled as
            often as the other one.
        code: size Z of a code.
        width: feature maps before the last layer; each map of half the sides has twice as many, up to eight
            times this number.
        low: a black pixel as the data normalises it, one number a channel, (C,).
        high: a white pixel as the data normalises it, (C,).

    Raises:
        ModelError: sides that cannot be halved so often, or not alike.
    """
    channels, *size = input_shape
    doublings = count_doublings((size[0], size[1]))
    start = (size[0] >> doublings, size[1] >> doublings)
    maps = [width * min(1 << place, MOST_WIDTHS) for place in reversed(range(doublings))]
    ranges = [np.broadcast_to(np.asarray(each, np.float32), (channels,)) for each in (low, high)]
    return ImageGenerator(code, start, maps, *ranges)


def count_doublings(size: Tuple[int, int]) -> int:
    """Count the doublings from the first map to an image of this height and width.

    Raises:
        ModelError: there is no such map.
    """
    found = 0
    while _halves(size, found):
        size, found = (size[0] // 2, size[1] // 2), found + 1
    if found == 0 or max(size) > LARGEST_START:
        height, width = (side << found for side in size)
        raise ModelError(
            f"a generator makes images whose sides are 2 to {LARGEST_START} pixels, doubled equally often "
            f"({', '.join(map(str, _small_sides()))} ...), not {height} x {width}; set data.size"
        )
    return found


def _halves(size: Tuple[int, int], done: int) -> bool:
    possible = all(side % 2 == 0 and side >= 4 for side in size)
    return possible and (max(size) > LARGEST_START or done < FEWEST_DOUBLINGS)


def _small_sides() -> List[int]:
    """Sides of up to 64 pixels that a generator can make."""
    starts = range(2, LARGEST_START + 1)
    return sorted({start << times for start in starts for times in (1, 2, 3, 4) if start << times <= 64})
