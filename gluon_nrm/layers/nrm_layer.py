"""One layer of the Neural Rendering Model, in both directions (Definition 3.1, Theorem 3.2).

Bottom-up: convolution, normalisation and bias, (leaky) ReLU, pooling, dropout. Top-down: dropout, every pixel
put at its place in its pooling window, the state's mask, the convolution's transpose, normalisation.
"""

from __future__ import annotations

from typing import Any, List, Sequence, Tuple

from mxnet.gluon import HybridBlock, nn

from gluon_nrm.errors import ModelError
from gluon_nrm.layers.architecture import LayerSpec
from gluon_nrm.layers.convolution import Convolution
from gluon_nrm.layers.normalisation import BatchNorm, Bias, InstanceNorm, Negated
from gluon_nrm.layers.nrm_layer_parts import (
    Activation,
    LayerInference,
    LayerRendering,
    TransposedLayer,
    ZeroActivation,
)
from gluon_nrm.layers.options import NRMOptions
from gluon_nrm.layers.render_norms import RenderNorms
from gluon_nrm.rules.activation import MIN
from gluon_nrm.typing import Operators, Tensor

Pair = Tuple[int, int]


class NRMLayer(HybridBlock):
    """A layer and its transpose around one set of filters and one bias b(l) a feature map.

    As a block it is the Max branch's inference: (B, C_in, *size) to (B, C, *output_size).

    Args:
        spec: the layer's own settings.
        in_channels: C_in.
        size: height and width of the layer's input.
        options: the network's switches.
        first: this is the layer on the image, where the zero-image path ends.

    Attributes:
        inner: height and width of the convolution's output, where the latents are.
        output_size: those of the layer's output.

    Raises:
        ModelError: the image is smaller than the filters or the pooling window.
    """

    def __init__(
        self,
        spec: LayerSpec,
        in_channels: int,
        size: Pair,
        options: NRMOptions,
        first: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.convolution = Convolution(
                in_channels, spec.channels, spec.kernel, spec.pad, dtype=options.dtype
            )
            # without biases it stays 0: it gets no gradient, and no decay
            requirement = "write" if options.bias else "null"
            self.bias = self.params.get("bias", shape=(spec.channels,), init="zeros", grad_req=requirement)
            self.spec = spec
            self.inner = inner = self.convolution.output_size(size)
            self.output_size = (inner[0] // spec.pool, inner[1] // spec.pool)
            if min(self.output_size) < 1:
                raise ModelError(
                    f"model.name or model.channels: a {size[0]}x{size[1]} image is too small for "
                    f"{spec.kernel}x{spec.kernel} filters (padding {spec.pad}) and pooling by {spec.pool};\n"
                    "use larger images or fewer poolings"
                )
            self.branches = nn.HybridSequential()
            for branch in options.branches:
                # the first convolution serves both branches, so the Min branch turns round behind it
                negated = Negated(branch == MIN and not first, branch == MIN)
                norm = self._norm(spec, options, negated)
                self.branches.add(Activation(spec, inner, norm, options.slope))
            if options.path_norm != "none":
                self.zero = ZeroActivation(spec, self._zero_norm(spec, options), options.slope)
            # gluon's dropout of nothing copies the image
            self.dropout = nn.Dropout(spec.dropout) if spec.dropout else None
            self.rendering = TransposedLayer(spec, self.convolution, size, inner, options.scaled)
            self.render_norms = RenderNorms(in_channels, size, options, zero=not first)

    def _norm(self, spec: LayerSpec, options: NRMOptions, negated: Negated) -> HybridBlock:
        if options.norm == "none":
            return Bias(self.bias, negated)
        return BatchNorm(spec.channels, self.bias, own_beta=options.released_bias, negated=negated)

    def _zero_norm(self, spec: LayerSpec, options: NRMOptions) -> Any:
        """Return the norm of the zero image's pass; None where it goes through the image's own affine map."""
        if options.compares_priors:
            return None
        if options.norm == "none":
            return Bias(self.bias)
        return InstanceNorm(
            spec.channels, self.inner, self.bias, own_beta=options.released_bias, learn_beta=False
        )

    def hybrid_forward(self, F: Operators, x: Tensor, bias: Tensor) -> Tensor:
        return self.branches[0](self.convolution(x)).output

    def infer(self, convolved: Tensor, branch: int) -> LayerInference:
        """Infer from the convolution's output in the ``branch``-th branch (0 Max, 1 Min, mirrored)."""
        return self.branches[branch](convolved)

    def infer_zero(self, x: Tensor, affine: Sequence[Tensor] = ()) -> List[Tensor]:
        """Infer the zero image's [output, state]: by its own norm, or by an image's [scale, shift]."""
        return self.zero(self.convolution(x), *affine)

    def render(self, h: Tensor, latents: List[Tensor], scale: Tensor, drop: bool = True) -> LayerRendering:
        """Render h(l), (B, C, *output_size), through latents [s(l)] or [s(l), t(l)].

        Args:
            h: the intermediate rendered image.
            latents: states and, where ``has_position``, positions, (B, C, *inner) each.
            scale: of the norm that inference applied, (C,).
            drop: whether dropout acts as in inference; the zero image's path goes without.
        """
        dropped = self.dropout(h) if drop and self.dropout is not None else h
        return self.rendering(dropped, latents, scale)

    @property
    def has_position(self) -> bool:
        """Whether the layer leaves a position t(l) beside its state: it pools by the maximum."""
        return self.spec.pool > 1 and not self.spec.average
