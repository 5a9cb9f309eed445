"""The sections of a recipe about the objective: its terms, their weights, and whose predictions it uses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from gluon_nrm.recipe.fields import about


@dataclass(frozen=True)
class LossWeights:
    """Weight of each loss term in the total; a term of weight 0 takes no part."""

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
    """Virtual adversarial training: the perturbation of each image that changes its prediction most."""

    epsilon: float = field(
        default=1.0,
        metadata=about("length of the perturbation, an L2 norm in units of the normalised image", above=0),
    )
    xi: float = field(
        default=1e-2,
        metadata=about("length of the step at which its direction is found, in the same units", above=0),
    )
    power_iterations: int = field(
        default=1,
        metadata=about("steps of the power method that finds the direction", at_least=1, at_most=1000),
    )


@dataclass(frozen=True)
class Loss:
    """The terms of the objective and how they are brought in."""

    weights: LossWeights = field(default_factory=LossWeights, metadata=about("weight of each term"))
    consistency_rampup_epochs: float = field(
        default=0.0,
        metadata=about(
            "epochs over which the weights of consistency and virtual_adversarial rise from 0 along a "
            "sigmoid; 0: full at once",
            at_least=0,
        ),
    )
    generative_rampup_epochs: float = field(
        default=0.0,
        metadata=about("the same for reconstruction, entropy, moment_matching and path_norm", at_least=0),
    )
    vat: Vat = field(
        default_factory=Vat, metadata=about("what loss.weights.virtual_adversarial perturbs images by")
    )


@dataclass(frozen=True)
class Teacher:
    """Whose predictions the network is drawn to: its moving average's, its own or its earlier ones."""

    enabled: bool = field(
        default=False,
        metadata=about("whether there is a teacher; it is what loss.weights.consistency works with"),
    )
    decay: float = field(
        default=0.99,
        metadata=about("mean_teacher: decay per step of the moving average", at_least=0, below=1),
    )
    late_decay: Optional[float] = field(
        default=None,
        metadata=about(
            "mean_teacher: decay from step late_decay_from_step on; null keeps decay", at_least=0, below=1
        ),
    )
    late_decay_from_step: int = field(
        default=40000, metadata=about("step, counted from 1, from which late_decay holds", at_least=1)
    )
    bn_statistics: str = field(
        default="average",
        metadata=about(
            "running statistics of the teacher's norms: averaged with the rest, or copied from the student",
            choices=("average", "copy"),
        ),
    )
    augmentation: str = field(
        default="same",
        metadata=about(
            "whether the teacher sees the student's augmented images or a draw of its own",
            choices=("same", "independent"),
        ),
    )
    method: str = field(
        default="mean_teacher",
        metadata=about(
            "Mean Teacher, a moving average of the network's parameters; the Pi model, the network itself in "
            "a second pass; or Temporal Ensembling, a moving average of its predictions for each image",
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
