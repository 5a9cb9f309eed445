"""The one interface of all networks.

A network infers (images to class scores and latents), renders (a class code through latents to an image), and
does both in one joint pass, which the losses read. ``NRM`` (a list of layers) and ``TracedNRM`` (any CNN)
implement it; losses, probability and export use nothing else.
"""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

from mxnet.gluon.parameter import Parameter

from gluon_nrm.errors import ModelError
from gluon_nrm.layers.classifier import ClassCode, Mixture, Tempered
from gluon_nrm.layers.named_outputs import NamedBlock
from gluon_nrm.layers.options import NRMOptions
from gluon_nrm.layers.parameter_count import describe_size
from gluon_nrm.models.interface.passes import (
    FreeLatents,
    Inference,
    JointPass,
    MatchedLayer,
    Prediction,
    Rendering,
    Shape,
)
from gluon_nrm.typing import Operators, Tensor


class Network(NamedBlock):
    """A classifier with one or two branches: images (B, *input_shape) to a ``Prediction``.

    A subclass gives ``infer`` and, if it renders, ``render``, ``infer_zero``, ``render_zero`` and
    ``score_zero``. They run blocks, so they serve eager arrays and traced symbols alike.

    Args:
        classes: number of classes K, at least 2.
        input_shape: channels, height and width of the images.
        options: the network's options.

    Attributes:
        stochastic: True if training draws random numbers (dropout, gates).
        renders: True if there is a rendering pass.
        kind: kind of network, for the loss terms that only one kind computes (``Term.of``).

    Raises:
        ModelError: fewer than two classes.
    """

    result_type = Prediction
    renders = False
    kind = ""

    def __init__(
        self, classes: int, input_shape: Tuple[int, int, int], options: NRMOptions, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if classes < 2:
            raise ModelError(f"a classifier needs at least 2 classes, not {classes}")
        self.options, self.classes, self.input_shape = options, classes, input_shape
        self.stochastic = False
        self.tempered: Optional[Tempered] = None
        with self.name_scope():
            self.mixture = Mixture(options.alphas)
            self.class_code = ClassCode(classes)

    def __repr__(self) -> str:
        """Return the kind of network, its size, and the options that differ from the defaults."""
        changed = [f"{name}={getattr(self.options, name)!r}" for name in self.options.changed]
        inside = ", ".join([f"classes={self.classes}", f"input_shape={self.input_shape}", *changed])
        return f"{type(self).__name__}({inside}), {describe_size(self)}"

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tuple[Tensor, ...]:
        return tuple(score for score in self.predict(self.infer(x)) if score is not None)

    def infer(self, x: Tensor) -> List[Inference]:
        """Infer the latents and class scores of every branch, Max first, of images (B, *input_shape)."""
        raise NotImplementedError

    def temper(self, logits: Tensor) -> Tensor:
        """Divide class scores (B, K) by sigma^2, all but log pi_y (Theorem 3.2)."""
        return logits if self.tempered is None else self.tempered(logits)

    def _tempering(self) -> Optional[Tempered]:
        """Make the block of ``temper``, which a subclass keeps as ``tempered``; None where sigma^2 is 1."""
        temperature = self.options.temperature
        return None if temperature == 1 else Tempered(temperature, self.class_bias)

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
        """Infer, then render each image's class: its label or, without a label, the predicted class.

        Args:
            F: the operator module.
            x: images (B, *input_shape).
            label: class indices (B,), -1 for no label.
            render: False skips the rendering pass, or a Ladder network's decoder.
            zero_states: result of ``ZeroStates``, (1, N), for ``layerwise`` path normalisation; None: do not
                render the zero image's path.
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
        """Infer the Max branch's states of an image of zeros (1, *input_shape), of ``zero_shapes``.

        Only for a network built for ``layerwise`` path normalisation.
        """
        raise NotImplementedError

    def render_zero(self, F: Operators, states: Tensor, inference: Inference) -> List[Tensor]:
        """Render the sum of all class templates through the zero image's states and the images' positions.

        Args:
            F: the operator module.
            states: result of ``ZeroStates``, (1, N).
            inference: the Max branch's inference of the images.

        Returns:
            s0(l) . h0(l), (B, C, H, W), at each of ``path_biases``, to compare with ``Rendering.masked``.
        """
        raise NotImplementedError

    def score_zero(self, F: Operators, x: Tensor, inference: Inference) -> Tensor:
        """Score a zero image in the Max branch, (1, K), through the norms of the images' ``inference``."""
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
    def learned_elsewhere(self) -> List[Parameter]:
        """Parameters that the losses of this network must not train, because another optimiser does."""
        return []

    @property
    def path_biases(self) -> List[Parameter]:
        """b(l) of each layer in ``JointPass.masked``."""
        return []

    @property
    def class_bias(self) -> Optional[Parameter]:
        """The classifier's bias log pi_y, (K,); None without one."""
        return None

    @property
    def normalised(self) -> bool:
        """True if inference has norms, which rendering treats as frozen affine maps."""
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
