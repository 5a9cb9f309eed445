"""Options of a network besides its architecture."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from typing import Any, List, Mapping, Optional, Tuple, get_type_hints

from gluon_nrm.errors import ModelError
from gluon_nrm.recipe.checks import limit_problems
from gluon_nrm.recipe.cross_checks import model_problems
from gluon_nrm.recipe.fields import choices_of
from gluon_nrm.recipe.schema import Model, Train
from gluon_nrm.rules.activation import MAX, MIN

#: Options of networks built from a list of layers; other networks have their own layers.
OF_LAYERS = ("norm", "released_bias", "bias", "slope", "dropout")
#: Options that need the Min branch.
OF_TWO_BRANCHES = ("alpha_max", "alpha_min", "render_norm_branches", "gates")
CHOICES = {"gates": choices_of(Model, "gates"), "dtype": choices_of(Train, "dtype")}


def check_choice(option: str, value: str, prefix: str = "") -> None:
    """Check an option of ``CHOICES``; the message names it ``prefix`` + ``option``.

    Raises:
        ModelError: the value is not one of its choices.
    """
    if value not in CHOICES[option]:
        raise ModelError(f"{prefix}{option}: {value!r} is not one of {', '.join(CHOICES[option])}")


@dataclass(frozen=True)
class NRMOptions:
    """Options of a network, named as in a recipe's ``model`` section.

    Raises:
        ModelError: a value is not one of its choices, or two options contradict each other.
    """

    #: add the Min branch (Section 5)
    maxmin: bool = False
    #: weights of the branches in the logits and in the Max-Min cross-entropy; they sum to 1
    alpha_max: float = 0.5
    alpha_min: float = 0.5
    #: build the rendering pass; without it the network is a plain or Max-Min classifier
    render: bool = True
    #: gate (a sigmoid that multiplies feature maps) in the Min branch of a traced network: "negated" f(-v),
    #: "released" -f(-v)
    gates: str = "negated"
    #: precision of the convolutions; parameters, norms and losses are float32
    dtype: str = "float32"
    #: normalisation of the inference pass
    norm: str = "batch"
    #: normalisation of the rendering pass; "none" renders by the exact transpose of inference
    render_norm: str = "batch"
    #: rendering norms: "shared" by both branches, as in the paper's runs, or "separate"
    render_norm_branches: str = "shared"
    #: form of Rendering Path Normalisation
    path_norm: str = "layerwise"
    #: sigma^2: it divides the scores of classes (without log pi_y) and of paths
    temperature: float = 1.0
    #: add -log pi_y to Rendering Path Normalisation; log pi_y: log-softmax of the classifier's bias
    class_prior: bool = False
    #: one prior over class and path together in Rendering Path Normalisation: -log pi(y, z)
    joint_prior: bool = False
    #: keep the classifier's bias log pi_y at its first value
    fixed_class_prior: bool = False
    #: learn a beta of the norm besides the layer's bias, as in the released code
    released_bias: bool = False
    #: learn the layers' biases b(l); without them the prior over rendering paths is flat and the layers'
    #: latents are independent: the Deep Rendering Model (Patel et al. 2016)
    bias: bool = True
    #: slope of the leaky ReLU; 0 is ReLU
    slope: float = 0.1
    #: dropout after every pooling, in both directions; None: the architecture's own
    dropout: Optional[float] = None
    #: standard deviation of the noise that training adds, for classifiers that have it; None: their own
    noise: Optional[float] = None
    #: weight of each layer's denoising cost in a Ladder network, from the image upwards; None: its own
    denoising: Optional[List[float]] = None

    def __post_init__(self) -> None:
        check_choice("dtype", self.dtype, "model.")
        names = [each.name for each in fields(self) if each.name in get_type_hints(Model)]
        section = Model(name="", **{name: getattr(self, name) for name in names})
        for problem in (*limit_problems(section, "model"), *model_problems(section)):
            raise ModelError(f"{problem.key}: {problem.what}")

    @property
    def branches(self) -> Tuple[int, ...]:
        """The branches of the network: (MAX,) or (MAX, MIN)."""
        return (MAX, MIN) if self.maxmin else (MAX,)

    @property
    def alphas(self) -> Tuple[float, ...]:
        """Weight of each branch."""
        return (self.alpha_max, self.alpha_min) if self.maxmin else (1.0,)

    @property
    def compares_priors(self) -> bool:
        """True if the form of Rendering Path Normalisation compares prior scores eta."""
        return self.path_norm in ("mode", "exact")

    @property
    def runs_zero_image(self) -> bool:
        """True if the form of Rendering Path Normalisation runs an image of zeros."""
        return self.path_norm == "layerwise" or self.compares_priors

    @property
    def scaled(self) -> bool:
        """True if rendering multiplies by the frozen scale of inference's norm.

        It does without rendering norms, so that rendering is the exact transpose of inference.
        """
        return self.render_norm == "none" and self.norm == "batch"

    @property
    def changed(self) -> List[str]:
        """Names of the options that differ from their defaults."""
        return [each.name for each in fields(self) if getattr(self, each.name) != each.default]


def read_options(given: Mapping[str, Any], prefix: str = "") -> NRMOptions:
    """Check options given by name.

    Args:
        given: option -> value.
        prefix: of the names in messages, such as "model.".

    Raises:
        ModelError: there is no such option (the message lists them), or as for ``NRMOptions``.
    """
    known = [field.name for field in fields(NRMOptions)]
    for name in sorted(set(given) - set(known)):
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise ModelError(f"{prefix}{name}: unknown option; {hint}known are {', '.join(known)}")
    return NRMOptions(**given)
