"""The semi-supervised objective (equation 12): every term of one stream, in one graph."""

from __future__ import annotations

from typing import Any, Collection, Dict, List, Optional, Tuple, Union

from mxnet.gluon import HybridBlock

from gluon_nrm.errors import ModelError
from gluon_nrm.losses.consistency import Consistency, Probabilities
from gluon_nrm.losses.cross_entropy import CrossEntropy
from gluon_nrm.losses.entropy import Entropy
from gluon_nrm.losses.moment_matching import MomentMatching
from gluon_nrm.losses.path_norm import LayerwisePathNorm, ModePathNorm
from gluon_nrm.losses.reconstruction import Reconstruction
from gluon_nrm.losses.virtual_adversarial import VirtualAdversarial
from gluon_nrm.models.base import JointPass, Network
from gluon_nrm.typing import Operators, Tensor

#: The terms, in the order in which the objective returns them.
TERMS: Tuple[str, ...] = (
    "cross_entropy", "reconstruction", "entropy", "moment_matching", "path_norm", "consistency",
    "virtual_adversarial",
)  # fmt: skip

#: What a term wants to be called with, besides images and labels.
EXTRA_INPUTS = {"consistency": "teacher", "virtual_adversarial": "perturbed"}

#: Terms that need the rendering pass.
RENDERED = frozenset({"reconstruction", "moment_matching", "path_norm"})


class Objective(HybridBlock):
    """Inference, rendering and loss terms of one batch.

    Called with what ``inputs`` lists: images (B, C, H, W), labels (B,), -1 where there is none; where
    consistency is among the terms, the teacher's class probabilities (B, K); and where virtual_adversarial
    is, the perturbed images (B, C, H, W). Returns the terms, one row each in the order of ``names``, (T, B).
    They are not yet weighted: weights belong to the training step, which hands them to the backward pass.

    Args:
        net: the network.
        names: the terms to compute; the others cost nothing.
        second: the network as perturbed images go through it (``share_parameters``), so that they leave its
            running statistics alone; None: through ``net`` itself.
        predictions: also return the class probabilities (B, K), held constant: [terms, probabilities].
        partial: images may be without a target (see ``Consistency``).

    Raises:
        ModelError: an unknown term, none at all, or path_norm for a network built without it.
    """

    def __init__(
        self,
        net: Network,
        names: Collection[str],
        second: Optional[Network] = None,
        predictions: bool = False,
        partial: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        unknown = sorted(set(names) - set(TERMS))
        if unknown or not names:
            raise ModelError(
                f"loss terms: {', '.join(unknown) or 'none given'}; known are {', '.join(TERMS)}"
            )
        self.names = tuple(term for term in TERMS if term in names)
        self.inputs = ("image", "label", *[EXTRA_INPUTS[name] for name in self.names if name in EXTRA_INPUTS])
        self.predictions = predictions
        self.renders = bool(RENDERED & set(names))
        options = net.options
        if self.renders and not options.render:
            raise ModelError(
                f"loss terms: {', '.join(sorted(RENDERED & set(names)))} need a network that renders; it was "
                "built with model.render false"
            )
        if "path_norm" in names and options.path_norm == "none":
            raise ModelError("loss.path_norm: the network was built with model.path_norm 'none'")
        with self.name_scope():
            self.net = net
            self.probabilities = Probabilities(options.alphas)
            self.cross_entropy = CrossEntropy(net.classes, options.alphas)
            self.reconstruction = Reconstruction(options.alphas)
            self.entropy = Entropy(net.classes)
            self.moment_matching = MomentMatching(net.moment_channels)
            self.consistency = Consistency(partial)
            if "virtual_adversarial" in names:
                self.second = net if second is None else second
                self.virtual_adversarial = VirtualAdversarial()
            if options.path_norm == "mode":
                self.path_norm = ModePathNorm(net.class_bias)
            else:
                self.path_norm = LayerwisePathNorm(net.path_biases)

    def hybrid_forward(
        self, F: Operators, x: Tensor, label: Tensor, *more: Tensor
    ) -> Union[Tensor, List[Tensor]]:
        extra = dict(zip(self.inputs[2:], more))
        joint = self.net.joint(F, x, label, render=self.renders)
        logits = joint.logits
        q = self.probabilities(*logits)
        terms: Dict[str, Any] = {
            "cross_entropy": lambda: self.cross_entropy(label, *logits),
            "reconstruction": lambda: self.reconstruction(x, *joint.images),
            "entropy": lambda: self.entropy(q),
            "moment_matching": lambda: F.broadcast_add(F.zeros_like(label), self._match_moments(joint)),
            "path_norm": lambda: self._normalise_path(joint),
            "consistency": lambda: self.consistency(q, extra["teacher"]),
            "virtual_adversarial": lambda: self.virtual_adversarial(q, self._perturbed(extra["perturbed"])),
        }
        found = F.stack(*[terms[name]() for name in self.names], axis=0)
        return [found, F.BlockGrad(q)] if self.predictions else found

    def _perturbed(self, x: Tensor) -> Tensor:
        """Class probabilities of perturbed images."""
        return self.probabilities(*[each.logits for each in self.second.infer(x)])

    def _match_moments(self, joint: JointPass) -> Tensor:
        """Match what is rendered onto each layer with its convolution; average over the branches."""
        total = 0.0
        for rendered, inferred in joint.moments:
            total = total + self.moment_matching(rendered, inferred) / len(joint.moments)
        return total

    def _normalise_path(self, joint: JointPass) -> Tensor:
        """Rendering Path Normalisation of the Max branch, in the form that the network prepared."""
        if isinstance(self.path_norm, ModePathNorm):
            assert joint.prior is not None  # the constructor refuses a network without it
            return self.path_norm(joint.code, *joint.prior)
        assert joint.masked is not None
        return self.path_norm(*joint.masked)
