"""Sections ``loss`` and ``teacher`` of a recipe: loss terms, their weights, and the teacher."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from gluon_nrm.recipe.fields import about


@dataclass(frozen=True)
class LossWeights:
    """Weight of each loss term in the total; a term of weight 0 is not computed."""

    cross_entropy: float = field(default=1.0, metadata=about("class label, labelled images only", at_least=0))
    reconstruction: float = field(
        default=0.0, metadata=about("distance of the rendered image from the image", at_least=0)
    )
    entropy: float = field(default=0.0, metadata=about("entropy of the predicted class", at_least=0))
    moment_matching: float = field(
        default=0.0, metadata=about("distance of rendered from inferred feature statistics", at_least=0)
    )
    path_norm: float = field(
        default=0.0, metadata=about("rendering path normalisation (RPN); needs model.path_norm", at_least=0)
    )
    consistency: float = field(
        default=0.0,
        metadata=about("distance from the teacher's prediction; needs teacher.enabled", at_least=0),
    )
    virtual_adversarial: float = field(
        default=0.0,
        metadata=about("distance from the prediction of the image perturbed by loss.vat (VAT)", at_least=0),
    )


@dataclass(frozen=True)
class Vat:
    """Virtual adversarial training (VAT): the perturbation of an image that changes its prediction most."""

    epsilon: float = field(
        default=1.0,
        metadata=about("length of the perturbation, an L2 norm in units of the normalised image", above=0),
    )
    xi: float = field(
        default=1e-2,
        metadata=about(
            "length of the finite-difference step of the power method, in the same units", above=0
        ),
    )
    power_iterations: int = field(
        default=1,
        metadata=about(
            "steps of the power method that finds the direction of the perturbation", at_least=1, at_most=1000
        ),
    )


@dataclass(frozen=True)
class Loss:
    """Loss terms: weights and ramp-ups."""

    weights: LossWeights = field(default_factory=LossWeights, metadata=about("weight of each term"))
    consistency_rampup_epochs: float = field(
        default=0.0,
        metadata=about(
            "epochs over which the weights of consistency and virtual_adversarial rise from 0 along a "
            "sigmoid; 0: full weights from the start",
            at_least=0,
        ),
    )
    generative_rampup_epochs: float = field(
        default=0.0,
        metadata=about(
            "epochs of the same ramp-up for reconstruction, entropy, moment_matching and path_norm",
            at_least=0,
        ),
    )
    vat: Vat = field(default_factory=Vat, metadata=about("perturbation of loss.weights.virtual_adversarial"))


@dataclass(frozen=True)
class Teacher:
    """Teacher of the consistency term: it gives the predictions that the network should match."""

    enabled: bool = field(
        default=False,
        metadata=about("use a teacher; loss.weights.consistency needs one"),
    )
    decay: float = field(
        default=0.99,
        metadata=about("mean_teacher: decay per step of the moving average", at_least=0, below=1),
    )
    late_decay: Optional[float] = field(
        default=None,
        metadata=about(
            "mean_teacher: decay from step late_decay_from_step on; null: the value of decay",
            at_least=0,
            below=1,
        ),
    )
    late_decay_from_step: int = field(
        default=40000, metadata=about("first step, counted from 1, that uses late_decay", at_least=1)
    )
    bn_statistics: str = field(
        default="average",
        metadata=about(
            "running statistics of the teacher's batch norms: averaged like the parameters, or copied "
            "from the student",
            choices=("average", "copy"),
        ),
    )
    augmentation: str = field(
        default="same",
        metadata=about(
            "images of the teacher: the student's augmented ones, or an independent augmentation",
            choices=("same", "independent"),
        ),
    )
    method: str = field(
        default="mean_teacher",
        metadata=about(
            "mean_teacher: a moving average of the network's parameters; pi: a second pass of the network "
            "itself; temporal_ensembling: a moving average of its predictions for each image",
            choices=("mean_teacher", "pi", "temporal_ensembling"),
        ),
    )
    ensemble_decay: float = field(
        default=0.6,
        metadata=about(
            "temporal_ensembling: decay per epoch of the moving average of an image's predictions",
            at_least=0,
            below=1,
        ),
    )
