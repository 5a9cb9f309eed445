"""Blocks of ALI's discriminator: maxout, towers of image and code, and pairs as one array."""

from __future__ import annotations

from typing import Any, Iterator, NamedTuple, Sequence, Tuple

import numpy as np
from mxnet.gluon import HybridBlock, nn

from gluon_nrm.generators.convolutions import ConvolutionSpec, he_normal, output_shape, with_inputs
from gluon_nrm.generators.encoder import SLOPE
from gluon_nrm.generators.generator import FirstMaps
from gluon_nrm.typing import Operators, Tensor

#: Maps that one maxout unit takes the largest of.
PIECES = 2


class TowerSizes(NamedTuple):
    """Layers of ``PairTower``."""

    #: convolutions of the image, from the image upwards
    image: Sequence[ConvolutionSpec]
    #: units of each dense layer of the code
    code: Sequence[int]
    #: units of each dense layer of both together
    joint: Sequence[int]
    #: maxout of two maps in place of leaky ReLU
    maxout: bool = False


class Maxout(HybridBlock):
    """Largest of each two feature maps: (B, 2 C, ...) to (B, C, ...) (Goodfellow et al. 2013).

    Map k is paired with map k + C.
    """

    def __init__(self, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._channels = channels

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tensor:
        first = F.slice_axis(x, axis=1, begin=0, end=self._channels)
        second = F.slice_axis(x, axis=1, begin=self._channels, end=PIECES * self._channels)
        return F.broadcast_maximum(first, second)


class PairTower(HybridBlock):
    """Images (B, C, H, W) and codes (B, Z) to class scores (B, K).

    Each has a tower of its own; a third one takes both outputs. Dropout precedes every layer.

    Args:
        sizes: the layers.
        input_shape: channels, height and width of the images.
        code: size Z of a code.
        classes: number of classes K.
        dropout: its rate.
    """

    def __init__(
        self,
        sizes: TowerSizes,
        input_shape: Tuple[int, int, int],
        code: int,
        classes: int,
        dropout: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._maxout, self._dropout = sizes.maxout, dropout
        units = int(np.prod(output_shape(sizes.image, input_shape)))
        with self.name_scope():
            self.of_image, self.of_code, self.of_both = (nn.HybridSequential() for _ in range(3))
            for in_channels, spec in with_inputs(sizes.image, input_shape[0]):
                self.of_image.add(*self._layer(spec, in_channels))
            self.of_image.add(nn.Flatten())
            self._add_dense(self.of_code, code, sizes.code)
            self._add_dense(self.of_both, units + sizes.code[-1], sizes.joint)
            self.scores = nn.Dense(classes, in_units=sizes.joint[-1], weight_initializer=he_normal())

    def _pieces(self) -> int:
        return PIECES if self._maxout else 1

    def _layer(self, spec: ConvolutionSpec, in_channels: int) -> Iterator[HybridBlock]:
        yield from self._drop()
        channels = spec.channels * self._pieces()
        yield nn.Conv2D(
            channels, *spec[1:], in_channels=in_channels, weight_initializer=he_normal(self._pieces())
        )
        yield self._activation(spec.channels)

    def _add_dense(self, tower: nn.HybridSequential, in_units: int, units: Sequence[int]) -> None:
        for each in units:
            tower.add(*self._drop())
            tower.add(
                nn.Dense(
                    each * self._pieces(), in_units=in_units, weight_initializer=he_normal(self._pieces())
                )
            )
            tower.add(self._activation(each))
            in_units = each

    def _drop(self) -> Iterator[HybridBlock]:
        if self._dropout > 0:
            yield nn.Dropout(self._dropout)

    def _activation(self, channels: int) -> HybridBlock:
        return Maxout(channels) if self._maxout else nn.LeakyReLU(SLOPE)

    def hybrid_forward(self, F: Operators, image: Tensor, code: Tensor) -> Tensor:
        both = F.concat(self.of_image(image), self.of_code(code), dim=1)
        return self.scores(self.of_both(both))


class SplitPair(HybridBlock):
    """Split image and code side by side, (B, C * H * W + Z), into (B, C, H, W) and (B, Z).

    The image is a copy, as in ``FirstMaps``.

    Args:
        input_shape: C, H and W.
    """

    def __init__(self, input_shape: Tuple[int, int, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._pixels = int(np.prod(input_shape))
        with self.name_scope():
            self.as_image = FirstMaps(input_shape)

    def hybrid_forward(self, F: Operators, pair: Tensor) -> Tuple[Tensor, Tensor]:
        image = F.slice_axis(pair, axis=1, begin=0, end=self._pixels)
        return self.as_image(image), F.slice_axis(pair, axis=1, begin=self._pixels, end=None)


class JoinPair(HybridBlock):
    """Put images (B, C, H, W) and codes (B, Z) side by side, (B, C * H * W + Z)."""

    def hybrid_forward(self, F: Operators, image: Tensor, code: Tensor) -> Tensor:
        return F.concat(F.flatten(image), code, dim=1)
