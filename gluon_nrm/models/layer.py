"""One layer of the Neural Rendering Model, in both directions (Definition 3.1, Theorem 3.2).

Bottom-up: convolution, normalisation and bias, (leaky) ReLU, pooling, dropout. Top-down: dropout, every pixel
put at its place in its pooling window, the state's mask, the convolution's transpose, normalisation.
"""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

from mxnet.gluon import HybridBlock, nn

from gluon_nrm.errors import ModelError
from gluon_nrm.layers.convolution import Convolution
from gluon_nrm.layers.normalisation import BatchNorm, Bias, InstanceNorm, Mirror
from gluon_nrm.models.architecture import LayerSpec
from gluon_nrm.models.halves import Activation, Inferred, Rendered, Rendering, ZeroActivation
from gluon_nrm.models.options import NRMOptions
from gluon_nrm.models.render_norms import RenderNorms
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
            self.bias = self.params.get(
                "bias", shape=(spec.channels,), init="zeros", grad_req=requirement
            )
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
                mirror = Mirror(branch == MIN and not first, branch == MIN)
                norm = self._norm(spec, options, mirror)
                self.branches.add(Activation(spec, inner, norm, options.slope))
            if options.path_norm != "none":
                self.zero = ZeroActivation(spec, self._zero_norm(spec, options), options.slope)
            # gluon's dropout of nothing copies the image
            self.dropout = nn.Dropout(spec.dropout) if spec.dropout else None
            self.rendering = Rendering(spec, self.convolution, size, inner, options.scaled)
            self.render_norms = RenderNorms(in_channels, size, options, zero=not first)

    def _norm(self, spec: LayerSpec, options: NRMOptions, mirror: Mirror) -> HybridBlock:
        if options.norm == "none":
            return Bias(self.bias, mirror)
        return BatchNorm(spec.channels, self.bias, own_beta=options.released_bias, mirror=mirror)

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

    def infer(self, convolved: Tensor, branch: int) -> Inferred:
        """Infer from the convolution's output in the ``branch``-th branch (0 Max, 1 Min, mirrored)."""
        return self.branches[branch](convolved)

    def infer_zero(self, x: Tensor, inferred: Optional[Inferred] = None) -> List[Tensor]:
        """Infer the zero image's [output, state]: by its own norm, or by an image's, as was ``inferred``."""
        return self.zero(self.convolution(x), *(inferred.affine if inferred is not None else []))

    def render(self, h: Tensor, inferred: Inferred) -> Rendered:
        """Render h(l) through the inferred latents; dropout as in inference."""
        dropped = h if self.dropout is None else self.dropout(h)
        return self.rendering(dropped, inferred.latents, inferred.affine[0])

    def render_zero(self, h: Tensor, state: Tensor, inferred: Inferred) -> Rendered:
        """Render h0(l) through the zero image's state and the image's own positions; no dropout."""
        return self.rendering(h, [state] + inferred.latents[1:], inferred.affine[0])
