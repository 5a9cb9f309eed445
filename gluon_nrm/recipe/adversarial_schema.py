"""Section ``adversarial`` of a recipe: the networks that are trained beside the classifier, against it."""

from __future__ import annotations

from dataclasses import dataclass, field

from gluon_nrm.recipe.fields import about
from gluon_nrm.recipe.terms import ALI, IMPROVED_GAN, RENDERING, TANGENTS


@dataclass(frozen=True)
class Adversarial:
    """Networks beside the classifier (generator, encoder, discriminator) with an optimiser of their own."""

    method: str = field(
        default="none",
        metadata=about(
            "improved_gan: a generator whose images the classifier tells from real ones; ali: a generator "
            "and an encoder, pairs of image and code; tangents: improved_gan with an encoder, for "
            "loss.weights.jacobian and tangent; rendering: a discriminator of what the NRM renders; none",
            choices=("none", IMPROVED_GAN, ALI, TANGENTS, RENDERING),
        ),
    )
    code: int = field(
        default=100,
        metadata=about(
            "improved_gan, tangents: dimensions of the generator's code z; ali has those of its network",
            at_least=1,
            at_most=100_000,
        ),
    )
    width: int = field(
        default=64,
        metadata=about(
            "feature maps of the last hidden layer of the generator, and of the first of the encoder and the "
            "discriminator; other layers have multiples",
            at_least=1,
            at_most=10_000,
        ),
    )
    lr: float = field(
        default=3e-4,
        metadata=about(
            "learning rate of Adam for these networks; it follows the schedule of the classifier's", above=0
        ),
    )
    beta1: float = field(
        default=0.5, metadata=about("first decay rate of Adam for these networks", at_least=0, below=1)
    )
    draws: bool = field(
        default=False,
        metadata=about(
            "rendering: judge also what the chains of model.path_norm sampled render, draws from the prior"
        ),
    )
    step: float = field(
        default=1e-2,
        metadata=about(
            "tangents: length of the finite-difference step, as a share of the image's L2 norm",
            above=0,
            at_most=1,
        ),
    )
