"""The semi-supervised objective (equation 12): every term of one stream, in one graph."""

from __future__ import annotations

from typing import Any, Collection, Dict, List, Optional, Tuple, Union

from mxnet.gluon import HybridBlock

from gluon_nrm.errors import ModelError
from gluon_nrm.losses.consistency import Consistency, Probabilities
from gluon_nrm.losses.cross_entropy import CrossEntropy
from gluon_nrm.losses.entropy import Entropy
from gluon_nrm.losses.exact_path_norm import ExactPathNorm
from gluon_nrm.losses.moment_matching import MomentMatching
from gluon_nrm.losses.path_norm import ClassPriorNorm, LayerwisePathNorm, ModePathNorm, PathNorm
from gluon_nrm.losses.reconstruction import Reconstruction
from gluon_nrm.losses.virtual_adversarial import VirtualAdversarial
from gluon_nrm.models.base import JointPass, Network
from gluon_nrm.models.zero_path import ZeroStates
from gluon_nrm.typing import Operators, Tensor

#: The terms, in the order in which the objective returns them.
TERMS: Tuple[str, ...] = (
    "cross_entropy", "reconstruction", "entropy", "moment_matching", "path_norm", "consistency",
    "virtual_adversarial",
)  # fmt: skip

#: What a term wants to be called with, besides images and labels.
EXTRA_INPUTS = {"path_norm": "zero_states", "consistency": "teacher", "virtual_adversarial": "perturbed"}

#: Terms that need the rendering pass.
RENDERED = frozenset({"reconstruction", "moment_matching", "path_norm"})


class Objective(HybridBlock):
    """Inference, rendering and loss terms of one batch.

    Called with what ``inputs`` lists: images (B, C, H, W), labels (B,), -1 where there is none; where
    path_norm is among the terms, in its layerwise form, what ``zero_states`` returns, (1, N); where
    consistency is, the teacher's class probabilities (B, K); and where virtual_adversarial is, the perturbed
    images (B, C, H, W). Returns the terms, one row each in the order of ``names``, (T, B).
    They are not yet weighted: weights belong to the training step, which hands them to the backward pass.

    Args:
        net: the network.
        names: the terms to compute; the others cost nothing.
        second: the network as perturbed images go through it (``share_parameters``), so that they leave its
            running statistics alone; None: through ``net`` itself.
        predictions: also return the class probabilities (B, K), held constant: [terms, probabilities].
        partial: images may be without a target (see ``Consistency``).

    Raises:
        ModelError: an unknown term, none at all, path_norm for a network built without it, or one that does
            not suit its form; when called, if not with what ``inputs`` lists.
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
        wanting = [name for name in self.names if name != "path_norm" or options.path_norm == "layerwise"]
        self.inputs = ("image", "label", *[EXTRA_INPUTS[name] for name in wanting if name in EXTRA_INPUTS])
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
            if "zero_states" in self.inputs:
                self.zero_states = ZeroStates(net)
            self.path_norm = path_norm_of(net)
            self.class_prior = class_prior_of(net)

    def hybrid_forward(
        self, F: Operators, x: Tensor, label: Tensor, *more: Tensor
    ) -> Union[Tensor, List[Tensor]]:
        if len(more) != len(self.inputs) - 2:
            raise ModelError(
                f"an objective of {', '.join(self.names)} is called with {', '.join(self.inputs)}; it was "
                f"called with {len(more) + 2} arguments"
            )
        extra = dict(zip(self.inputs[2:], more))
        joint = self.net.joint(F, x, label, render=self.renders, zero_states=extra.get("zero_states"))
        logits = joint.logits
        q = self.probabilities(*logits)
        terms: Dict[str, Any] = {
            "cross_entropy": lambda: self.cross_entropy(label, *logits),
            "reconstruction": lambda: self.reconstruction(x, *joint.images),
            "entropy": lambda: self.entropy(q),
            "moment_matching": lambda: F.broadcast_add(F.zeros_like(label), self._match_moments(joint)),
            "path_norm": lambda: self._normalise_path(F, x, joint),
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

    def _normalise_path(self, F: Operators, x: Tensor, joint: JointPass) -> Tensor:
        """Rendering Path Normalisation of the Max branch, in the form that the network prepared."""
        loss = self.path_norm.of(F, self.net, x, joint)
        return loss if self.class_prior is None else loss + self.class_prior.of(F, self.net, x, joint)


def path_norm_of(net: Network) -> PathNorm:
    """Build the form of Rendering Path Normalisation that a network was built for (where none: layerwise).

    Raises:
        ModelError: ``exact``, and the network has norms or dropout, or too many paths.
    """
    form = net.options.path_norm
    if form == "exact":
        return ExactPathNorm(net)
    return ModePathNorm(net.class_bias) if form == "mode" else LayerwisePathNorm(net.path_biases)


def class_prior_of(net: Network) -> Optional[ClassPriorNorm]:
    """Build what weighs the class beside the path, where the network asks for it.

    Raises:
        ModelError: the network has no class bias to learn the prior.
    """
    if not net.options.class_prior:
        return None
    if net.class_bias is None:
        raise ModelError("model.class_prior: the classifier has no bias, the log pi_y; set it to false")
    return ClassPriorNorm(net.class_bias)
