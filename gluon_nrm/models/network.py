"""The Neural Rendering Model of a list of layers: inference, the zero-image path, rendering."""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, Tuple

from mxnet.gluon import nn

from gluon_nrm.errors import ModelError
from gluon_nrm.layers.named import NamedBlock
from gluon_nrm.models.architecture import Architecture
from gluon_nrm.models.classifier import ClassCode, Classifier, ClassTemplate, Mixture, SpreadTemplate
from gluon_nrm.models.halves import Inferred, Rendered
from gluon_nrm.models.layer import NRMLayer
from gluon_nrm.models.options import NRMOptions
from gluon_nrm.models.render_norms import RenderNorms
from gluon_nrm.typing import Operators, Tensor


class Prediction(NamedTuple):
    """Class scores before the softmax, (B, K) each; ``logits`` is what predicts."""

    logits: Tensor
    logits_max: Tensor
    logits_min: Optional[Tensor] = None


class BranchInference(NamedTuple):
    """What one branch infers: every layer's latents from the image upwards, and the scores (B, K)."""

    layers: List[Inferred]
    logits: Tensor


class BranchRendering(NamedTuple):
    """What one branch renders: every layer from the image upwards, and the template's moments."""

    #: the reconstruction, (B, C, H, W)
    image: Tensor
    #: each layer's step; ``layers[0]`` ends on the image
    layers: List[Rendered]
    #: what enters each layer from above, h(l) for l = 1..L
    heads: List[Tensor]
    #: (B, C, 1, 1) mean and mean square of the class templates
    template_moments: List[Tensor]


class ZeroPath(NamedTuple):
    """The path of a zero image: the state at every layer, (1, C, H, W), and its scores (1, K)."""

    states: List[Tensor]
    logits: Tensor


class Joint(NamedTuple):
    """Everything one pass computes, for the losses."""

    prediction: Prediction
    code: Tensor
    inferences: List[BranchInference]
    renderings: List[BranchRendering]
    zero: Optional[ZeroPath]
    zero_layers: Optional[List[Rendered]]


class NRM(NamedBlock):
    """A CNN that also renders. As a block it classifies: images (B, *input_shape) to a ``Prediction``.

    The methods below are the steps of training's joint pass; they run blocks, so they serve eager arrays and
    traced symbols alike. Build a network with ``get_model``.

    Args:
        architecture: the layers from the image upwards.
        classes: number of classes K, at least 2.
        input_shape: channels, height and width of the images.
        options: the switches.

    Attributes:
        stochastic: whether training draws random numbers (dropout).

    Raises:
        ModelError: fewer than two classes, or images too small for the layers.
    """

    result_type = Prediction

    def __init__(
        self,
        architecture: Architecture,
        classes: int,
        input_shape: Tuple[int, int, int],
        options: NRMOptions,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if classes < 2:
            raise ModelError(f"a classifier needs at least 2 classes, not {classes}")
        self.options, self.classes, self.input_shape = options, classes, input_shape
        self.stochastic = any(spec.dropout > 0 for spec in architecture)
        channels, size = input_shape[0], (input_shape[1], input_shape[2])
        with self.name_scope():
            self.layers = nn.HybridSequential()
            for spec in architecture:
                layer = NRMLayer(spec, channels, size, options, first=not len(self.layers))
                self.layers.add(layer)
                channels, size = spec.channels, layer.output_size
            self.classifier = Classifier(channels, classes)
            self.mixture = Mixture(options.alphas)
            self.class_code = ClassCode(classes)
            self.template = ClassTemplate(self.classifier.weight)
            self.template_norms = RenderNorms(channels, options)
            self.spread = SpreadTemplate(size)

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tuple[Tensor, ...]:
        return tuple(score for score in self.predict(self.infer(x)) if score is not None)

    def infer(self, x: Tensor) -> List[BranchInference]:
        """Infer the latents of every branch; the first convolution, the same in all of them, runs once."""
        stem = self.layers[0].convolution(x)
        inferences = []
        for branch in range(len(self.options.branches)):
            inferred: List[Inferred] = []
            for layer in self.layers:
                convolved = layer.convolution(inferred[-1].output) if inferred else stem
                inferred.append(layer.infer(convolved, branch))
            inferences.append(BranchInference(inferred, self.classifier(inferred[-1].output)))
        return inferences

    def predict(self, inferences: List[BranchInference]) -> Prediction:
        """Mix the branches' scores."""
        return Prediction(
            self.mixture(*[each.logits for each in inferences]), *[each.logits for each in inferences]
        )

    def infer_zero(self, F: Operators, x: Tensor, inference: BranchInference) -> ZeroPath:
        """Infer the path of one zero image shaped like those of ``x``; batch size 1."""
        y = F.zeros_like(F.slice_axis(x, axis=0, begin=0, end=1))
        states = []
        for layer, inferred in zip(self.layers, inference.layers):
            y, state = layer.infer_zero(y, inferred)
            states.append(state)
        return ZeroPath(states, self.classifier(y))

    def render(self, code: Tensor, inference: BranchInference, branch: int) -> BranchRendering:
        """Render a class code (B, K) through the ``branch``-th branch's latents (Algorithm 1)."""
        template, moments = self.template(code)
        h = self.spread(self.template_norms.normalise(template, branch))
        steps: List[Rendered] = []
        heads: List[Tensor] = []
        for layer, inferred in reversed(list(zip(self.layers, inference.layers))):
            heads.append(h)
            steps.append(layer.render(h, inferred))
            h = layer.render_norms.normalise(steps[-1].image, branch)
        return BranchRendering(h, steps[::-1], heads[::-1], moments)

    def render_zero(self, F: Operators, zero: ZeroPath, inference: BranchInference) -> List[Rendered]:
        """Render the sum of all class templates through the zero image's states, to the first layer."""
        template, _ = self.template(F.ones_like(zero.logits))
        h = self.spread(self.template_norms.normalise_zero(template))
        steps: List[Rendered] = []
        for layer, inferred, state in reversed(list(zip(self.layers, inference.layers, zero.states))):
            steps.append(layer.render_zero(h, state, inferred))
            h = layer.render_norms.normalise_zero(steps[-1].image)
        return steps[::-1]

    def joint(self, F: Operators, x: Tensor, label: Tensor, render: bool = True) -> Joint:
        """Infer, then render each image's class: its label where it has one, else the predicted class.

        Args:
            F: the operator module.
            x: images (B, *input_shape).
            label: class indices (B,), -1 where there is none.
            render: False skips everything top-down.
        """
        inferences = self.infer(x)
        prediction = self.predict(inferences)
        code = self.class_code(label, prediction.logits)
        if not render:
            return Joint(prediction, code, inferences, [], None, None)
        renderings = [self.render(code, each, branch) for branch, each in enumerate(inferences)]
        form = self.options.path_norm
        zero = None if form == "none" else self.infer_zero(F, x, inferences[0])
        layers = (
            self.render_zero(F, zero, inferences[0]) if zero is not None and form == "layerwise" else None
        )
        return Joint(prediction, code, inferences, renderings, zero, layers)
