"""A convolution without bias, in both directions."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Tuple, Union

from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import Parameter

from gluon_nrm.layers.shared_parameters import share
from gluon_nrm.rules.convolution import output_size, transpose_convolution
from gluon_nrm.rules.normalisation import scale_filters
from gluon_nrm.rules.precision import reduce, restore
from gluon_nrm.typing import Operators, Tensor

Pair = Tuple[int, int]


class Convolution(HybridBlock):
    """Bottom-up convolution with stride 1: (B, in, H, W) to (B, out, H', W').

    Args:
        in_channels: channels of the input.
        channels: feature maps of the output.
        kernel: side of the square filters, in pixels.
        pad: zeros around the image, in pixels.
        dtype: precision of both directions; the weight is float32.
    """

    def __init__(
        self, in_channels: int, channels: int, kernel: int, pad: int, dtype: str = "float32", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._channels, self._dtype = channels, dtype
        self._window = {"kernel": (kernel, kernel), "pad": (pad, pad)}
        with self.name_scope():
            self.weight = self.params.get("weight", shape=(channels, in_channels, kernel, kernel))

    def hybrid_forward(self, F: Operators, x: Tensor, weight: Tensor) -> Tensor:
        x, weight = reduce(F, [x, weight], self._dtype)
        y = F.Convolution(x, weight, num_filter=self._channels, no_bias=True, **self._window)
        return restore(F, y, self._dtype)

    def output_size(self, size: Pair) -> Pair:
        """Height and width of the output for an input of ``size``."""
        return output_size(size, **self._window)

    def transposed(self, size: Pair, **kwargs: Any) -> TransposedConvolution:
        """Build the transpose for inputs of ``size``, with the same weight."""
        return TransposedConvolution(self.weight, size, dict(self._window, dtype=self._dtype), **kwargs)


class TransposedConvolution(HybridBlock):
    """Top-down transpose of a ``Convolution``: (B, out, H', W') to (B, in, H, W), sharing its weight.

    Called with a scale (out,) as second argument, it first multiplies each feature map by it: the transpose
    of a normalisation with frozen statistics.
    """

    def __init__(
        self, weight: Parameter, size: Pair, window: Mapping[str, Union[Pair, str]], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._geometry: Dict[str, Any] = {**window, "size": size, "channels": weight.shape[1]}
        share(self, "weight", weight)

    def hybrid_forward(
        self, F: Operators, h: Tensor, scale: Optional[Tensor] = None, weight: Optional[Tensor] = None
    ) -> Tensor:
        filters = weight if scale is None else scale_filters(F, weight, scale)
        return transpose_convolution(F, h, filters, **self._geometry)
