"""What every network that can be trained here has in common: class scores, branches, and one joint pass."""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, Protocol, Tuple

from mxnet.gluon.parameter import Parameter

from gluon_nrm.errors import ModelError
from gluon_nrm.layers.named import NamedBlock
from gluon_nrm.models.classifier import ClassCode, Mixture
from gluon_nrm.models.options import NRMOptions
from gluon_nrm.typing import Operators, Tensor


class Prediction(NamedTuple):
    """Class scores before the softmax, (B, K) each; ``logits`` is what predicts."""

    logits: Tensor
    logits_max: Tensor
    logits_min: Optional[Tensor] = None


class PriorTerms(NamedTuple):
    """What the ``mode`` and ``exact`` forms of Rendering Path Normalisation compare."""

    #: scores of a zero image, (1, K)
    zero_logits: Tensor
    #: b(l) of every layer, (C,); with batch norm, the shift of its affine map
    shifts: List[Tensor]
    #: t(l) . s(l) . h(l) of every layer, (B, C, H, W)
    routed: List[Tensor]


class MatchedLayer(NamedTuple):
    """A layer whose rendered maps shall have the moments of the inferred ones."""

    channels: int
    #: pixels of a map
    rendered: int
    inferred: int
    #: whether the Min branch infers maps of its own, the negatives of what they stand for; if not, there is
    #: one map for both branches
    mirrored: bool


#: What is rendered onto each layer and its convolution's output, (B, C, H, W) each, in the same order.
Matched = Tuple[List[Tensor], List[Tensor]]


class JointPass(Protocol):
    """What a pass computes for the losses; lists have one element a branch, Max first.

    A network that does not render has nothing from ``images`` on.
    """

    @property
    def prediction(self) -> Prediction:
        """Mixed and single scores."""

    @property
    def code(self) -> Tensor:
        """The class that was rendered, one-hot, (B, K)."""

    @property
    def logits(self) -> List[Tensor]:
        """Scores of each branch, (B, K)."""

    @property
    def images(self) -> List[Tensor]:
        """Reconstructions, (B, C, H, W)."""

    @property
    def heads(self) -> List[List[Tensor]]:
        """h(l) entering each layer from above, from the image upwards."""

    @property
    def matched(self) -> List[Matched]:
        """What moment matching compares."""

    @property
    def masked(self) -> Optional[Tuple[List[Tensor], List[Tensor]]]:
        """s(l) . h(l) of the image's and of the zero image's path, for ``layerwise`` path normalisation."""

    @property
    def prior(self) -> Optional[PriorTerms]:
        """For ``mode`` and ``exact`` path normalisation."""


class TracedPass(NamedTuple):
    """The ``JointPass`` of a traced network; of any network, what there is without rendering."""

    prediction: Prediction
    code: Tensor
    logits: List[Tensor]
    images: List[Tensor] = []
    heads: List[List[Tensor]] = []
    matched: List[Matched] = []
    masked: Optional[Tuple[List[Tensor], List[Tensor]]] = None
    prior: Optional[PriorTerms] = None


class Network(NamedBlock):
    """A classifier with one or two branches: images (B, *input_shape) to a ``Prediction``.

    A subclass gives ``infer`` and, if it renders, ``render_joint``. They run blocks, so they serve eager
    arrays and traced symbols alike.

    Args:
        classes: number of classes K, at least 2.
        input_shape: channels, height and width of the images.
        options: the switches.

    Attributes:
        stochastic: whether training draws random numbers (dropout, gates).

    Raises:
        ModelError: fewer than two classes.
    """

    result_type = Prediction

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

    def infer(self, x: Tensor) -> List[Any]:
        """Infer in every branch, Max first; each result has the branch's scores (B, K) as ``logits``."""
        raise NotImplementedError

    def predict(self, inferences: List[Any]) -> Prediction:
        """Mix the branches' scores."""
        return Prediction(
            self.mixture(*[each.logits for each in inferences]), *[each.logits for each in inferences]
        )

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
        base = TracedPass(prediction, code, [each.logits for each in inferences])
        return self.render_joint(F, x, base, inferences, zero_states) if render else base

    def render_joint(
        self, F: Operators, x: Tensor, base: TracedPass, inferences: List[Any], zero_states: Optional[Tensor]
    ) -> JointPass:
        """Add to what ``joint`` inferred, ``base``, what is rendered: here nothing."""
        return base

    def infer_zero(self, F: Operators, zeros: Tensor) -> List[Tensor]:
        """Infer the state at every layer of an image of zeros (1, *input_shape), in the Max branch.

        They have the ``zero_shapes``; for a network that was built for ``layerwise`` path normalisation.
        """
        raise NotImplementedError

    @property
    def zero_shapes(self) -> List[Tuple[int, ...]]:
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
