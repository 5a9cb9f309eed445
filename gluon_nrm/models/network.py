"""The one interface of all networks, and the records that their passes return.

A network infers (images to class scores and latents), renders (a class code through latents to an image), and
does both in one joint pass, from which the losses read. Networks built from a list of layers (``NRM``) and
networks traced from any CNN (``TracedNRM``) share it; losses, probability and export know nothing else.
"""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, Tuple, Union

import numpy as np
from mxnet.gluon.parameter import Parameter

from gluon_nrm.errors import ModelError
from gluon_nrm.layers.classifier import ClassCode, Mixture
from gluon_nrm.layers.named_result import NamedBlock
from gluon_nrm.layers.options import NRMOptions
from gluon_nrm.rules.windows import Windows
from gluon_nrm.typing import Operators, Tensor

Shape = Tuple[int, ...]


class Prediction(NamedTuple):
    """Class scores before the softmax, (B, K) each; ``logits`` is what predicts."""

    logits: Tensor
    logits_max: Tensor
    logits_min: Optional[Tensor] = None


class Inference(NamedTuple):
    """Bottom-up result of one branch; lists go from the image upwards.

    A network that does not render has the class scores alone.
    """

    #: class scores, (B, K)
    logits: Tensor
    #: state s(l) or position t(l) at each place that leaves one; a position may take several maps
    latents: List[List[Tensor]] = []
    #: constants of the rendering pass: scale and shift, (C,) each, of each frozen norm; values of gates
    frozen: List[List[Tensor]] = []
    #: output of each matched convolution, before any norm, (B, C, H, W); negated in the Min branch where
    #: ``MatchedLayer.negated``
    convolved: List[Tensor] = []
    #: biases b(l), (C,); with batch norm, the shift of its affine map
    shifts: List[Tensor] = []


class Rendering(NamedTuple):
    """Top-down result of one branch; lists go from the image upwards."""

    #: the reconstruction h(0), (B, C, H, W)
    image: Tensor
    #: h(l) that enters each layer from above, (B, C, H, W)
    features: List[Tensor]
    #: rendered onto the output of each matched convolution, (B, C, H, W)
    matched: List[Tensor]
    #: s(l) . h(l) at each of ``Network.path_biases``, for ``layerwise`` path normalisation, (B, C, H, W)
    masked: List[Tensor]
    #: t(l) . s(l) . h(l) where each bias of ``Inference.shifts`` is added, (B, C, H, W)
    routed: List[Tensor]


class PriorTerms(NamedTuple):
    """Inputs of the ``mode`` and ``exact`` forms of Rendering Path Normalisation."""

    #: scores of a zero image, (1, K)
    zero_logits: Tensor
    #: ``Inference.shifts``
    shifts: List[Tensor]
    #: ``Rendering.routed``
    routed: List[Tensor]


class MatchedLayer(NamedTuple):
    """A layer whose rendered maps shall have the moments of the inferred ones."""

    channels: int
    #: pixels of a rendered map
    rendered: int
    #: pixels of an inferred map
    inferred: int
    #: whether the Min branch infers a negated map of its own; if not, one map serves both branches
    negated: bool


class FreeLatents(NamedTuple):
    """A block of latent variables that are independent of each other once all other layers are fixed.

    A block is the state of a rectifier, the position of a max-pooling, or both of a pooling that directly
    follows its rectifier.
    """

    #: of the map (C, H, W) or (C,) that the latents multiply
    shape: Shape
    #: slope of the rectifier, one number or one a feature map, (C,); None: the block has no state
    slope: Union[float, np.ndarray, None]
    #: where the pooling looks; None: the block has no position
    windows: Optional[Windows]
    #: index of the state in ``Inference.latents``
    state: Optional[int] = None
    #: index of the position in ``Inference.latents``
    position: Optional[int] = None


#: What is rendered onto each layer and its convolution's output, (B, C, H, W) each, in the same order.
Matched = Tuple[List[Tensor], List[Tensor]]


class JointPass(NamedTuple):
    """Inference and rendering of one batch, as the losses read it.

    Lists have one element a branch, Max first.
    """

    prediction: Prediction
    #: the class that was rendered, one-hot, (B, K)
    code: Tensor
    inferences: List[Inference]
    #: empty where nothing was rendered
    renderings: List[Rendering] = []
    #: s0(l) . h0(l) of the zero image's path, for ``layerwise`` path normalisation
    zero_masked: Optional[List[Tensor]] = None
    #: scores of a zero image, (1, K), for ``mode`` and ``exact`` path normalisation
    zero_logits: Optional[Tensor] = None

    @property
    def logits(self) -> List[Tensor]:
        """Class scores of each branch, (B, K)."""
        return [each.logits for each in self.inferences]

    @property
    def images(self) -> List[Tensor]:
        """Reconstruction of each branch, (B, C, H, W)."""
        return [each.image for each in self.renderings]

    @property
    def features(self) -> List[List[Tensor]]:
        """Intermediate rendered images h(l) of each branch, from the image upwards."""
        return [each.features for each in self.renderings]

    @property
    def matched(self) -> List[Matched]:
        """Rendered and inferred maps that moment matching compares, of each branch."""
        return [
            (rendering.matched, inference.convolved)
            for rendering, inference in zip(self.renderings, self.inferences)
        ]

    @property
    def masked(self) -> Optional[Tuple[List[Tensor], List[Tensor]]]:
        """s(l) . h(l) of the Max branch's and of the zero image's path; None without the latter."""
        return None if self.zero_masked is None else (self.renderings[0].masked, self.zero_masked)

    @property
    def prior(self) -> Optional[PriorTerms]:
        """Inputs of ``mode`` and ``exact`` path normalisation, of the Max branch; None without them."""
        if self.zero_logits is None:
            return None
        return PriorTerms(self.zero_logits, self.inferences[0].shifts, self.renderings[0].routed)


class Network(NamedBlock):
    """A classifier with one or two branches: images (B, *input_shape) to a ``Prediction``.

    A subclass gives ``infer`` and, if it renders, ``render``, ``infer_zero``, ``render_zero`` and
    ``score_zero``. They run blocks, so they serve eager arrays and traced symbols alike.

    Args:
        classes: number of classes K, at least 2.
        input_shape: channels, height and width of the images.
        options: the switches.

    Attributes:
        stochastic: whether training draws random numbers (dropout, gates).
        renders: whether there is a rendering pass; False leaves the methods and properties about it empty.

    Raises:
        ModelError: fewer than two classes.
    """

    result_type = Prediction
    renders = False

    def __init__(
        self, classes: int, input_shape: Tuple[int, int, int], options: NRMOptions, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if classes < 2:
            raise ModelError(f"a classifier needs at least 2 classes, not {classes}")
        self.options, self.classes, self.input_shape = options, classes, input_shape
        self.stochastic = False
        with self.name_scope():
            self.mixture = Mixture(options.alphas)
            self.class_code = ClassCode(classes)

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tuple[Tensor, ...]:
        return tuple(score for score in self.predict(self.infer(x)) if score is not None)

    def infer(self, x: Tensor) -> List[Inference]:
        """Infer the latents and class scores of every branch, Max first, of images (B, *input_shape)."""
        raise NotImplementedError

    def predict(self, inferences: List[Inference]) -> Prediction:
        """Mix the branches' scores."""
        return Prediction(
            self.mixture(*[each.logits for each in inferences]), *[each.logits for each in inferences]
        )

    def render(self, F: Operators, code: Tensor, inference: Inference, branch: int = 0) -> Rendering:
        """Render class codes (B, K) through the latents of a branch, 0 Max or 1 Min (Algorithm 1)."""
        raise NotImplementedError

    def joint(
        self,
        F: Operators,
        x: Tensor,
        label: Tensor,
        render: bool = True,
        zero_states: Optional[Tensor] = None,
    ) -> JointPass:
        """Infer, then render each image's class: its label where it has one, else the predicted class.

        Args:
            F: the operator module.
            x: images (B, *input_shape).
            label: class indices (B,), -1 where there is none.
            render: False skips everything top-down.
            zero_states: as ``ZeroStates`` returns them, to render the zero image's path as well, for
                ``layerwise`` path normalisation; it is neither inferred nor rendered without.
        """
        inferences = self.infer(x)
        prediction = self.predict(inferences)
        code = self.class_code(label, prediction.logits)
        if not (render and self.renders):
            return JointPass(prediction, code, inferences)
        renderings = [self.render(F, code, each, branch) for branch, each in enumerate(inferences)]
        logits = self.score_zero(F, x, inferences[0]) if self.options.compares_priors else None
        masked = None if zero_states is None else self.render_zero(F, zero_states, inferences[0])
        return JointPass(prediction, code, inferences, renderings, masked, logits)

    def infer_zero(self, F: Operators, zeros: Tensor) -> List[Tensor]:
        """Infer the state at every layer of an image of zeros (1, *input_shape), in the Max branch.

        They have the ``zero_shapes``. Only for a network built for ``layerwise`` path normalisation.
        """
        raise NotImplementedError

    def render_zero(self, F: Operators, states: Tensor, inference: Inference) -> List[Tensor]:
        """Render the sum of all class templates through a zero image's states and the images' positions.

        Args:
            F: the operator module.
            states: as ``ZeroStates`` returns them, (1, N).
            inference: the Max branch's, of the images.

        Returns:
            s0(l) . h0(l) at each of ``path_biases``, to compare with ``Rendering.masked``.
        """
        raise NotImplementedError

    def score_zero(self, F: Operators, x: Tensor, inference: Inference) -> Tensor:
        """Score a zero image shaped like those of ``x``, through the norms as they were for them: (1, K)."""
        raise NotImplementedError

    @property
    def zero_shapes(self) -> List[Shape]:
        """Shapes of the zero image's states, (1, C, H, W) or (1, C) each."""
        return []

    @property
    def matched_layers(self) -> List[MatchedLayer]:
        """The layers of ``JointPass.matched``."""
        return []

    @property
    def path_biases(self) -> List[Parameter]:
        """b(l) of each layer in ``JointPass.masked``."""
        return []

    @property
    def class_bias(self) -> Optional[Parameter]:
        """The classifier's bias log pi_y, (K,), where there is one."""
        return None

    @property
    def normalised(self) -> bool:
        """Whether inference has norms, which rendering takes as frozen affine maps."""
        return False

    @property
    def free_latents(self) -> List[FreeLatents]:
        """Blocks of free latents, from the image upwards; empty for a network that does not render."""
        return []

    @property
    def frozen_sizes(self) -> List[int]:
        """Number of arrays in each entry of ``Inference.frozen``."""
        return []

    @property
    def bias_count(self) -> int:
        """Number of biases in ``Inference.shifts``."""
        return 0
