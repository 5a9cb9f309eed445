"""The semi-supervised objective (equation 12): the loss terms of one batch, and their gradients."""

from __future__ import annotations

import functools
from typing import Any, Callable, Collection, Dict, List, NamedTuple, Optional, Sequence, Tuple

import mxnet as mx
from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import Parameter, ParameterDict

from gluon_nrm.errors import ModelError
from gluon_nrm.layers.quiet_block import QuietBlock
from gluon_nrm.losses.adversarial import Deception, GeneratedSample, RealImage
from gluon_nrm.losses.balance import Balance
from gluon_nrm.losses.consistency import Consistency, Probabilities
from gluon_nrm.losses.cross_entropy import CrossEntropy
from gluon_nrm.losses.entropy import Entropy
from gluon_nrm.losses.exact_path_norm import ExactPathNorm
from gluon_nrm.losses.moment_matching import (
    GradientCoefficients,
    MapGradients,
    MomentMatching,
    match,
    unit_variances,
)
from gluon_nrm.losses.path_norm import ClassPriorNorm, LayerwisePathNorm, ModePathNorm, PathNorm
from gluon_nrm.losses.reconstruction import Reconstruction
from gluon_nrm.losses.sampled_path_norm import ChainImages, SampledPathNorm
from gluon_nrm.losses.smoothness import Smoothness
from gluon_nrm.losses.virtual_adversarial import VirtualAdversarial
from gluon_nrm.models.adversarial.classifier import AdversarialClassifier
from gluon_nrm.models.interface.network import Network
from gluon_nrm.models.interface.passes import JointPass
from gluon_nrm.models.interface.zero_path import ZeroStates
from gluon_nrm.recipe.terms import ADVERSARIAL, LADDER, TERMS
from gluon_nrm.typing import Operators, Tensor

MATCHING = "moment_matching"


class Outcome(NamedTuple):
    """Result of an objective for one batch; ``Objective.backward`` takes it to compute gradients."""

    #: one row a term, in the order of ``Objective.names``, (T, B), constant
    terms: Tensor
    #: class probabilities, (B, K), constant
    predictions: Tensor
    #: what a discriminator judges, (B + draws, C, H, W), constant; None without the term ``adversarial``
    rendered: Optional[Tensor]
    #: the recorded terms, (T, B), with zeros for moment matching
    recorded_terms: Tensor
    #: the recorded maps that moment matching compares, (B, C, H, W) each
    maps: List[Tensor] = []
    #: its gradient with respect to ``maps``; None where it is not among the terms
    coefficients: Optional[GradientCoefficients] = None

    @property
    def recorded_arrays(self) -> List[Tensor]:
        """All arrays that gradients go back from."""
        return [self.recorded_terms, *self.maps]


class TermGraph(QuietBlock):
    """Compute inference, rendering and loss terms of one batch, as one graph.

    Called with the arguments of ``Objective``. Returns a list: the terms (T, B), with zeros for moment
    matching; the class probabilities (B, K), constant; with a discriminator, what the Max branch renders of
    the images and, with ``draws``, of the chains, (B + draws, C, H, W), constant; and the maps that moment
    matching compares, (B, C, H, W) each. Args: as for ``Objective``.
    """

    def __init__(
        self,
        net: Network,
        names: Sequence[str],
        inputs: Sequence[str],
        matching: Optional[MomentMatching] = None,
        stateless_twin: Optional[Network] = None,
        partial: bool = False,
        discriminator: Optional[HybridBlock] = None,
        draws: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._names, self._inputs = tuple(names), tuple(inputs)
        self._renders = any(TERMS[name].renders or TERMS[name].of == LADDER for name in names)
        options = net.options
        with self.name_scope():
            self.net = net
            self.probabilities = Probabilities(options.alphas)
            self.cross_entropy = CrossEntropy(net.classes, options.alphas)
            self.reconstruction = Reconstruction(options.alphas)
            self.entropy = Entropy(net.classes)
            self.balance = Balance(net.classes)
            self.moment_matching = matching
            self.consistency = Consistency(partial)
            if "virtual_adversarial" in names:
                self.stateless_twin = net if stateless_twin is None else stateless_twin
                self.virtual_adversarial = VirtualAdversarial()
            if isinstance(net, AdversarialClassifier):
                self.real, self.generated = RealImage(), GeneratedSample()
                self.smoothness = Smoothness()
            self.discriminator = discriminator
            self.deception = Deception()
            self.chain_images = ChainImages(net) if draws else None
            self.path_norm = path_norm_of(net)
            self.class_prior = class_prior_of(net)

    def hybrid_forward(self, F: Operators, x: Tensor, label: Tensor, *more: Tensor) -> List[Tensor]:
        extra = dict(zip(self._inputs[2:], more))
        joint = self.net.joint(F, x, label, render=self._renders, zero_states=extra.get("zero_states"))
        logits = joint.logits
        q = self.probabilities(*logits)
        rendered = self._judged(F, joint, extra.get("chains"))
        terms: Dict[str, Callable[[], Tensor]] = {
            "cross_entropy": lambda: self.cross_entropy(label, *logits),
            "reconstruction": lambda: self.reconstruction(x, *joint.images),
            "entropy": lambda: self.entropy(q),
            "balance": lambda: self.balance(q),
            MATCHING: lambda: F.zeros_like(label),  # ``Objective`` adds it
            "path_norm": lambda: self._normalise_path(F, x, joint, extra.get("chains")),
            "consistency": lambda: self.consistency(q, extra["teacher"]),
            "virtual_adversarial": lambda: self.virtual_adversarial(q, self._perturbed(extra["perturbed"])),
            "denoising": lambda: joint.denoising,
            "real": lambda: self.real(logits[0], label),
            # once a step: beside the stream without labels
            "generated": lambda: self.generated(self.net.judge(extra["generated"])) * (label < 0),
            "jacobian": lambda: self._change(F, x, q, extra["jittered"]),
            "tangent": lambda: self._change(F, x, q, extra["moved"]),
            "adversarial": lambda: self._deceive(F, rendered),
        }
        stacked = F.stack(*[terms[name]() for name in self._names], axis=0)
        maps = [] if self.moment_matching is None else self.moment_matching.maps_of(joint.matched)
        judged = [F.BlockGrad(F.concat(*rendered, dim=0))] if rendered else []
        return [stacked, F.BlockGrad(q), *judged, *maps]

    def _change(self, F: Operators, x: Tensor, q: Tensor, moved: Tensor) -> Tensor:
        """Squared derivative of the class probabilities q from images x towards moved images, (B,)."""
        step = F.sqrt(F.sum(F.square(moved - x), axis=0, exclude=True))
        return self.smoothness(q, self.probabilities(*[each.logits for each in self.net.infer(moved)]), step)

    def _judged(self, F: Operators, joint: JointPass, chains: Optional[Tensor]) -> List[Tensor]:
        """Renderings that the discriminator judges: of the images and, with ``draws``, of the chains."""
        if self.discriminator is None:
            return []
        drawn = [] if self.chain_images is None else [self.chain_images.of(F, joint, chains)]
        return [joint.images[0], *drawn]

    def _deceive(self, F: Operators, rendered: List[Tensor]) -> Tensor:
        """Loss of renderings that the discriminator should take for images, (B,); of draws the mean."""
        assert self.discriminator is not None  # ``Objective`` checks it
        own, *drawn = [self.deception(self.discriminator(each)) for each in rendered]
        return F.broadcast_add(own, F.mean(drawn[0], axis=0, keepdims=True)) if drawn else own

    def _perturbed(self, x: Tensor) -> Tensor:
        """Class probabilities of perturbed images."""
        return self.probabilities(*[each.logits for each in self.stateless_twin.infer(x)])

    def _normalise_path(self, F: Operators, x: Tensor, joint: JointPass, chains: Optional[Tensor]) -> Tensor:
        """Rendering Path Normalisation of the Max branch, in the form that the network was built for."""
        loss = self.path_norm.of(F, self.net, x, joint, chains)
        return loss if self.class_prior is None else loss + self.class_prior.of(F, self.net, x, joint)


class Objective:
    """The loss terms of one batch; ``backward`` computes the gradient of their weighted sum.

    This is no HybridBlock, because ``terms.backward()`` would leave moment matching out: its gradient is
    written down (``moment_matching.py``) and enters at the feature maps. ``graph`` is the HybridBlock of all
    that is recorded.

    Called with what ``inputs`` lists: images (B, C, H, W); labels (B,), -1 for an unlabelled image; for
    path_norm in its layerwise form, the result of ``zero_states``, (1, N), or in its sampled form, the paths
    of the chains (``PathChains``), (K chains, N); for consistency, the teacher's
    class probabilities (B, K); for virtual_adversarial, the perturbed images (B, C, H, W); for generated,
    the samples of ``AdversarialClassifier.judge``; for jacobian and tangent, the moved images (B, C, H, W).
    Returns an ``Outcome`` of unweighted terms; ``backward`` takes the weights.

    Args:
        net: the network.
        names: the terms to compute; the others cost nothing.
        stateless_twin: the network that perturbed images go through (``share_parameters``), so that they do
            not move the running statistics of ``net``; None: ``net`` itself.
        partial: images may have no target (see ``Consistency``).
        discriminator: scores rendered images, (B, C, H, W) to (B,), for the term adversarial. It gets
            gradients, but is trained elsewhere (``learned_elsewhere``).
        draws: the discriminator also judges what the chains of the sampled path_norm render.

    Raises:
        ModelError: an unknown term; no term; a term that the network was not built for; when called, a wrong
            number of arguments.
    """

    def __init__(
        self,
        net: Network,
        names: Collection[str],
        stateless_twin: Optional[Network] = None,
        partial: bool = False,
        discriminator: Optional[HybridBlock] = None,
        draws: bool = False,
    ) -> None:
        _check_terms(net, names)
        if "adversarial" in names and discriminator is None:
            raise ModelError("loss.weights.adversarial: give the objective a discriminator")
        self.net = net
        self.names = tuple(name for name in TERMS if name in names)
        self.renders = any(TERMS[name].renders for name in self.names)
        extra = [_extra_input(net, name) for name in self.names]
        self.inputs = ("image", "label", *[name for name in extra if name is not None])
        self.zero_states = ZeroStates(net)
        self._matching: Optional[MomentMatching] = None
        if MATCHING in self.names:
            self._matching = MomentMatching(net.matched_layers, len(net.options.branches))
            self._map_gradients = MapGradients(self._matching.channels)
        self._discriminator = discriminator if "adversarial" in self.names else None
        self.graph = TermGraph(
            net, self.names, self.inputs, self._matching, stateless_twin, partial, self._discriminator, draws
        )

    def hybridize(self, active: bool = True, **options: Any) -> None:
        """Run each block as one graph; the arguments are those of ``HybridBlock.hybridize``."""
        self.graph.hybridize(active, **options)
        self.zero_states.hybridize(active, **options)
        if self._matching is not None:
            self._map_gradients.hybridize(active, **options)

    def collect_params(self) -> ParameterDict:
        """Return all parameters, those of the network first."""
        return self.graph.collect_params()

    def symbol(self) -> mx.sym.Symbol:
        """Trace ``Outcome.recorded_arrays``, with variables named as in ``inputs``."""
        terms, _, _, maps = self._split(self.graph(*[mx.sym.var(name) for name in self.inputs]))
        return mx.sym.Group([terms, *maps])

    @property
    def learned_elsewhere(self) -> List[Parameter]:
        """Parameters that the terms depend on and that another optimiser trains."""
        judged = [] if self._discriminator is None else list(self._discriminator.collect_params().values())
        return [*self.net.learned_elsewhere, *judged]

    def _split(self, found: List[Tensor]) -> Tuple[Tensor, Tensor, Optional[Tensor], List[Tensor]]:
        """Name the outputs of the graph: terms, predictions, rendered image (or None), maps."""
        terms, predictions, *more = found
        if self._discriminator is None:
            return terms, predictions, None, more
        # detached, because eagerly a constant still belongs to the recorded graph
        rendered = more[0].detach() if isinstance(more[0], mx.nd.NDArray) else more[0]
        return terms, predictions, rendered, more[1:]

    def __call__(self, *arguments: Tensor) -> Outcome:
        if len(arguments) != len(self.inputs):
            raise ModelError(
                f"an objective of {', '.join(self.names)} is called with {', '.join(self.inputs)}; it was "
                f"called with {len(arguments)} arguments"
            )
        recorded, predictions, rendered, maps = self._split(self.graph(*arguments))
        if self._matching is None:
            return Outcome(recorded.detach(), predictions, rendered, recorded)
        loss, coefficients = match(self._matching, maps)
        row = _unit(len(self.names), self.names.index(MATCHING), recorded.context)
        with mx.autograd.pause():
            terms = mx.nd.broadcast_add(recorded, mx.nd.broadcast_mul(row, loss))
        return Outcome(terms, predictions, rendered, recorded, maps, coefficients)

    def backward(self, outcomes: Sequence[Outcome], head_gradients: Sequence[Tensor]) -> None:
        """Compute the gradient of a weighted sum of all terms, on every device at once.

        Args:
            outcomes: recorded ones.
            head_gradients: for each outcome, the weights of its terms in the sum, (T, B).
        """
        pairs: List[Tuple[Tensor, Tensor]] = []
        for outcome, head_gradient in zip(outcomes, head_gradients):
            if self.names != (MATCHING,):  # alone, it leaves no recorded terms
                pairs.append((outcome.recorded_terms, head_gradient))
            if self._matching is not None and outcome.coefficients is not None:
                # the row repeats one number for every image, so its weight is their sum; divided by B here
                weight = head_gradient[self.names.index(MATCHING)].mean()
                ones = unit_variances(self._matching.channels, head_gradient.context)
                gradients = self._map_gradients(weight, outcome.maps, *outcome.coefficients, ones)
                pairs += zip(outcome.maps, gradients)
        # Eagerly, the parts of a sum share one rendered array, and MXNet would keep only the last gradient of
        # an array that is given twice: so gradients of the same array are added here.
        sums: Dict[int, Tuple[Tensor, Tensor]] = {}
        for array, gradient in pairs:
            sums[id(array)] = array, sums[id(array)][1] + gradient if id(array) in sums else gradient
        mx.autograd.backward(*[list(each) for each in zip(*sums.values())])


#: Part of the message about a term of another kind of network (``Term.of``).
_LACKS = {
    LADDER: "has no decoder; use a ladder_* network",
    ADVERSARIAL: "has no scores of generated images; use a gan_* or ali_* network",
}


def _check_terms(net: Network, names: Collection[str]) -> None:
    unknown = sorted(set(names) - set(TERMS))
    if unknown or not names:
        raise ModelError(f"loss terms: {', '.join(unknown) or 'none given'}; known are {', '.join(TERMS)}")
    rendered = sorted(name for name in names if TERMS[name].renders)
    if rendered and not net.options.render:
        raise ModelError(
            f"loss terms: {', '.join(rendered)} need a network that renders; it was built with model.render "
            "false"
        )
    if "path_norm" in names and net.options.path_norm == "none":
        raise ModelError("loss.path_norm: the network was built with model.path_norm 'none'")
    for name in names:
        if TERMS[name].of not in ("", net.kind):
            raise ModelError(f"loss.weights.{name}: {type(net).__name__} {_LACKS[TERMS[name].of]}")


def _extra_input(net: Network, name: str) -> Optional[str]:
    """Name the argument that a term needs besides images and labels; of path_norm it depends on the form."""
    if name != "path_norm":
        return TERMS[name].extra_input
    return {"layerwise": TERMS[name].extra_input, "sampled": "chains"}.get(net.options.path_norm)


@functools.lru_cache(maxsize=None)
def _unit(rows: int, row: int, device: mx.Context) -> Tensor:
    """Make a column of zeros with a 1 in one row, (rows, 1)."""
    return mx.nd.array([[float(place == row)] for place in range(rows)], ctx=device)


def path_norm_of(net: Network) -> PathNorm:
    """Build the form of Rendering Path Normalisation that a network was built for (for none: layerwise).

    Raises:
        ModelError: the form is ``exact`` and the network has norms, dropout or too many paths; or ``sampled``
            and the network has dropout; or the prior is joint and the network has no class bias.
    """
    options = net.options
    form, joint, temperature = options.path_norm, options.joint_prior, options.temperature
    if joint:
        _class_bias(net, "joint_prior")
    if form == "exact":
        return ExactPathNorm(net, temperature, net.class_bias if joint else None)
    if form == "sampled":
        return SampledPathNorm(net, temperature)
    if form == "mode":
        return ModePathNorm(net.class_bias, joint, temperature)
    return LayerwisePathNorm(net.path_biases, temperature)


def class_prior_of(net: Network) -> Optional[ClassPriorNorm]:
    """Build the loss of the class prior; None without ``model.class_prior``.

    Raises:
        ModelError: the network has no class bias, which is the log prior.
    """
    if not net.options.class_prior:
        return None
    return ClassPriorNorm(_class_bias(net, "class_prior"))


def _class_bias(net: Network, option: str) -> Parameter:
    """Return the classifier's bias log pi_y, which an option needs."""
    if net.class_bias is None:
        raise ModelError(f"model.{option}: the classifier has no bias, the log pi_y; set it to false")
    return net.class_bias
