"""Every key of a recipe: one frozen dataclass per section, each field with its meaning, default and limits.

To add a key, declare it here: the loader, the range check, the hash and docs/recipes.md follow. Give it the
default that keeps old recipes as they were, and never change the default of an existing key: hashes of past
results leave defaults out. Checks between keys are in ``cross_checks.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Optional, Union

from gluon_nrm.recipe.fields import about
from gluon_nrm.recipe.loss_schema import Loss, LossWeights, Teacher, Vat

__all__ = [
    "Data",
    "Loss",
    "LossWeights",
    "MAX_SEED",
    "Model",
    "Optimiser",
    "Phase",
    "Recipe",
    "Teacher",
    "Train",
    "Vat",
]

MAX_SEED = 2**31 - 1
"""MXNet keeps seeds in a signed 32-bit integer."""

MAX_BATCH = 1_000_000
MAX_EPOCHS = 1_000_000
MAX_STEPS = 100_000_000
MAX_SIDE = 10_000
MAX_CHANNELS = 100_000
"""Far above any use: what is larger is a slip, and would be allocated or counted through."""


@dataclass(frozen=True)
class Data:
    """Which images, which of them keep their labels, and how they are augmented."""

    name: str = field(metadata=about("data set, by its registered name, e.g. digits"))
    labels: Optional[int] = field(
        default=None,
        metadata=about(
            "labelled images in all, drawn class-balanced; null keeps the label of every training image",
            at_least=1,
        ),
    )
    split_seed: int = field(
        default=0,
        metadata=about("seed of the labelled and the validation draw", at_least=0, at_most=MAX_SEED),
    )
    validation: int = field(
        default=0,
        metadata=about(
            "images held out of the training set, to be evaluated in place of the test set; 0: none",
            at_least=0,
        ),
    )
    unlabelled_includes_labelled: bool = field(
        default=False, metadata=about("whether the labelled images are in the unlabelled stream too")
    )
    shift: int = field(
        default=0,
        metadata=about(
            "largest random translation in pixels, each way; the border is filled with raw 0",
            at_least=0,
            at_most=MAX_SIDE,
        ),
    )
    mirror: bool = field(default=False, metadata=about("random horizontal mirror"))
    path: Optional[str] = field(
        default=None,
        metadata=about(
            "folder of the data set's files; null: the folder of its name in --data-dir; needed by the data "
            "set folder"
        ),
    )
    size: Optional[int] = field(
        default=None,
        metadata=about(
            "side in pixels of the images of folder (null: as they are; streamed, 224) and imagenet (224)",
            at_least=1,
            at_most=MAX_SIDE,
        ),
    )
    streamed: Optional[bool] = field(
        default=None,
        metadata=about(
            "folder: decode images whenever they are needed, cropped at random, in place of keeping them in "
            "memory; null: imagenet does, nothing else"
        ),
    )
    crop_area: Optional[float] = field(
        default=None,
        metadata=about(
            "streamed images: smallest share of its area that a random crop takes of an image; null: 0.08",
            above=0,
            at_most=1,
        ),
    )
    crop_aspect: Optional[float] = field(
        default=None,
        metadata=about(
            "streamed images: largest ratio of a crop's width to its height, and of its height to its width, "
            "before it is resized; null: 4/3",
            at_least=1,
            at_most=1000,
        ),
    )
    jitter: Optional[float] = field(
        default=None,
        metadata=about(
            "streamed images: largest random change of brightness, contrast and saturation; null: 0.4",
            at_least=0,
            at_most=1,
        ),
    )
    lighting: Optional[float] = field(
        default=None,
        metadata=about(
            "streamed images: standard deviation of the random shift along each principal component of "
            "ImageNet's colours; null: 0.1",
            at_least=0,
            at_most=1000,
        ),
    )
    split_file: Optional[str] = field(
        default=None,
        metadata=about(
            "file of the labelled images, as tools/prepare_data.py --splits writes it; labels and split_seed "
            "must be those in it; null: they are drawn"
        ),
    )
    cutout: int = field(
        default=0,
        metadata=about(
            "Cutout: side in pixels of a square, centred anywhere in the image, that is set to the training "
            "images' mean (to 0 after normalisation); 0: none",
            at_least=0,
            at_most=MAX_SIDE,
        ),
    )


@dataclass(frozen=True)
class Model:
    """The network and the form of its rendering (top-down) pass."""

    name: str = field(
        metadata=about(
            "network, by its registered name, e.g. digits_cnn, or any of a zoo: gluon.resnet18_v1, "
            "gluoncv.cifar_resnet20_v1"
        )
    )
    maxmin: bool = field(
        default=False, metadata=about("Max-Min: a second branch from min-pooling beside the usual one")
    )
    alpha_max: float = field(
        default=0.5, metadata=about("share of the max branch in the Max-Min mixture", at_least=0, at_most=1)
    )
    alpha_min: float = field(
        default=0.5,
        metadata=about("share of the min branch; alpha_max + alpha_min must be 1", at_least=0, at_most=1),
    )
    norm: str = field(
        default="batch",
        metadata=about("normalisation of the inference (bottom-up) pass", choices=("batch", "none")),
    )
    render_norm: str = field(
        default="batch",
        metadata=about("normalisation of the rendering (top-down) pass", choices=("batch", "none")),
    )
    render_norm_branches: str = field(
        default="shared",
        metadata=about(
            "whether the max and the min branch share the rendering norms", choices=("shared", "separate")
        ),
    )
    path_norm: str = field(
        default="layerwise",
        metadata=about(
            "form of rendering path normalisation (RPN): layerwise as released; mode, against the prior's "
            "most probable path; exact, for networks so small that all paths can be enumerated; none leaves "
            "it out",
            choices=("layerwise", "mode", "exact", "none"),
        ),
    )
    released_bias: bool = field(
        default=False,
        metadata=about(
            "the released form: a bias beside the beta of each norm; false: one bias per feature map"
        ),
    )
    slope: float = field(
        default=0.1, metadata=about("slope of the leaky ReLU below zero; 0 is ReLU", at_least=0, below=1)
    )
    dropout: Optional[float] = field(
        default=None, metadata=about("dropout rate; null keeps the network's own", at_least=0, below=1)
    )
    channels: Optional[List[Union[int, str]]] = field(
        default=None,
        metadata=about(
            "layers in place of the network's own: feature maps per convolution, pool for a 2x2 max-pooling, "
            "average_pool for averaging, e.g. [32, 32, pool, 64, 64]",
            choices=("pool", "average_pool"),
            at_least=1,
            at_most=MAX_CHANNELS,
        ),
    )
    render: bool = field(
        default=True,
        metadata=about(
            "whether the network also renders; false leaves everything top-down out: a plain or Max-Min "
            "classifier"
        ),
    )
    gates: str = field(
        default="mirrored",
        metadata=about(
            "what a gate (a sigmoid that multiplies feature maps) is in the min branch: f(-v), or -f(-v) as "
            "released; for networks that are not a list of layers",
            choices=("mirrored", "released"),
        ),
    )
    initialiser: str = field(
        default="released",
        metadata=about(
            "how filters start: Xavier uniform as in the released experiments, or normal as in He et al. "
            "2015 (residual networks, ResNeXt, Shake-Shake)",
            choices=("released", "he"),
        ),
    )
    bias: bool = field(
        default=True,
        metadata=about(
            "biases b(l) of the layers; false fixes them at 0: a flat prior over rendering paths, so that "
            "the layers' latents are independent (DRM)"
        ),
    )
    class_prior: bool = field(
        default=False,
        metadata=about(
            "whether RPN weighs the class too: -log pi_y is added, where log pi_y is the log-softmax of the "
            "classifier's bias"
        ),
    )


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one optimiser, which starts afresh, and one learning-rate schedule."""

    name: str = field(metadata=about("optimiser", choices=("adam", "sgd", "nag")))
    lr: float = field(
        metadata=about("learning rate at the start of the phase, after its warm-up", above=0, at_most=1e38)
    )
    epochs: Optional[int] = field(
        default=None,
        metadata=about(
            "length; null, in the last phase only, lasts until the end", at_least=1, at_most=MAX_EPOCHS
        ),
    )
    momentum: float = field(default=0.0, metadata=about("momentum of sgd and nag", at_least=0, below=1))
    schedule: str = field(
        default="constant",
        metadata=about(
            "how the learning rate changes from epoch to epoch",
            choices=("constant", "exponential", "cosine", "steps"),
        ),
    )
    final_lr: Optional[float] = field(
        default=None,
        metadata=about(
            "rate reached: by cosine at the end of the phase (null: 0), by exponential (required) "
            "decay_epochs after the start of the phase",
            at_least=0,
        ),
    )
    decay_epochs: Optional[float] = field(
        default=None,
        metadata=about("exponential: epochs from lr to final_lr; null is the length of the phase", above=0),
    )
    milestones: List[int] = field(
        default_factory=list,
        metadata=about(
            "steps: epochs, counted over the whole run, at which the rate is multiplied by factor",
            at_least=1,
            at_most=MAX_EPOCHS,
        ),
    )
    factor: float = field(default=0.1, metadata=about("steps: factor at each milestone", above=0))
    warmup_epochs: float = field(
        default=0.0, metadata=about("epochs of linear rise from 0 at the start of the phase", at_least=0)
    )
    restart_epochs: Optional[int] = field(
        default=None,
        metadata=about(
            "cosine: epochs of the first cycle, after which the rate starts again from lr; null: one cycle, "
            "as long as the phase",
            at_least=1,
            at_most=MAX_EPOCHS,
        ),
    )
    restart_factor: float = field(
        default=1.0,
        metadata=about("cosine: length of each cycle over that of the one before", at_least=1),
    )


@dataclass(frozen=True)
class Optimiser:
    """The optimisers, in the order in which they take over, and weight decay."""

    phases: List[Phase] = field(metadata=about("one or more phases, in order"))
    weight_decay: float = field(
        default=5e-4, metadata=about("L2 weight decay, added to the gradient", at_least=0)
    )
    weight_decay_on: str = field(
        default="all",
        metadata=about(
            "whether every parameter decays, as released, or convolution and classifier weights only",
            choices=("all", "weights"),
        ),
    )


@dataclass(frozen=True)
class Train:
    """Length, batches and bookkeeping of the run."""

    epochs: int = field(metadata=about("epochs in all", at_least=1, at_most=MAX_EPOCHS))
    batch_labelled: int = field(
        metadata=about("labelled images per step, over all devices", at_least=1, at_most=MAX_BATCH)
    )
    batch_unlabelled: int = field(
        default=0,
        metadata=about(
            "unlabelled images per step, over all devices; 0 leaves the unlabelled stream out",
            at_least=0,
            at_most=MAX_BATCH,
        ),
    )
    epoch_steps: Optional[int] = field(
        default=None,
        metadata=about(
            "steps per epoch; null is one pass over the longer stream", at_least=1, at_most=MAX_STEPS
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
            "how gradients are summed over devices and machines",
            choices=("device", "local", "nccl", "dist_sync", "dist_device_sync", "dist_async"),
        ),
    )
    seed: int = field(
        default=0,
        metadata=about(
            "seed of initialisation, order, augmentation and dropout", at_least=0, at_most=MAX_SEED
        ),
    )
    dtype: str = field(
        default="float32",
        metadata=about(
            "precision of the convolutions: float16 on a GPU (with a loss scale that adapts), bfloat16 on a "
            "CPU; parameters, norms and losses are float32",
            choices=("float32", "float16", "bfloat16"),
        ),
    )


@dataclass(frozen=True)
class Recipe:
    """One experiment, complete."""

    data: Data = field(metadata=about("images, labels and augmentation"))
    model: Model = field(metadata=about("network and rendering"))
    loss: Loss = field(metadata=about("terms of the objective"))
    teacher: Teacher = field(metadata=about("where the targets of the consistency term come from"))
    optimiser: Optimiser = field(metadata=about("optimisers and learning rates"))
    train: Train = field(metadata=about("length, batches and bookkeeping"))
    name: str = field(
        default="",
        metadata=about("name of the recipe and its runs; left out, it is the file's name without .yaml"),
    )
