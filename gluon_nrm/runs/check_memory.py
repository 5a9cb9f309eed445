"""Checks that what a recipe asks for fits into the memory that is free, before any of it is allocated."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Iterable

from gluon_nrm.data.sets.dataset import Dataset
from gluon_nrm.errors import DataError, ModelError
from gluon_nrm.recipe import Recipe

#: Bytes that a value of an image takes in a batch at the least: as float32, and as it was before.
IMAGE_BYTES = 5
#: Copies of a parameter at the least: itself, its gradient and its momentum.
COPIES = 3


def check_batches(recipe: Recipe, dataset: Dataset, workers: int = 1) -> None:
    """Check that the images of a step, and of an evaluation batch, fit into the free memory.

    Layers take a multiple of it, which only a few real steps show (``--dry-run``).

    Raises:
        DataError: they do not; the message names the key.
    """
    train = recipe.train
    steps = train.epoch_steps or 1
    for key, batch, images, order in (
        ("train.batch_labelled", train.batch_labelled, train.batch_labelled // workers, steps),
        ("train.batch_unlabelled", train.batch_unlabelled, train.batch_unlabelled // workers, steps),
        ("train.eval_batch", train.eval_batch, min(train.eval_batch, dataset.test_images), 0),
    ):
        values = math.prod(dataset.input_shape)
        _check(DataError, key, f"{batch} images of {_shape(dataset)}", images * values * IMAGE_BYTES)
        if train.epoch_steps:
            # positions of all images of an epoch, drawn at its start, twice
            what = f"{train.epoch_steps} steps of {batch} images"
            _check(DataError, "train.epoch_steps", f"the order of {what}", 16 * order * batch)


def check_parameters(parameters: Iterable[Any]) -> None:
    """Check that a network's parameters, with gradients and momentum, fit into the free memory.

    Raises:
        ModelError: they do not.
    """
    shapes = [parameter.shape for parameter in parameters if parameter.shape is not None]
    count = sum(math.prod(max(side, 0) for side in shape) for shape in shapes)
    _check(ModelError, "model", f"the {count} parameters of the network", 4 * COPIES * count)


def free_memory() -> float:
    """Memory that is free on the host, in bytes; without a bound where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return math.inf
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return float(found[0]) * 1024 if found else math.inf


def _check(error: Any, key: str, what: str, needed: int) -> None:
    """Raise ``error`` where more bytes are needed than are free."""
    free = free_memory()
    if needed > free:
        remedy = "give fewer model.channels, or another model.name" if key == "model" else f"lower {key}"
        sizes = f"{needed / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} are free"
        raise error(f"{key}: {what} need at least {sizes}; {remedy}")


def _shape(dataset: Dataset) -> str:
    return "x".join(map(str, dataset.input_shape))
