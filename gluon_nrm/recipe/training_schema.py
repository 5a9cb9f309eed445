"""Sections ``optimiser`` and ``train`` of a recipe: phases, rates, steps, batches and checkpoints."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Optional

from gluon_nrm.recipe.fields import about

MAX_SEED = 2**31 - 1
"""Largest signed 32-bit integer, MXNet's type of seeds."""

MAX_BATCH = 1_000_000
MAX_EPOCHS = 1_000_000
MAX_STEPS = 100_000_000
"""Limits far above any use; a larger value is a typing error."""


@dataclass(frozen=True)
class Phase:
    """Part of the training with one optimiser, in its initial state, and one learning-rate schedule."""

    name: str = field(metadata=about("optimiser", choices=("adam", "sgd", "nag")))
    lr: float = field(
        metadata=about("learning rate at the start of the phase, after the warm-up", above=0, at_most=1e38)
    )
    epochs: Optional[int] = field(
        default=None,
        metadata=about(
            "length in epochs; null, for the last phase only: until the end", at_least=1, at_most=MAX_EPOCHS
        ),
    )
    momentum: float = field(default=0.0, metadata=about("momentum of sgd and nag", at_least=0, below=1))
    schedule: str = field(
        default="constant",
        metadata=about(
            "schedule of the learning rate",
            choices=("constant", "exponential", "cosine", "steps"),
        ),
    )
    final_lr: Optional[float] = field(
        default=None,
        metadata=about(
            "cosine: learning rate at the end of the phase (null: 0); exponential: learning rate after "
            "decay_epochs (required)",
            at_least=0,
        ),
    )
    decay_epochs: Optional[float] = field(
        default=None,
        metadata=about("exponential: epochs from lr to final_lr; null: the length of the phase", above=0),
    )
    milestones: List[int] = field(
        default_factory=list,
        metadata=about(
            "steps: epochs, counted over the whole run, at which the learning rate is multiplied by factor",
            at_least=1,
            at_most=MAX_EPOCHS,
        ),
    )
    factor: float = field(default=0.1, metadata=about("steps: factor at each milestone", above=0))
    warmup_epochs: float = field(
        default=0.0,
        metadata=about(
            "epochs at the start of the phase over which the learning rate rises linearly from 0", at_least=0
        ),
    )
    restart_epochs: Optional[int] = field(
        default=None,
        metadata=about(
            "cosine: epochs of the first cycle, after which the learning rate restarts at lr; null: one "
            "cycle over the whole phase",
            at_least=1,
            at_most=MAX_EPOCHS,
        ),
    )
    restart_factor: float = field(
        default=1.0,
        metadata=about("cosine: length of each cycle divided by that of the one before", at_least=1),
    )
    beta1: float = field(default=0.9, metadata=about("first decay rate of adam", at_least=0, below=1))


@dataclass(frozen=True)
class Optimiser:
    """Optimisers, in the order of use, and weight decay."""

    phases: List[Phase] = field(metadata=about("one or more phases, in order"))
    weight_decay: float = field(
        default=5e-4, metadata=about("L2 weight decay, added to the gradient", at_least=0)
    )
    weight_decay_on: str = field(
        default="all",
        metadata=about(
            "parameters with weight decay. all: every parameter, as released; weights: convolution and "
            "classifier weights",
            choices=("all", "weights"),
        ),
    )


@dataclass(frozen=True)
class Train:
    """Length of the run, batches, checkpoints and devices."""

    epochs: int = field(metadata=about("number of epochs", at_least=1, at_most=MAX_EPOCHS))
    batch_labelled: int = field(
        metadata=about(
            "labelled images per step, over all devices; 0 for data.labels 0 alone",
            at_least=0,
            at_most=MAX_BATCH,
        )
    )
    batch_unlabelled: int = field(
        default=0,
        metadata=about(
            "unlabelled images per step, over all devices; 0: no unlabelled stream",
            at_least=0,
            at_most=MAX_BATCH,
        ),
    )
    epoch_steps: Optional[int] = field(
        default=None,
        metadata=about(
            "steps per epoch; null: one pass over the longer stream", at_least=1, at_most=MAX_STEPS
        ),
    )
    eval_batch: int = field(
        default=500, metadata=about("images per evaluation batch", at_least=1, at_most=MAX_BATCH)
    )
    checkpoint_every_epochs: int = field(
        default=1, metadata=about("epochs between checkpoints", at_least=1, at_most=MAX_EPOCHS)
    )
    kvstore: str = field(
        default="device",
        metadata=about(
            "MXNet's kvstore, which sums gradients over devices and machines",
            choices=("device", "local", "nccl", "dist_sync", "dist_device_sync", "dist_async"),
        ),
    )
    seed: int = field(
        default=0,
        metadata=about(
            "seed of initialisation, order of the images, augmentation and dropout",
            at_least=0,
            at_most=MAX_SEED,
        ),
    )
    dtype: str = field(
        default="float32",
        metadata=about(
            "precision of the convolutions: float16 on a GPU (with a dynamic loss scale), bfloat16 on a CPU; "
            "parameters, norms and losses are float32",
            choices=("float32", "float16", "bfloat16"),
        ),
    )
