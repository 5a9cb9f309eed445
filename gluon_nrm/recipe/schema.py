"""Keys of a recipe: one frozen dataclass per section, each field with its meaning, default and limits.

A key declared here is loaded, checked, hashed and described in docs/recipes.md. Its default must leave old
recipes unchanged. Never change the default of an existing key: hashes leave defaults out. Checks between keys
are in ``cross_checks.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Optional, Union

from gluon_nrm.recipe.adversarial_schema import Adversarial
from gluon_nrm.recipe.chosen import ReadableRecipe
from gluon_nrm.recipe.fields import about
from gluon_nrm.recipe.loss_schema import Loss, Sampling, Teacher, Vat
from gluon_nrm.recipe.terms import LossWeights
from gluon_nrm.recipe.training_schema import MAX_SEED, Optimiser, Phase, Train

__all__ = [
    "Adversarial",
    "Data",
    "Loss",
    "LossWeights",
    "MAX_SEED",
    "Model",
    "Optimiser",
    "Phase",
    "Recipe",
    "Sampling",
    "Teacher",
    "Train",
    "Vat",
]

MAX_SIDE = 10_000
MAX_CHANNELS = 100_000
"""Limits far above any use; a larger value is a typing error."""


@dataclass(frozen=True)
class Data:
    """Data set, labelled images and augmentation."""

    name: str = field(metadata=about("registered name of the data set, e.g. digits"))
    labels: Optional[int] = field(
        default=None,
        metadata=about(
            "number of labelled images, the same for each class; 0: none, unsupervised learning; null: every "
            "image with a class is labelled",
            at_least=0,
        ),
    )
    split_seed: int = field(
        default=0,
        metadata=about(
            "seed that draws the labelled and the validation images", at_least=0, at_most=MAX_SEED
        ),
    )
    validation: int = field(
        default=0,
        metadata=about(
            "number of training images held out and evaluated instead of the test set; 0: none",
            at_least=0,
        ),
    )
    unlabelled_includes_labelled: bool = field(
        default=False, metadata=about("put the labelled images into the unlabelled stream too")
    )
    shift: int = field(
        default=0,
        metadata=about(
            "largest random translation in pixels, in each direction; the border is filled with raw 0",
            at_least=0,
            at_most=MAX_SIDE,
        ),
    )
    mirror: bool = field(default=False, metadata=about("flip half of the images horizontally"))
    path: Optional[str] = field(
        default=None,
        metadata=about(
            "folder of the data set's files; null: the folder of its name in --data-dir; required for the "
            "data set folder"
        ),
    )
    size: Optional[int] = field(
        default=None,
        metadata=about(
            "side of the images in pixels, for folder (null: their own size, or 224 if streamed) and "
            "imagenet (null: 224)",
            at_least=1,
            at_most=MAX_SIDE,
        ),
    )
    streamed: Optional[bool] = field(
        default=None,
        metadata=about(
            "folder: decode images when they are needed, with random crops, instead of keeping them in "
            "memory; null: true for imagenet, false for all others"
        ),
    )
    crop_area: Optional[float] = field(
        default=None,
        metadata=about(
            "streamed images: smallest area of a random crop, as a share of the image; null: 0.08",
            above=0,
            at_most=1,
        ),
    )
    crop_aspect: Optional[float] = field(
        default=None,
        metadata=about(
            "streamed images: largest ratio of the longer to the shorter side of a random crop before it is "
            "resized; null: 4/3",
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
            "file with the labelled images, written by gluon-nrm data --splits for the same labels "
            "and split_seed; null: they are drawn"
        ),
    )
    cutout: int = field(
        default=0,
        metadata=about(
            "Cutout: side in pixels of a square at a random place of each image that is set to the mean of "
            "the training images (0 after normalisation); 0: none",
            at_least=0,
            at_most=MAX_SIDE,
        ),
    )
    unlabelled: Optional[str] = field(
        default=None,
        metadata=about(
            "folder of images without classes, at any depth, or a .txt file with the path of an image in "
            "each line; null: the folder unlabelled in data.path, if there is one"
        ),
    )


@dataclass(frozen=True)
class Model:
    """The network and its rendering (top-down) pass."""

    name: str = field(
        metadata=about(
            "registered name of the network, e.g. digits_cnn, or a model of a zoo: gluon.resnet18_v1, "
            "gluoncv.cifar_resnet20_v1"
        )
    )
    maxmin: bool = field(default=False, metadata=about("Max-Min: add a second branch with min-pooling"))
    alpha_max: float = field(
        default=0.5, metadata=about("share of the Max branch in the Max-Min mixture", at_least=0, at_most=1)
    )
    alpha_min: float = field(
        default=0.5,
        metadata=about("share of the Min branch; alpha_max + alpha_min must be 1", at_least=0, at_most=1),
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
            "rendering norms of the Max and the Min branch: shared or separate",
            choices=("shared", "separate"),
        ),
    )
    path_norm: str = field(
        default="layerwise",
        metadata=about(
            "form of rendering path normalisation (RPN). layerwise: as released; mode: against the most "
            "probable path of the prior; sampled: against paths drawn from the prior (loss.sampling); exact: "
            "over all paths, for very small networks; none: no RPN",
            choices=("layerwise", "mode", "sampled", "exact", "none"),
        ),
    )
    temperature: float = field(
        default=1.0,
        metadata=about(
            "sigma^2, the variance of the pixel noise; it divides the scores of classes and paths in the "
            "posterior, in the prior, in every form of RPN, and where images are generated",
            above=0,
            at_most=1e6,
        ),
    )
    released_bias: bool = field(
        default=False,
        metadata=about("a bias besides the beta of each norm, as released; false: one bias per feature map"),
    )
    slope: float = field(
        default=0.1, metadata=about("slope of the leaky ReLU below 0; 0: ReLU", at_least=0, below=1)
    )
    dropout: Optional[float] = field(
        default=None, metadata=about("dropout rate; null: the network's own", at_least=0, below=1)
    )
    noise: Optional[float] = field(
        default=None,
        metadata=about(
            "standard deviation of the Gaussian noise that training adds, in units of what it is added to, "
            "for networks that have such noise: ladder_* and gan_*; null: the network's own",
            at_least=0,
            at_most=1000,
        ),
    )
    denoising: Optional[List[float]] = field(
        default=None,
        metadata=about(
            "weight of each layer's denoising cost in a ladder_* network, from the image upwards; null: the "
            "network's own",
            at_least=0,
        ),
    )
    channels: Optional[List[Union[int, str]]] = field(
        default=None,
        metadata=about(
            "layers that replace the network's own: feature maps of a convolution, pool for 2x2 max-pooling, "
            "average_pool for average pooling, e.g. [32, 32, pool, 64, 64]; null: the network's own",
            choices=("pool", "average_pool"),
            at_least=1,
            at_most=MAX_CHANNELS,
        ),
    )
    render: bool = field(
        default=True,
        metadata=about("build the rendering (top-down) pass; false: a plain or Max-Min classifier"),
    )
    gates: str = field(
        default="negated",
        metadata=about(
            "gate (a sigmoid that multiplies feature maps) of the Min branch. negated: f(-v); released: "
            "-f(-v); for networks that are not a list of layers",
            choices=("negated", "released"),
        ),
    )
    initialiser: str = field(
        default="released",
        metadata=about(
            "initial filters. released: Xavier uniform, as in the released experiments; he: normal as in He "
            "et al. 2015 (residual networks, ResNeXt, Shake-Shake)",
            choices=("released", "he"),
        ),
    )
    bias: bool = field(
        default=True,
        metadata=about(
            "learn the biases b(l) of the layers; false: they are 0, so the prior over rendering paths is "
            "flat and the latents of the layers are independent (DRM)"
        ),
    )
    class_prior: bool = field(
        default=False,
        metadata=about("add -log pi_y to RPN, where log pi_y is the log-softmax of the classifier's bias"),
    )
    joint_prior: bool = field(
        default=False,
        metadata=about(
            "one prior over class and path together: RPN is -log pi(y, z), with the classifier's bias as log "
            "pi_y inside the softmax; for path_norm mode and exact. false: the prior of paths given a class"
        ),
    )
    fixed_class_prior: bool = field(
        default=False,
        metadata=about(
            "keep the classifier's bias log pi_y at its first value: 0, the same probability for each class, "
            "or that of model.weights; false: it is learned"
        ),
    )
    weights: Optional[str] = field(
        default=None,
        metadata=about(
            "weights to start from: a .params file of the same network (net.save_parameters), the folder of "
            "a run, or the name of a pretrained network of the package; the classifier is new where the "
            "number of classes differs"
        ),
    )
    pretrained: bool = field(
        default=False,
        metadata=about(
            "start from the weights of the model zoo, for gluon.NAME and gluoncv.NAME; those of this package "
            "are given by model.weights"
        ),
    )


@dataclass(frozen=True, repr=False)
class Recipe(ReadableRecipe):
    """All settings of one experiment."""

    data: Data = field(metadata=about("images, labels and augmentation"))
    model: Model = field(metadata=about("network and rendering"))
    loss: Loss = field(metadata=about("terms of the objective"))
    teacher: Teacher = field(metadata=about("teacher of the consistency term"))
    optimiser: Optimiser = field(metadata=about("optimisers and learning rates"))
    train: Train = field(metadata=about("length of the run, batches, checkpoints and devices"))
    name: str = field(
        default="",
        metadata=about("name of the recipe and its runs; default: the file's name without .yaml"),
    )
    adversarial: Adversarial = field(
        default_factory=Adversarial,
        metadata=about("generator, encoder or discriminator that is trained beside the classifier"),
    )
