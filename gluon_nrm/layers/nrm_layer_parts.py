"""The two halves of a layer: what it infers after its convolution, and what it renders.

``Activation`` returns the latents z(l) = (s(l), t(l)) as values, ``TransposedLayer`` takes them.

The Min branch infers negated: what goes from layer to layer is the negative of its own maps, of which its
minima are maxima, so the same operators serve both branches. Latents, moments and affine maps are its own.
"""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, Tuple

from mxnet.gluon import HybridBlock

from gluon_nrm.layers.architecture import LayerSpec
from gluon_nrm.layers.convolution import Convolution
from gluon_nrm.layers.named_outputs import NamedBlock
from gluon_nrm.rules import activation as relu
from gluon_nrm.rules import pooling
from gluon_nrm.typing import Operators, Tensor

Pair = Tuple[int, int]


class LayerInference(NamedTuple):
    """Bottom-up result of one layer."""

    #: input of the next layer, (B, C, H', W'); negated in the Min branch
    output: Tensor
    #: s(l) and, where the layer pools, t(l): maps of (B, C, H, W)
    latents: List[Tensor]
    #: the convolution's output as it comes, before any norm; negated in the Min branch but for the first
    convolved: Tensor
    #: (C,) scale and shift: the affine map that norm and bias were, statistics frozen
    affine: List[Tensor]


class LayerRendering(NamedTuple):
    """Top-down result of one layer."""

    #: h(l-1), before its norm: (B, C_in, H_in, W_in)
    image: Tensor
    #: s(l) . h(l), on the pixels of the activation: (B, C, H, W)
    masked: Tensor
    #: the same at the inferred positions only, t(l) . s(l) . h(l)
    routed: Tensor


def _pool(F: Operators, y: Tensor, spec: LayerSpec) -> Tensor:
    """Pool an activation as its layer does, if it does."""
    if spec.pool == 1:
        return y
    window = (spec.pool, spec.pool)
    return pooling.average_pool(F, y, window) if spec.average else pooling.pool(F, y, window)


class Activation(NamedBlock):
    """The inference half after the convolution: norm, bias, (leaky) ReLU, pooling, dropout, and the latents.

    ``norm`` maps the convolution's output to [output, scale, shift].
    """

    result_type = LayerInference

    def __init__(self, spec: LayerSpec, size: Pair, norm: HybridBlock, slope: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._slope, self._spec, self._size = slope, spec, size
        self.norm = norm

    def hybrid_forward(self, F: Operators, convolved: Tensor) -> LayerInference:
        normalised, scale, shift = self.norm(convolved)
        y = relu.activate(F, normalised, self._slope)
        latents = [relu.state(F, y, self._slope)]
        pooled = _pool(F, y, self._spec)
        if self._spec.pool > 1 and not self._spec.average:
            window = (self._spec.pool, self._spec.pool)
            latents.append(pooling.position(F, y, pooled, window, self._size))
        output = F.Dropout(pooled, p=self._spec.dropout) if self._spec.dropout else pooled
        return LayerInference(output, latents, convolved, [scale, shift])


class ZeroActivation(HybridBlock):
    """The same half for the zero image, without dropout: the path that the biases alone make likely.

    Called with the convolution's output, and with the (C,) scale and shift of the image's own norm where that
    is to be used in place of ``norm``; returns the layer's output and its state.
    """

    def __init__(self, spec: LayerSpec, norm: Optional[HybridBlock], slope: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._slope, self._spec = slope, spec
        self.norm = norm

    def hybrid_forward(
        self, F: Operators, convolved: Tensor, scale: Optional[Tensor] = None, shift: Optional[Tensor] = None
    ) -> List[Tensor]:
        if self.norm is not None:
            normalised = self.norm(convolved)[0]
        else:
            scaled = F.broadcast_mul(convolved, F.reshape(scale, shape=(1, -1, 1, 1)))
            normalised = F.broadcast_add(scaled, F.reshape(shift, shape=(1, -1, 1, 1)))
        y = relu.activate(F, normalised, self._slope)
        return [_pool(F, y, self._spec), relu.state(F, y, self._slope)]


class TransposedLayer(NamedBlock):
    """Rendering of one layer: one step of equation 5, from h(l) to h(l-1).

    Called with h(l), the latents [s(l)] or, where the layer pools, [s(l), t(l)], and the (C,) scale of the
    norm that inference applied; ``scaled`` says whether rendering multiplies by it, as the exact transpose
    does.
    """

    result_type = LayerRendering

    def __init__(
        self, spec: LayerSpec, convolution: Convolution, size: Pair, inner: Pair, scaled: bool, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._window, self._inner, self._average = (spec.pool, spec.pool), inner, spec.average
        self._scaled = scaled
        self.transpose = convolution.transposed(size)

    def hybrid_forward(self, F: Operators, h: Tensor, latents: List[Tensor], scale: Tensor) -> LayerRendering:
        if self._average:
            h = pooling.transpose_average_pool(F, h, self._window, self._inner)
        elif self._window != (1, 1):
            h = pooling.spread(F, h, self._window, self._inner)
        masked = relu.apply_state(F, h, latents[0])
        routed = pooling.apply_position(F, masked, latents[1]) if len(latents) > 1 else masked
        image = self.transpose(routed, scale) if self._scaled else self.transpose(routed)
        return LayerRendering(image, masked, routed)
