"""One layer of the Neural Rendering Model, in both directions (Definition 3.1, Theorem 3.2).

Bottom-up: convolution, normalisation and bias, (leaky) ReLU, pooling, dropout. Top-down: dropout, unpooling
at the inferred positions, multiplication by the state, the convolution's transpose, normalisation.
"""

from __future__ import annotations

from typing import Any, List, Optional, Sequence, Tuple

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
    """One layer in both directions, with one set of filters and one bias b(l) for each feature map.

    As a block it is the Max branch's inference: (B, C_in, *size) to (B, C, *output_size). A layer can be used
    alone. Without norms, the rendering of an array h through its latents is the gradient of <output, h>:

        >>> spec, options = LayerSpec(8, pool=2), NRMOptions(norm="none", render_norm="none")
        >>> layer = NRMLayer(spec, 3, (6, 6), options, first=True)
        >>> layer.initialize()
        >>> inference = layer.infer(mx.nd.random.normal(shape=(4, 3, 6, 6)))
        >>> h = mx.nd.ones_like(inference.output)
        >>> layer.render(h, inference.latents, inference.affine[0]).image.shape
        (4, 3, 6, 6)

    Args:
        spec: the layer's own settings.
        in_channels: C_in.
        size: height and width of the layer's input.
        options: the network's options.
        first: True for the layer on the image, where the zero image's path ends.

    Attributes:
        inner: height and width of the convolution's output and of the latents.
        output_size: height and width of the layer's output.

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
                # both branches share the first convolution, so the Min branch is negated behind it
                negated = Negated(branch == MIN and not first, branch == MIN)
                norm = self._norm(spec, options, negated)
                self.branches.add(Activation(spec, inner, norm, options.slope))
            if options.runs_zero_image:
                self.zero = ZeroActivation(spec, self._zero_norm(spec, options), options.slope)
            # Dropout with rate 0 copies its input, so no block is made for it
            self.dropout = nn.Dropout(spec.dropout) if spec.dropout else None
            self.rendering = TransposedLayer(spec, self.convolution, size, inner, options.scaled)
            self.render_norms = RenderNorms(in_channels, size, options, zero=not first)

    def _norm(self, spec: LayerSpec, options: NRMOptions, negated: Negated) -> HybridBlock:
        if options.norm == "none":
            return Bias(self.bias, negated)
        return BatchNorm(spec.channels, self.bias, own_beta=options.released_bias, negated=negated)

    def _zero_norm(self, spec: LayerSpec, options: NRMOptions) -> Optional[HybridBlock]:
        """Return the norm of the zero image's path; None if it uses the affine map of an image's norm."""
        if options.compares_priors:
            return None
        if options.norm == "none":
            return Bias(self.bias)
        return InstanceNorm(
            spec.channels, self.inner, self.bias, own_beta=options.released_bias, learn_beta=False
        )

    def hybrid_forward(self, F: Operators, x: Tensor, bias: Tensor) -> Tensor:
        return self.branches[0](self.convolution(x)).output

    def infer(self, x: Tensor, branch: int = 0) -> LayerInference:
        """Infer the output and latents of inputs (B, C_in, *size) in branch 0 (Max) or 1 (Min, negated)."""
        return self.infer_convolved(self.convolution(x), branch)

    def infer_convolved(self, convolved: Tensor, branch: int) -> LayerInference:
        """Infer from the convolution's output, (B, C, *inner), which the branches share in layer 1."""
        return self.branches[branch](convolved)

    def infer_zero(self, x: Tensor, affine: Sequence[Tensor] = ()) -> List[Tensor]:
        """Infer [output, state] of the zero image's path, by its own norm or by ``affine`` [scale, shift]."""
        return self.zero(self.convolution(x), *affine)

    def render(self, h: Tensor, latents: List[Tensor], scale: Tensor, drop: bool = True) -> LayerRendering:
        """Render h(l), (B, C, *output_size), through latents [s(l)] or [s(l), t(l)].

        Args:
            h: the intermediate rendered image.
            latents: ``LayerInference.latents``, (B, C, *inner) each.
            scale: ``LayerInference.affine[0]``, (C,).
            drop: apply dropout as in inference; the zero image's path has none.
        """
        dropped = self.dropout(h) if drop and self.dropout is not None else h
        return self.rendering(dropped, latents, scale)

    @property
    def has_position(self) -> bool:
        """True if the layer has a position t(l) besides its state, because it max-pools."""
        return self.spec.pool > 1 and not self.spec.average
