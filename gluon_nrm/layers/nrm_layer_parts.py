"""The parts of an ``NRMLayer``: inference behind the convolution, the zero image's inference, rendering.

``Activation`` returns the latents z(l) = (s(l), t(l)), ``TransposedLayer`` takes them.

The Min branch runs on negated features, where its minima are maxima, so the same operators serve both
branches.
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
    #: state s(l) and, with max-pooling, position t(l), (B, C, H, W) each
    latents: List[Tensor]
    #: output of the convolution, before any norm, (B, C, H, W); negated in the Min branch from layer 2 on
    convolved: Tensor
    #: scale and shift, (C,) each, of the affine map of norm and bias, with frozen statistics
    affine: List[Tensor]


class LayerRendering(NamedTuple):
    """Top-down result of one layer."""

    #: h(l-1), before its norm, (B, C_in, H_in, W_in)
    image: Tensor
    #: s(l) . h(l), (B, C, H, W)
    masked: Tensor
    #: t(l) . s(l) . h(l), (B, C, H, W)
    routed: Tensor


def _pool(F: Operators, y: Tensor, spec: LayerSpec) -> Tensor:
    """Apply the layer's pooling, if it has one."""
    if spec.pool == 1:
        return y
    window = (spec.pool, spec.pool)
    return pooling.average_pool(F, y, window) if spec.average else pooling.pool(F, y, window)


class Activation(NamedBlock):
    """Inference behind the convolution: norm, bias, (leaky) ReLU, pooling, dropout, and the latents.

    ``norm`` maps the convolution's output (B, C, H, W) to [output, scale, shift].
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
    """Inference of the zero image behind the convolution, without dropout.

    Called with the convolution's output (1, C, H, W) and, if ``norm`` is None, with the scale and shift,
    (C,) each, of an image's norm. Returns the layer's output and its state.
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

    Called with h(l), (B, C, H', W'), the latents [s(l)] or [s(l), t(l)], and the scale (C,) of inference's
    norm. The exact transpose multiplies by that scale (``scaled``).
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
