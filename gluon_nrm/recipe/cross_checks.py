"""Checks between the keys of a recipe; ``describe.py`` lists them for docs/recipes.md."""

from __future__ import annotations

import math
from typing import Any, Callable, Sequence, Tuple

from gluon_nrm.recipe.adversarial_checks import adversarial_problems
from gluon_nrm.recipe.problems import Problem, Problems, shorten
from gluon_nrm.recipe.schema import Data, LossWeights, Model, Phase, Recipe, Teacher
from gluon_nrm.recipe.terms import TERMS
from gluon_nrm.storage.files import fits_in_name


def name_problems(recipe: Recipe) -> Problems:
    """The recipe's name must fit in a folder name; data set and network need a name."""
    fits = all(fits_in_name(char) and char != "+" for char in recipe.name)
    if not fits or not recipe.name or recipe.name[0] in "-.":
        found = shorten(repr(recipe.name), 40)
        yield Problem(
            "name",
            f"must be of letters, digits, '_', '-' and '.', and not start with '-' or '.'; found {found}",
        )
    for key, name in (("data.name", recipe.data.name), ("model.name", recipe.model.name)):
        if not name.strip():
            yield Problem(key, "is empty; give a registered name")


#: Data sets without unlabelled images of their own; of others only their files tell.
FULLY_LABELLED = ("cifar10", "cifar100", "digits", "fashion_mnist", "imagenet", "mnist", "mnist5k", "svhn")


def data_problems(recipe: Recipe) -> Problems:
    """Both streams need images; a split file excludes a validation draw."""
    data: Data = recipe.data
    if data.unlabelled is not None and not data.unlabelled.strip():
        yield Problem("data.unlabelled", "is empty; give a folder of images, or null")
    if data.split_file is not None and data.labels is None:
        yield Problem("data.split_file", "needs data.labels, the number of labelled images in the file")
    if data.split_file is not None and data.validation > 0:
        yield Problem(
            "data.validation", f"{data.validation}, but data.split_file holds no validation part; set it to 0"
        )
    labelled = data.labels is None and data.name in FULLY_LABELLED and data.unlabelled is None
    if labelled and recipe.train.batch_unlabelled > 0 and not data.unlabelled_includes_labelled:
        yield Problem(
            "train.batch_unlabelled",
            f"{recipe.train.batch_unlabelled}, but data.labels null leaves no image unlabelled; give "
            "data.unlabelled, set it to 0, or data.unlabelled_includes_labelled to true",
        )


def unsupervised_problems(recipe: Recipe) -> Problems:
    """Without labels there is no labelled stream, and no term that needs labels; with labels there is one."""
    data, train, weights = recipe.data, recipe.train, recipe.loss.weights
    if data.labels != 0:
        if train.batch_labelled == 0:
            yield Problem(
                "train.batch_labelled", "0 is for data.labels 0 (unsupervised learning); give at least 1"
            )
        return
    if weights.cross_entropy > 0:
        yield Problem(
            "loss.weights.cross_entropy",
            f"{weights.cross_entropy:g} needs labels, but data.labels is 0; set it to 0",
        )
    if train.batch_labelled > 0:
        yield Problem("train.batch_labelled", f"{train.batch_labelled}, but data.labels is 0; set it to 0")
    if train.batch_unlabelled == 0:
        yield Problem(
            "train.batch_unlabelled", "0, but with data.labels 0 it is the only stream; give at least 1"
        )
    if data.split_file is not None:
        yield Problem("data.split_file", "lists labelled images, but data.labels is 0; remove it")


def model_problems(model: Model) -> Problems:
    """The shares add up to 1, path normalisation fits the other switches, a network has a convolution.

    ``NRMOptions`` checks the options of a network with this function too.
    """
    if abs(model.alpha_max + model.alpha_min - 1) > 1e-6:
        found = f"{model.alpha_max} + {model.alpha_min}"
        yield Problem("model.alpha_max", f"alpha_max + alpha_min must be 1, found {found}; set both")
    yield from prior_problems(model)
    if model.denoising is not None and model.name and not model.name.startswith("ladder_"):
        what = f"is for ladder_* networks, not for {shorten(model.name, 40)}; remove it"
        yield Problem("model.denoising", what)
    if not model.bias and model.path_norm != "none":
        yield Problem(
            "model.path_norm",
            f"'{model.path_norm}', but model.bias false makes the prior of all paths equal; set it to none",
        )
    if not model.bias and model.released_bias:
        yield Problem("model.released_bias", "true, but model.bias is false; set one of them the other way")
    if len(model.channels or []) > MOST_LAYERS:
        yield Problem("model.channels", f"{len(model.channels or [])} layers; give at most {MOST_LAYERS}")
    if model.channels is not None and not any(isinstance(entry, int) for entry in model.channels):
        yield Problem(
            "model.channels",
            f"needs at least one convolution (a number of feature maps), found {_found(model.channels)}",
        )


def prior_problems(model: Model) -> Problems:
    """The form of path normalisation, sigma^2 and the class prior fit each other and the rendering pass."""
    if model.path_norm in ("mode", "exact") and model.render_norm != "none":
        what = f"'{model.path_norm}' compares exact prior weights of paths, which rendering norms change"
        remedy = f"set model.render_norm to none (found '{model.render_norm}')"
        yield Problem("model.path_norm", f"{what}; {remedy}")
    if model.path_norm == "sampled" and model.render_norm != "none":
        yield Problem(
            "model.path_norm",
            "'sampled' draws from the prior; with rendering norms it would draw from a surrogate (the "
            "softmax of eta of the normalised renderings), not from the classifier's prior; set "
            f"model.render_norm to none (found '{model.render_norm}')",
        )
    if model.temperature != 1 and not model.render:
        yield Problem(
            "model.temperature",
            f"{model.temperature:g} is the noise variance of a model that renders, but model.render is "
            "false; leave it at 1",
        )
    if model.class_prior and model.path_norm == "none":
        yield Problem("model.class_prior", "true, but model.path_norm is none; change one of them")
    if model.joint_prior and model.path_norm not in ("mode", "exact"):
        yield Problem(
            "model.joint_prior",
            f"true needs a form of RPN that compares priors, but model.path_norm is '{model.path_norm}'; "
            "set that to mode or exact, or this to false",
        )
    if model.joint_prior and model.class_prior:
        yield Problem(
            "model.class_prior", "true, but model.joint_prior has the class prior in it; set one to false"
        )


def start_problems(model: Model) -> Problems:
    """A network starts from one set of weights; only a zoo has pretrained ones."""
    if model.pretrained and model.weights is not None:
        yield Problem("model.pretrained", "true, but model.weights names a file; leave one of them out")
    if model.pretrained and not model.name.startswith(("gluon.", "gluoncv.")):
        yield Problem(
            "model.pretrained",
            f"true, but {shorten(model.name, 40)} is no network of a zoo; give a file or a "
            "pretrained network by model.weights, or a name such as gluon.resnet18_v1",
        )


def loss_problems(recipe: Recipe) -> Problems:
    """A loss term needs the switches it depends on; a teacher needs the consistency term."""
    weights: LossWeights = recipe.loss.weights
    if not any(vars(weights).values()):
        yield Problem("loss.weights", "all are 0, so nothing would be learned; set at least cross_entropy")
    for name, term in TERMS.items():
        if term.renders and getattr(weights, name) > 0 and not recipe.model.render:
            what = f"{getattr(weights, name)} needs model.render true; set that, or this weight to 0"
            yield Problem(f"loss.weights.{name}", what)
    name = recipe.model.name
    if weights.denoising > 0 and not name.startswith("ladder_"):
        what = f"{weights.denoising:g}, but {shorten(name, 40)} has no decoder; set it to 0, or model.name to"
        yield Problem("loss.weights.denoising", f"{what} a ladder_* network")
    if weights.path_norm > 0 and recipe.model.path_norm == "none":
        what = (
            f"{weights.path_norm} while model.path_norm is none; set that to layerwise, or this weight to 0"
        )
        yield Problem("loss.weights.path_norm", what)
    if weights.consistency > 0 and not recipe.teacher.enabled:
        what = f"{weights.consistency} needs a teacher; set teacher.enabled to true, or this weight to 0"
        yield Problem("loss.weights.consistency", what)
    if recipe.teacher.enabled and weights.consistency == 0:
        yield Problem(
            "teacher.enabled", "true, but loss.weights.consistency is 0; set a weight or enabled to false"
        )


def teacher_problems(recipe: Recipe) -> Problems:
    """The targets must differ from the predictions; keys of another method must not be set.

    ``dropout: null`` is accepted here. The network that is built may have dropout; it is checked again then.
    """
    teacher: Teacher = recipe.teacher
    if not teacher.enabled or teacher.method == "mean_teacher":
        return
    if teacher.late_decay is not None:
        yield Problem("teacher.late_decay", f"is for mean_teacher, not for {teacher.method}; remove it")
    if teacher.method == "temporal_ensembling" and teacher.augmentation == "independent":
        yield Problem(
            "teacher.augmentation",
            "'independent', but the targets of temporal_ensembling come from the network's own passes over "
            "earlier draws; leave it out",
        )
    if recipe.model.dropout == 0 and not targets_vary(recipe):
        yield Problem("teacher.method", f"'{teacher.method}' {WANTS_NOISE}")


#: Requirement of the Pi model and Temporal Ensembling.
WANTS_NOISE = (
    "needs two passes over an image to differ: set a dropout above 0, or augment the images (for pi with "
    "teacher.augmentation independent)"
)


def targets_vary(recipe: Recipe) -> bool:
    """Return True if augmentation alone makes the target of an image differ from its prediction."""
    data: Data = recipe.data
    streamed = data.name == "imagenet" if data.streamed is None else data.streamed
    augmented = bool(data.shift or data.mirror or data.cutout or streamed)
    return augmented and (recipe.teacher.method != "pi" or recipe.teacher.augmentation == "independent")


def phase_list_problems(recipe: Recipe) -> Problems:
    """The phases cover the run; only the last may have no length."""
    phases = recipe.optimiser.phases
    if not phases:
        yield Problem("optimiser.phases", "is empty; give at least one phase with name and lr")
        return
    for i, phase in enumerate(phases[:-1]):
        if phase.epochs is None:
            yield Problem(
                f"optimiser.phases.{i}.epochs",
                "is null, but only the last phase may leave it out; give the number of epochs",
            )
    total = sum(phase.epochs or 0 for phase in phases)
    if phases[-1].epochs is not None and total < recipe.train.epochs:
        found = f"the phases end after {total} of {recipe.train.epochs} epochs"
        what = f"{found}; leave epochs out of the last phase"
        yield Problem(f"optimiser.phases.{len(phases) - 1}.epochs", what)


PHASE_RULES: Sequence[Tuple[Callable[[Phase], bool], str, str]] = (
    (
        lambda p: p.name == "adam" and p.momentum > 0,
        "momentum",
        "is for sgd and nag; remove it or change name",
    ),
    (lambda p: p.name != "adam" and p.beta1 != 0.9, "beta1", "is for adam; remove it or change name"),
    (
        lambda p: p.schedule == "exponential" and not p.final_lr,
        "final_lr",
        "the exponential schedule needs a final_lr above 0",
    ),
    (
        lambda p: p.schedule not in ("exponential", "cosine") and p.final_lr is not None,
        "final_lr",
        "is for the schedules exponential and cosine; remove it or change schedule",
    ),
    (
        lambda p: p.schedule != "exponential" and p.decay_epochs is not None,
        "decay_epochs",
        "is for the exponential schedule; remove it or change schedule",
    ),
    (
        lambda p: p.schedule == "steps" and not p.milestones,
        "milestones",
        "the steps schedule needs milestones, e.g. [30, 60]",
    ),
    (
        lambda p: p.schedule != "steps" and bool(p.milestones),
        "milestones",
        "is for the steps schedule; remove it or change schedule",
    ),
    (
        lambda p: any(b <= a for a, b in zip(p.milestones, p.milestones[1:])),
        "milestones",
        "must be in ascending order, without repetition",
    ),
    (
        lambda p: p.schedule != "cosine" and p.restart_epochs is not None,
        "restart_epochs",
        "is for the cosine schedule; remove it or change schedule",
    ),
    (
        lambda p: p.restart_epochs is None and p.restart_factor != 1,
        "restart_factor",
        "needs restart_epochs, the length of the first cycle; give it or remove this",
    ),
    (
        lambda p: p.epochs is not None and p.warmup_epochs > p.epochs,
        "warmup_epochs",
        "is longer than the phase; lower it or give the phase more epochs",
    ),
)
"""Checks of a phase: a test that is True if the phase is wrong, the key at fault, the message."""


MOST_LAYERS = 1000
"""Largest number of entries of ``model.channels``."""


def growth_problems(recipe: Recipe) -> Problems:
    """A growing learning rate must stay finite until the end of its phase."""
    for i, phase in enumerate(recipe.optimiser.phases):
        epochs = min(phase.epochs or recipe.train.epochs, recipe.train.epochs)
        power, key = math.log10(phase.lr), "factor"
        if phase.schedule == "steps":
            power += math.log10(phase.factor) * len(phase.milestones)
        elif phase.schedule == "exponential" and phase.final_lr:
            times, key = epochs / (phase.decay_epochs or epochs), "decay_epochs"
            power += (math.log10(phase.final_lr) - math.log10(phase.lr)) * times
        if power > 38:
            what = f"the rate would grow to 1e{power:.0f} by the end of the phase"
            remedy = "give at most 1" if key == "factor" else "give more epochs, or a final_lr below lr"
            yield Problem(f"optimiser.phases.{i}.{key}", f"{what}; {remedy}")


def phase_problems(recipe: Recipe) -> Problems:
    """Keys of a phase must fit its optimiser and schedule."""
    for i, phase in enumerate(recipe.optimiser.phases):
        for broken, name, what in PHASE_RULES:
            if broken(phase):
                yield Problem(
                    f"optimiser.phases.{i}.{name}", f"{what} (found {_found(getattr(phase, name))})"
                )


def _found(value: Any) -> str:
    """Format a value as YAML writes it."""
    return "null" if value is None else shorten(str(value), 40)


RULES: Sequence[Callable[[Recipe], Problems]] = (
    name_problems,
    data_problems,
    unsupervised_problems,
    lambda recipe: model_problems(recipe.model),
    lambda recipe: start_problems(recipe.model),
    loss_problems,
    teacher_problems,
    adversarial_problems,
    phase_list_problems,
    phase_problems,
    growth_problems,
)
"""Checks between keys, in the order in which they run."""
