"""The Neural Rendering Model of a list of layers: inference, the zero image's path, rendering."""

from __future__ import annotations

from typing import Any, Iterator, List, Tuple

from mxnet.gluon import nn
from mxnet.gluon.parameter import Parameter

from gluon_nrm.layers.architecture import Architecture
from gluon_nrm.layers.classifier import Classifier, ClassTemplate, SpreadTemplate
from gluon_nrm.layers.nrm_layer import NRMLayer
from gluon_nrm.layers.nrm_layer_parts import LayerInference, LayerRendering
from gluon_nrm.layers.options import NRMOptions
from gluon_nrm.layers.render_norms import RenderNorms
from gluon_nrm.models.interface.network import Network
from gluon_nrm.models.interface.passes import FreeLatents, Inference, MatchedLayer, Rendering, Shape
from gluon_nrm.models.interface.zero_path import every_class, unpack, zero_image
from gluon_nrm.rules.activation import MIN
from gluon_nrm.rules.structure import repeat_constant, repeat_image
from gluon_nrm.rules.windows import Windows
from gluon_nrm.typing import Operators, Tensor


class NRM(Network):
    """A CNN that also renders, built from a list of layers; as a block it is a ``Network``.

    Build one with ``get_model``. ``layers`` holds its ``NRMLayer`` blocks, from the image upwards.

    Args:
        architecture: the layers from the image upwards.
        classes: number of classes K, at least 2.
        input_shape: channels, height and width of the images.
        options: the network's options.

    Raises:
        ModelError: fewer than two classes, or images too small for the layers.
    """

    renders = True

    def __init__(
        self,
        architecture: Architecture,
        classes: int,
        input_shape: Tuple[int, int, int],
        options: NRMOptions,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, input_shape, options, **kwargs)
        self.stochastic = any(spec.dropout > 0 for spec in architecture)
        channels, size = input_shape[0], (input_shape[1], input_shape[2])
        with self.name_scope():
            self.layers = nn.HybridSequential()
            for spec in architecture:
                layer = NRMLayer(spec, channels, size, options, first=not len(self.layers))
                self.layers.add(layer)
                channels, size = spec.channels, layer.output_size
            self.classifier = Classifier(channels, classes)
            if options.fixed_class_prior:
                self.classifier.bias.grad_req = "null"
            self.template = ClassTemplate(self.classifier.weight)
            self.template_norms = RenderNorms(channels, (1, 1), options)
            self.spread = SpreadTemplate(size)
            self.tempered = self._tempering()

    def __repr__(self) -> str:
        """Return the network's line, and one line for each layer from the image upwards."""
        lines = [super().__repr__()]
        for number, layer in enumerate(self.layers, start=1):
            height, width = layer.output_size
            lines.append(f"  {number}: {layer.spec.describe()} to {height}x{width}")
        return "\n".join(lines)

    def infer(self, x: Tensor) -> List[Inference]:
        """See ``Network``."""
        return [self._gather(branch, each) for branch, each in enumerate(self.infer_layers(x))]

    def infer_layers(self, x: Tensor) -> List[List[LayerInference]]:
        """Infer layer by layer in every branch; the branches share the first convolution."""
        stem = self.layers[0].convolution(x)
        branches = []
        for branch in range(len(self.options.branches)):
            inferred: List[LayerInference] = []
            for layer in self.layers:
                inferred.append(
                    layer.infer(inferred[-1].output, branch)
                    if inferred
                    else layer.infer_convolved(stem, branch)
                )
            branches.append(inferred)
        return branches

    def _gather(self, branch: int, layers: List[LayerInference]) -> Inference:
        """Compute the class scores, and collect the layers' results in one ``Inference``."""
        top = layers[-1].output
        logits = self.temper(self.classifier(-top if self.options.branches[branch] == MIN else top))
        return Inference(
            logits,
            [[latent] for layer in layers for latent in layer.latents],
            [layer.affine for layer in layers],
            [layer.convolved for layer in layers],
            [layer.affine[1] for layer in layers],
        )

    def _by_layer(self, inference: Inference) -> Iterator[Tuple[NRMLayer, List[Tensor], List[Tensor]]]:
        """Yield each layer with its latents [s] or [s, t] and its [scale, shift]."""
        latents = iter(inference.latents)
        for layer, affine in zip(self.layers, inference.frozen):
            count = 2 if layer.has_position else 1
            yield layer, [next(latents)[0] for _ in range(count)], affine

    def infer_zero(self, F: Operators, zeros: Tensor) -> List[Tensor]:
        """See ``Network``."""
        y, states = zeros, []
        for layer in self.layers:
            y, state = layer.infer_zero(y)
            states.append(state)
        return states

    def score_zero(self, F: Operators, x: Tensor, inference: Inference) -> Tensor:
        """See ``Network``."""
        y = zero_image(F, x)
        for layer, affine in zip(self.layers, inference.frozen):
            y, _ = layer.infer_zero(y, affine)
        return self.temper(self.classifier(y))

    def render(self, F: Operators, code: Tensor, inference: Inference, branch: int = 0) -> Rendering:
        """See ``Network``."""
        template = self.template(code)
        h = self.spread(self.template_norms.normalise(template, branch))
        steps: List[LayerRendering] = []
        features: List[Tensor] = []
        for layer, latents, affine in reversed(list(self._by_layer(inference))):
            features.append(h)
            steps.append(layer.render(h, latents, affine[0]))
            h = layer.render_norms.normalise(steps[-1].image, branch)
        steps.reverse()
        return Rendering(
            h,
            features[::-1],
            [step.image for step in steps[1:]] + [template],
            [step.masked for step in steps],
            [step.routed for step in steps],
        )

    def render_zero(self, F: Operators, states: Tensor, inference: Inference) -> List[Tensor]:
        """See ``Network``."""
        template = self.template(every_class(F, inference.logits))
        h = self.spread(self.template_norms.normalise_zero(template))
        masked: List[Tensor] = []
        one_image = True  # the batch size is 1 down to the first pooling, whose positions are the images'
        each_state = unpack(F, states, self.zero_shapes)
        for (layer, latents, affine), state in reversed(list(zip(self._by_layer(inference), each_state))):
            if one_image and len(latents) > 1:
                h, one_image = repeat_image(F, h, latents[0]), False
            own_state = state if one_image else repeat_constant(F, state, latents[0])
            step = layer.render(h, [own_state] + latents[1:], affine[0], drop=False)
            h = layer.render_norms.normalise_zero(step.image)
            masked.append(repeat_image(F, step.masked, latents[0]) if one_image else step.masked)
        return masked[::-1]

    @property
    def zero_shapes(self) -> List[Shape]:
        """See ``Network``."""
        return [(1, layer.spec.channels, *layer.inner) for layer in self.layers]

    @property
    def matched_layers(self) -> List[MatchedLayer]:
        """Every layer; the branches share the first convolution, so it is never negated."""
        sizes = [layer.output_size for layer in self.layers][:-1] + [(1, 1)]
        return [
            MatchedLayer(layer.spec.channels, rows * columns, layer.inner[0] * layer.inner[1], place > 0)
            for place, (layer, (rows, columns)) in enumerate(zip(self.layers, sizes))
        ]

    @property
    def path_biases(self) -> List[Parameter]:
        """b(l) of each layer."""
        return [layer.bias for layer in self.layers]

    @property
    def class_bias(self) -> Parameter:
        """The classifier's bias log pi_y."""
        return self.classifier.bias

    @property
    def normalised(self) -> bool:
        """See ``Network``."""
        return self.options.norm != "none"

    @property
    def free_latents(self) -> List[FreeLatents]:
        """One block for each layer: states of its pixels, or states and positions of its pooling windows."""
        found, place = [], 0
        for layer in self.layers:
            shape, slope = (layer.spec.channels, *layer.inner), self.options.slope
            if layer.has_position:
                kernel = (layer.spec.pool, layer.spec.pool)
                found.append(FreeLatents(shape, slope, Windows(kernel, kernel), place, place + 1))
            else:
                found.append(FreeLatents(shape, slope, None, place))
            place += 2 if layer.has_position else 1
        return found

    @property
    def frozen_sizes(self) -> List[int]:
        """Scale and shift of each layer."""
        return [2] * len(self.layers)

    @property
    def bias_count(self) -> int:
        """One bias for each layer."""
        return len(self.layers)
