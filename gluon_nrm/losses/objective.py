"""The semi-supervised objective (equation 12): every term of one stream, in one graph but for its moments."""

from __future__ import annotations

import functools
from typing import Any, Collection, Dict, List, NamedTuple, Optional, Sequence, Tuple

import mxnet as mx
from mxnet.gluon import HybridBlock

from gluon_nrm.errors import ModelError
from gluon_nrm.losses.consistency import Consistency, Probabilities
from gluon_nrm.losses.cross_entropy import CrossEntropy
from gluon_nrm.losses.entropy import Entropy
from gluon_nrm.losses.exact_path_norm import ExactPathNorm
from gluon_nrm.losses.moment_matching import MapGradients, MapSlopes, MomentMatching, match, unit_variances
from gluon_nrm.losses.path_norm import ClassPriorNorm, LayerwisePathNorm, ModePathNorm, PathNorm
from gluon_nrm.losses.reconstruction import Reconstruction
from gluon_nrm.losses.virtual_adversarial import VirtualAdversarial
from gluon_nrm.models.network import JointPass, Network
from gluon_nrm.models.zero_path import ZeroStates
from gluon_nrm.typing import Operators, Tensor

#: The terms, in the order in which the objective returns them.
TERMS: Tuple[str, ...] = (
    "cross_entropy", "reconstruction", "entropy", "moment_matching", "path_norm", "consistency",
    "virtual_adversarial",
)  # fmt: skip

#: The term whose gradient goes back from feature maps.
MATCHING = "moment_matching"

#: What a term wants to be called with, besides images and labels.
EXTRA_INPUTS = {"path_norm": "zero_states", "consistency": "teacher", "virtual_adversarial": "perturbed"}

#: Terms that need the rendering pass.
RENDERED = frozenset({"reconstruction", "moment_matching", "path_norm"})


class Outcome(NamedTuple):
    """What an objective returns; the way back is ``Objective.backward``, and not through ``terms``."""

    #: one row a term, in the order of ``Objective.names``, (T, B), a constant
    terms: Tensor
    #: class probabilities, (B, K), a constant
    predictions: Tensor
    #: the terms as they were recorded, without that of moment matching
    recorded: Tensor
    #: the maps that it compares, (B, C, H, W) each, and how its loss changes with them
    maps: List[Tensor] = []
    slopes: Optional[MapSlopes] = None

    @property
    def heads(self) -> List[Tensor]:
        """All that a gradient goes back from."""
        return [self.recorded, *self.maps]


class Objective(HybridBlock):
    """Inference, rendering and loss terms of one batch; the way back is ``backward``.

    Called with what ``inputs`` lists: images (B, C, H, W), labels (B,), -1 where there is none; where
    path_norm is among the terms, in its layerwise form, what ``zero_states`` returns, (1, N); where
    consistency is, the teacher's class probabilities (B, K); and where virtual_adversarial is, the perturbed
    images (B, C, H, W). Returns an ``Outcome``.
    Its terms are not yet weighted: weights belong to the training step, which hands them to ``backward``.

    Args:
        net: the network.
        names: the terms to compute; the others cost nothing.
        second: the network as perturbed images go through it (``share_parameters``), so that they leave its
            running statistics alone; None: through ``net`` itself.
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
            self.moment_matching = MomentMatching(net.matched_layers, len(net.options.branches))
            self.map_gradients = MapGradients(self.moment_matching.channels)
            self.consistency = Consistency(partial)
            if "virtual_adversarial" in names:
                self.second = net if second is None else second
                self.virtual_adversarial = VirtualAdversarial()
            if "zero_states" in self.inputs:
                self.zero_states = ZeroStates(net)
            self.path_norm = path_norm_of(net)
            self.class_prior = class_prior_of(net)

    def hybrid_forward(self, F: Operators, x: Tensor, label: Tensor, *more: Tensor) -> List[Any]:
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
            MATCHING: lambda: F.zeros_like(label),  # `__call__` puts it in
            "path_norm": lambda: self._normalise_path(F, x, joint),
            "consistency": lambda: self.consistency(q, extra["teacher"]),
            "virtual_adversarial": lambda: self.virtual_adversarial(q, self._perturbed(extra["perturbed"])),
        }
        found = F.stack(*[terms[name]() for name in self.names], axis=0)
        maps = self.moment_matching.maps_of(joint.matched) if MATCHING in self.names else []
        return [found, F.BlockGrad(q), *maps]

    def __call__(self, *arguments: Any) -> Outcome:
        """Run it; on symbols, the row of moment matching stays 0."""
        recorded, predictions, *maps = super().__call__(*arguments)
        if isinstance(recorded, mx.sym.Symbol):
            return Outcome(recorded, predictions, recorded, maps)
        if not maps:
            return Outcome(recorded.detach(), predictions, recorded)
        loss, slopes = match(self.moment_matching, maps)
        row = _unit(len(self.names), self.names.index(MATCHING), recorded.context)
        with mx.autograd.pause():
            terms = mx.nd.broadcast_add(recorded, mx.nd.broadcast_mul(row, loss))
        return Outcome(terms, predictions, recorded, maps, slopes)

    def backward(self, outcomes: Sequence[Outcome], heads: Sequence[Any]) -> None:
        """Carry the gradient of a weighted sum of all terms back to the parameters, on every device at once.

        Args:
            outcomes: recorded ones.
            heads: of each, the weights of its terms in the sum, (T, B).
        """
        pairs: List[Tuple[Any, Any]] = []
        for outcome, head in zip(outcomes, heads):
            if self.names != (MATCHING,):  # which alone leaves nothing in the terms to go back from
                pairs.append((outcome.recorded, head))
            if outcome.slopes is not None:
                # the row has the same number for every image, so its weight is their sum; here, divided by B
                weight = head[self.names.index(MATCHING)].mean()
                ones = unit_variances(self.moment_matching.channels, head.context)
                pairs += zip(outcome.maps, self.map_gradients(weight, outcome.maps, *outcome.slopes, ones))
        # eagerly, what is rendered onto the parts of a sum is one array, and MXNet would take the last
        # gradient alone
        sums: Dict[int, Tuple[Any, Any]] = {}
        for array, gradient in pairs:
            sums[id(array)] = array, sums[id(array)][1] + gradient if id(array) in sums else gradient
        mx.autograd.backward(*[list(each) for each in zip(*sums.values())])

    def _perturbed(self, x: Tensor) -> Tensor:
        """Class probabilities of perturbed images."""
        return self.probabilities(*[each.logits for each in self.second.infer(x)])

    def _normalise_path(self, F: Operators, x: Tensor, joint: JointPass) -> Tensor:
        """Rendering Path Normalisation of the Max branch, in the form that the network prepared."""
        loss = self.path_norm.of(F, self.net, x, joint)
        return loss if self.class_prior is None else loss + self.class_prior.of(F, self.net, x, joint)


@functools.lru_cache(maxsize=None)
def _unit(rows: int, row: int, device: Any) -> Any:
    """A column of zeros but for a 1 in one row, (rows, 1)."""
    return mx.nd.array([[float(place == row)] for place in range(rows)], ctx=device)


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
