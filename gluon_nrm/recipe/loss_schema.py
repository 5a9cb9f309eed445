"""Sections ``loss`` and ``teacher`` of a recipe: loss terms, their weights, and the teacher."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from gluon_nrm.recipe.fields import about
from gluon_nrm.recipe.terms import CONSISTENCY, GENERATIVE, LossWeights, ramped_by


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
class Sampling:
    """Chains of ``model.path_norm: sampled``, which draw rendering paths from the prior of each class."""

    chains: int = field(
        default=2, metadata=about("chains of each class; they go on from step to step", at_least=1)
    )
    sweeps: int = field(
        default=1,
        metadata=about(
            "Gibbs sweeps of each chain a training step; a sweep draws every latent once",
            at_least=1,
            at_most=10_000,
        ),
    )


@dataclass(frozen=True)
class Loss:
    """Loss terms: weights and ramp-ups."""

    weights: LossWeights = field(default_factory=LossWeights, metadata=about("weight of each term"))
    consistency_rampup_epochs: float = field(
        default=0.0,
        metadata=about(
            f"epochs over which the weights of {ramped_by(CONSISTENCY)} rise from 0 along a sigmoid; "
            "0: full weights from the start",
            at_least=0,
        ),
    )
    generative_rampup_epochs: float = field(
        default=0.0,
        metadata=about(f"epochs of the same ramp-up for {ramped_by(GENERATIVE)}", at_least=0),
    )
    vat: Vat = field(default_factory=Vat, metadata=about("perturbation of loss.weights.virtual_adversarial"))
    sampling: Sampling = field(default_factory=Sampling, metadata=about("chains of model.path_norm: sampled"))


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
