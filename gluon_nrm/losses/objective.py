"""The semi-supervised objective (equation 12): every term of one stream, in one graph."""

from __future__ import annotations

from typing import Any, Collection, Dict, Optional, Tuple

from mxnet.gluon import HybridBlock

from gluon_nrm.errors import ModelError
from gluon_nrm.losses.consistency import Consistency, Probabilities
from gluon_nrm.losses.cross_entropy import CrossEntropy
from gluon_nrm.losses.entropy import Entropy
from gluon_nrm.losses.exact_path_norm import ExactPathNorm
from gluon_nrm.losses.moment_matching import MomentMatching
from gluon_nrm.losses.path_norm import ClassPriorNorm, LayerwisePathNorm, ModePathNorm, PathNorm
from gluon_nrm.losses.reconstruction import Reconstruction
from gluon_nrm.models.base import JointPass, Network
from gluon_nrm.typing import Operators, Tensor

#: The terms, in the order in which the objective returns them.
TERMS: Tuple[str, ...] = (
    "cross_entropy", "reconstruction", "entropy", "moment_matching", "path_norm", "consistency",
)  # fmt: skip

#: Terms that need the rendering pass.
RENDERED = frozenset({"reconstruction", "moment_matching", "path_norm"})


class Objective(HybridBlock):
    """Inference, rendering and loss terms of one batch.

    Called with images (B, C, H, W), labels (B,), -1 where there is none, and, where consistency is among the
    terms, the teacher's class probabilities (B, K). Returns the terms, one row each in the order of
    ``names``, (T, B). They are not yet weighted: weights belong to the training step, which hands them to the
    backward pass.

    Args:
        net: the network.
        names: the terms to compute; the others cost nothing.

    Raises:
        ModelError: an unknown term, none at all, path_norm for a network built without it, or one that does
            not suit its form.
    """

    def __init__(self, net: Network, names: Collection[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        unknown = sorted(set(names) - set(TERMS))
        if unknown or not names:
            raise ModelError(
                f"loss terms: {', '.join(unknown) or 'none given'}; known are {', '.join(TERMS)}"
            )
        self.names = tuple(term for term in TERMS if term in names)
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
            self.consistency = Consistency()
            self.path_norm = path_norm_of(net)
            self.class_prior = class_prior_of(net)

    def hybrid_forward(
        self, F: Operators, x: Tensor, label: Tensor, teacher: Optional[Tensor] = None
    ) -> Tensor:
        joint = self.net.joint(F, x, label, render=self.renders)
        logits = joint.logits
        q = self.probabilities(*logits)
        terms: Dict[str, Any] = {
            "cross_entropy": lambda: self.cross_entropy(label, *logits),
            "reconstruction": lambda: self.reconstruction(x, *joint.images),
            "entropy": lambda: self.entropy(q),
            "moment_matching": lambda: F.broadcast_add(F.zeros_like(label), self._match_moments(joint)),
            "path_norm": lambda: self._normalise_path(F, x, joint),
            "consistency": lambda: self.consistency(q, teacher),
        }
        return F.stack(*[terms[name]() for name in self.names], axis=0)

    def _match_moments(self, joint: JointPass) -> Tensor:
        """Match what is rendered onto each layer with its convolution; average over the branches."""
        total = 0.0
        for rendered, inferred in joint.moments:
            total = total + self.moment_matching(rendered, inferred) / len(joint.moments)
        return total

    def _normalise_path(self, F: Operators, x: Tensor, joint: JointPass) -> Tensor:
        """Rendering Path Normalisation of the Max branch, in the form that the network prepared."""
        loss = self.path_norm.of(F, self.net, x, joint)
        return loss if self.class_prior is None else loss + self.class_prior.of(F, self.net, x, joint)


def path_norm_of(net: Network) -> PathNorm:
    """Build the form of Rendering Path Normalisation that a network was built for (where none: layerwise).

    Raises:
        ModelError: ``exact``, and the network has norms or dropout, or too many paths.
    """
    if net.options.path_norm == "exact":
        return ExactPathNorm(net)
    return ModePathNorm(net.class_bias) if net.options.path_norm == "mode" else LayerwisePathNorm(net.path_biases)


def class_prior_of(net: Network) -> Optional[ClassPriorNorm]:
    """Build what weighs the class beside the path, where the network asks for it.

    Raises:
        ModelError: the network has no class bias to learn the prior.
    """
    if not net.options.class_prior:
        return None
    if net.class_bias is None:
        raise ModelError("model.class_prior: the classifier has no bias, which would be log pi_y; set it to false")
    return ClassPriorNorm(net.class_bias)
