"""The loss terms: the list that recipe, objective, schedules, epoch line and figures are derived from."""

from __future__ import annotations

from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from gluon_nrm.recipe.fields import about

#: Values of ``adversarial.method``.
IMPROVED_GAN, ALI, TANGENTS, RENDERING = "improved_gan", "ali", "tangents", "rendering"
#: Methods whose classifier judges generated samples.
JUDGING = (IMPROVED_GAN, ALI, TANGENTS)
GENERATIVE, CONSISTENCY = "generative_rampup_epochs", "consistency_rampup_epochs"
#: ``Network.kind`` of the networks that some terms are for.
LADDER, ADVERSARIAL = "ladder", "adversarial classifier"


class Term(NamedTuple):
    """One loss term."""

    name: str
    #: its name in the line of an epoch
    short: str
    #: its name in the legend of a figure
    title: str
    #: its colour in a figure
    colour: str
    #: whether it needs the rendering pass
    renders: bool = False
    #: argument of the objective that it needs, besides images and labels
    extra_input: Optional[str] = None
    #: key of the recipe's section ``loss`` that brings it in; None: it has its full weight from the start
    ramp_up: Optional[str] = None
    #: kind of network that computes it (``Network.kind``); empty: every network
    of: str = ""
    #: values of ``adversarial.method`` that train its networks; none: it needs no companion
    methods: Tuple[str, ...] = ()


def _weight(doc: str, short: str, title: str, colour: str, default: float = 0.0, **needs: Any) -> Any:
    """Declare the weight of a term; ``needs`` are the other fields of ``Term``."""
    term = Term("", short, title, colour, **needs)
    return field(default=default, metadata={**about(doc, at_least=0), "term": term})


@dataclass(frozen=True)
class LossWeights:
    """Weight of each loss term in the total; a term of weight 0 is not computed."""

    cross_entropy: float = _weight(
        "class label, labelled images only", "ce", "cross-entropy", "#1f77b4", default=1.0
    )
    reconstruction: float = _weight(
        "distance of the rendered image from the image", "rec", "reconstruction", "#ff7f0e",
        renders=True, ramp_up=GENERATIVE,
    )  # fmt: skip
    entropy: float = _weight(
        "entropy of the predicted class", "ent", "entropy", "#2ca02c", ramp_up=GENERATIVE
    )
    moment_matching: float = _weight(
        "distance of rendered from inferred feature statistics", "mm", "moment matching", "#8c564b",
        renders=True, ramp_up=GENERATIVE,
    )  # fmt: skip
    path_norm: float = _weight(
        "rendering path normalisation (RPN); needs model.path_norm", "rpn", "path normalisation", "#d62728",
        renders=True, extra_input="zero_states", ramp_up=GENERATIVE,
    )  # fmt: skip
    consistency: float = _weight(
        "distance from the teacher's prediction; needs teacher.enabled", "cons", "consistency", "#9467bd",
        extra_input="teacher", ramp_up=CONSISTENCY,
    )  # fmt: skip
    virtual_adversarial: float = _weight(
        "distance from the prediction of the image perturbed by loss.vat (VAT)", "vat",
        "virtual adversarial", "#17becf", extra_input="perturbed", ramp_up=CONSISTENCY,
    )  # fmt: skip
    balance: float = _weight(
        "entropy of the mean prediction of a batch, maximised, so that all classes are used", "bal",
        "class balance", "#bcbd22",
    )  # fmt: skip
    denoising: float = _weight(
        "squared error of the decoder of a ladder_* network, its layers weighted by model.denoising", "den",
        "denoising cost", "#e377c2", of=LADDER,
    )  # fmt: skip
    real: float = _weight(
        "an unlabelled image is real: the classifier's log-sum-exp against 0; needs adversarial.method",
        "real", "real images", "#7f7f7f", of=ADVERSARIAL, methods=JUDGING,
    )  # fmt: skip
    generated: float = _weight(
        "a generated image, or pair of image and code, is not real; needs adversarial.method", "gen",
        "generated images", "#c49c94", extra_input="generated", of=ADVERSARIAL,
        methods=JUDGING,
    )  # fmt: skip
    jacobian: float = _weight(
        "change of the class probabilities along a random direction of the image, by finite differences",
        "jac", "Jacobian", "#aec7e8", extra_input="jittered", of=ADVERSARIAL,
        methods=(TANGENTS,),
    )  # fmt: skip
    tangent: float = _weight(
        "change of the class probabilities along a tangent of the generator at the image", "tan", "tangent",
        "#ffbb78", extra_input="moved", of=ADVERSARIAL, methods=(TANGENTS,),
    )  # fmt: skip
    adversarial: float = _weight(
        "a discriminator takes the rendered image for a real one; needs adversarial.method rendering",
        "adv", "adversarial", "#98df8a", renders=True, ramp_up=GENERATIVE,
        methods=(RENDERING,),
    )  # fmt: skip


#: Every term by its name, in the order in which the objective returns them.
TERMS: Dict[str, Term] = {
    each.name: each.metadata["term"]._replace(name=each.name) for each in dataclass_fields(LossWeights)
}

#: The terms that any rendering network computes by itself.
NRM_TERMS: Tuple[str, ...] = tuple(name for name, term in TERMS.items() if not term.of and not term.methods)
#: Losses of the networks beside the classifier (``training/companions``), in a figure and in the line of an
#: epoch; they are no part of the total.
COMPANION_TERMS: Dict[str, Term] = {
    each.name: each
    for each in (
        Term("feature_matching", "fm", "feature matching (generator)", "#1f77b4"),
        Term("code_distance", "code", "distance of codes (encoder)", "#ff7f0e"),
        Term("encoding_distance", "enc", "distance of features (encoder)", "#2ca02c"),
        Term("fooling", "fool", "fooling (generator, encoder)", "#d62728"),
        Term("discrimination", "disc", "discriminator", "#9467bd"),
    )
}
#: Every loss that a run's metrics can hold.
ALL_TERMS: Dict[str, Term] = {**TERMS, **COMPANION_TERMS}


def ramped_by(key: str) -> str:
    """List the terms that a key of ``loss`` brings in: ``a, b and c``."""
    names: List[str] = [term.name for term in TERMS.values() if term.ramp_up == key]
    return " and ".join([", ".join(names[:-1]), names[-1]])
