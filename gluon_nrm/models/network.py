"""The Neural Rendering Model of a list of layers: inference, the zero-image path, rendering."""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, Tuple

from mxnet.gluon import nn
from mxnet.gluon.parameter import Parameter

from gluon_nrm.models.architecture import Architecture
from gluon_nrm.models.base import Matched, MatchedLayer, Network, Prediction, PriorTerms, TracedPass
from gluon_nrm.models.classifier import Classifier, ClassTemplate, SpreadTemplate
from gluon_nrm.models.halves import Inferred, Rendered
from gluon_nrm.models.layer import NRMLayer
from gluon_nrm.models.options import NRMOptions
from gluon_nrm.models.render_norms import RenderNorms
from gluon_nrm.models.zero_path import Shape, every_class, unpack, zero_image
from gluon_nrm.rules.activation import MIN
from gluon_nrm.rules.structure import repeat_constant, repeat_image
from gluon_nrm.typing import Operators, Tensor


class BranchInference(NamedTuple):
    """What one branch infers: every layer's latents from the image upwards, and the scores (B, K)."""

    layers: List[Inferred]
    logits: Tensor


class BranchRendering(NamedTuple):
    """What one branch renders: every layer from the image upwards, and the class templates."""

    #: the reconstruction, (B, C, H, W)
    image: Tensor
    #: each layer's step; ``layers[0]`` ends on the image
    layers: List[Rendered]
    #: what enters each layer from above, h(l) for l = 1..L
    heads: List[Tensor]
    #: (B, C, 1, 1)
    template: Tensor


class Joint(NamedTuple):
    """Everything one pass computes, layer by layer; its properties are those of a ``JointPass``."""

    prediction: Prediction
    code: Tensor
    inferences: List[BranchInference]
    renderings: List[BranchRendering]
    #: scores of a zero image, (1, K)
    zero_logits: Optional[Tensor] = None
    zero_layers: Optional[List[Rendered]] = None

    @property
    def logits(self) -> List[Tensor]:
        """Scores of each branch."""
        return [each.logits for each in self.inferences]

    @property
    def images(self) -> List[Tensor]:
        """Reconstruction of each branch."""
        return [each.image for each in self.renderings]

    @property
    def heads(self) -> List[List[Tensor]]:
        """What enters each layer from above, in each branch."""
        return [each.heads for each in self.renderings]

    @property
    def matched(self) -> List[Matched]:
        """What is rendered onto each layer's output, and its convolution's, in each branch."""
        return [
            (
                [step.image for step in rendering.layers[1:]] + [rendering.template],
                [layer.convolved for layer in inference.layers],
            )
            for inference, rendering in zip(self.inferences, self.renderings)
        ]

    @property
    def masked(self) -> Optional[Tuple[List[Tensor], List[Tensor]]]:
        """s(l) . h(l) of the Max branch and of the zero image."""
        if self.zero_layers is None:
            return None
        return [step.masked for step in self.renderings[0].layers], [step.masked for step in self.zero_layers]

    @property
    def prior(self) -> Optional[PriorTerms]:
        """What the ``mode`` form compares."""
        if self.zero_logits is None:
            return None
        shifts = [layer.affine[1] for layer in self.inferences[0].layers]
        return PriorTerms(self.zero_logits, shifts, [step.routed for step in self.renderings[0].layers])


class NRM(Network):
    """A CNN that also renders, built from a list of layers; as a block it is a ``Network``.

    The methods below are the steps of training's joint pass. Build a network with ``get_model``.

    Args:
        architecture: the layers from the image upwards.
        classes: number of classes K, at least 2.
        input_shape: channels, height and width of the images.
        options: the switches.

    Raises:
        ModelError: fewer than two classes, or images too small for the layers.
    """

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
            self.template = ClassTemplate(self.classifier.weight)
            self.template_norms = RenderNorms(channels, (1, 1), options)
            self.spread = SpreadTemplate(size)

    def infer(self, x: Tensor) -> List[BranchInference]:
        """Infer the latents of every branch; the first convolution, the same in all of them, runs once."""
        stem = self.layers[0].convolution(x)
        inferences = []
        for branch, which in enumerate(self.options.branches):
            inferred: List[Inferred] = []
            for layer in self.layers:
                convolved = layer.convolution(inferred[-1].output) if inferred else stem
                inferred.append(layer.infer(convolved, branch))
            top = -inferred[-1].output if which == MIN else inferred[-1].output
            inferences.append(BranchInference(inferred, self.classifier(top)))
        return inferences

    def infer_zero(self, F: Operators, zeros: Tensor) -> List[Tensor]:
        """See ``Network``."""
        y, states = zeros, []
        for layer in self.layers:
            y, state = layer.infer_zero(y)
            states.append(state)
        return states

    def score_zero(self, F: Operators, x: Tensor, inference: BranchInference) -> Tensor:
        """Score a zero image shaped like those of ``x``, through the norms as they were for them: (1, K)."""
        y = zero_image(F, x)
        for layer, inferred in zip(self.layers, inference.layers):
            y, _ = layer.infer_zero(y, inferred)
        return self.classifier(y)

    def render(self, code: Tensor, inference: BranchInference, branch: int) -> BranchRendering:
        """Render a class code (B, K) through the ``branch``-th branch's latents (Algorithm 1)."""
        template = self.template(code)
        h = self.spread(self.template_norms.normalise(template, branch))
        steps: List[Rendered] = []
        heads: List[Tensor] = []
        for layer, inferred in reversed(list(zip(self.layers, inference.layers))):
            heads.append(h)
            steps.append(layer.render(h, inferred))
            h = layer.render_norms.normalise(steps[-1].image, branch)
        return BranchRendering(h, steps[::-1], heads[::-1], template)

    def render_zero(
        self, F: Operators, states: List[Tensor], inference: BranchInference
    ) -> List[Rendered]:
        """Render the sum of all class templates through the zero image's states, to the first layer.

        ``masked`` of every layer has the batch size of ``inference``, ready to be compared with the image's.
        """
        template = self.template(every_class(F, inference.logits))
        h = self.spread(self.template_norms.normalise_zero(template))
        steps: List[Rendered] = []
        one_image = True  # until it meets what an image left behind: the winners of its poolings
        for layer, inferred, state in reversed(list(zip(self.layers, inference.layers, states))):
            masks = inferred.latents[0]
            if one_image and len(inferred.latents) > 1:
                h, one_image = repeat_image(F, h, masks), False
            own_state = state if one_image else repeat_constant(F, state, masks)
            step = layer.render_zero(h, own_state, inferred)
            h = layer.render_norms.normalise_zero(step.image)
            steps.append(step._replace(masked=repeat_image(F, step.masked, masks)) if one_image else step)
        return steps[::-1]

    def render_joint(
        self, F: Operators, x: Tensor, base: TracedPass, inferences: List[Any], zero_states: Optional[Tensor]
    ) -> Joint:
        """See ``Network``."""
        code = base.code
        renderings = [self.render(code, each, branch) for branch, each in enumerate(inferences)]
        logits = self.score_zero(F, x, inferences[0]) if self.options.compares_priors else None
        layers = None
        if zero_states is not None:
            layers = self.render_zero(F, unpack(F, zero_states, self.zero_shapes), inferences[0])
        return Joint(base.prediction, code, inferences, renderings, logits, layers)

    @property
    def zero_shapes(self) -> List[Shape]:
        """See ``Network``."""
        return [(1, layer.spec.channels, *layer.inner) for layer in self.layers]

    @property
    def matched_layers(self) -> List[MatchedLayer]:
        """Every layer; the first convolution serves both branches as it is."""
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
