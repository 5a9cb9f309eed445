"""The layers of a Ladder network, and their operations without bias and activation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Optional

from mxnet.gluon import HybridBlock

from gluon_nrm.errors import ModelError
from gluon_nrm.models.ladder.channelwise import Shape
from gluon_nrm.rules.convolution import output_size
from gluon_nrm.rules.pooling import global_average_pool, pool
from gluon_nrm.typing import Operators, Tensor

DENSE, CONVOLUTION, MAX_POOLING, GLOBAL_MEAN = "dense", "convolution", "max-pooling", "global mean"


@dataclass(frozen=True)
class LadderLayer:
    """One layer; ``dense``, ``convolution``, ``max_pooling`` and ``global_mean`` make them."""

    kind: str
    #: units of a dense layer, feature maps of a convolution
    units: int = 0
    #: side of the filters or of the pooling windows, in pixels
    side: int = 1
    #: zeros around the image, in pixels
    pad: int = 0

    @property
    def weighted(self) -> bool:
        """True if the layer has weights, and with them a bias and an activation."""
        return self.kind in (DENSE, CONVOLUTION)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of its output, without the batch, for inputs of ``shape``.

        Raises:
            ModelError: the layer needs maps and gets a vector, or the image is too small.
        """
        if self.kind == DENSE:
            return (self.units,)
        if len(shape) != 3:
            raise ModelError(
                f"a {self.kind} layer of a Ladder network needs feature maps, not {shape[0]} units"
            )
        channels, *size = shape
        if self.kind == GLOBAL_MEAN:
            return (channels,)
        if self.kind == MAX_POOLING:
            height, width = size[0] // self.side, size[1] // self.side
        else:
            height, width = output_size((size[0], size[1]), (self.side,) * 2, pad=(self.pad,) * 2)
        if min(height, width) < 1:
            raise ModelError(f"a {self.kind} layer needs larger images than {size[0]}x{size[1]}")
        return self.units or channels, height, width

    def weight_shape(self, shape: Shape) -> Optional[Shape]:
        """Return the shape of its weight for inputs of ``shape``; None without weights."""
        if self.kind == DENSE:
            return self.units, math.prod(shape)
        if self.kind == CONVOLUTION:
            return self.units, shape[0], self.side, self.side
        return None


def dense(units: int) -> LadderLayer:
    """Return a fully connected layer."""
    return LadderLayer(DENSE, units)


def convolution(channels: int, side: int = 3, pad: int = 1) -> LadderLayer:
    """Return a convolution of stride 1 with square filters; ``pad`` is at most ``side`` - 1."""
    return LadderLayer(CONVOLUTION, channels, side, pad)


def max_pooling(side: int = 2) -> LadderLayer:
    """Return a max-pooling over windows that tile the image."""
    return LadderLayer(MAX_POOLING, side=side)


def global_mean() -> LadderLayer:
    """Return the mean over all pixels: (C, H, W) to (C,)."""
    return LadderLayer(GLOBAL_MEAN)


class LadderOperation(HybridBlock):
    """Apply a layer without bias, norm and activation: (B, *shape) to (B, *output shape).

    Args:
        layer: the layer.
        shape: of its input, without the batch.
    """

    def __init__(self, layer: LadderLayer, shape: Shape, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._layer = layer
        of_weight = layer.weight_shape(shape)
        if of_weight is not None:
            with self.name_scope():
                self.weight = self.params.get("weight", shape=of_weight)

    def hybrid_forward(self, F: Operators, h: Tensor, weight: Optional[Tensor] = None) -> Tensor:
        layer = self._layer
        window = (layer.side, layer.side)
        if layer.kind == DENSE:
            return F.FullyConnected(h, weight, num_hidden=layer.units, no_bias=True)
        if layer.kind == CONVOLUTION:
            return F.Convolution(
                h, weight, kernel=window, pad=(layer.pad,) * 2, num_filter=layer.units, no_bias=True
            )
        if layer.kind == MAX_POOLING:
            return pool(F, h, window)
        return F.Flatten(global_average_pool(F, h))
