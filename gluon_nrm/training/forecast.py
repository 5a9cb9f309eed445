"""Forecast time and memory of a run from a few training steps."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, List, NamedTuple, Optional, Union

from gluon_nrm.errors import DeviceError, MissingData
from gluon_nrm.optimisation.schedules import loss_weights
from gluon_nrm.option_names import either
from gluon_nrm.recipe import Recipe
from gluon_nrm.runs.check_memory import free_memory
from gluon_nrm.system.devices import parse_devices
from gluon_nrm.training.assemble import Parts, assemble
from gluon_nrm.training.optimisers import make_trainer
from gluon_nrm.training.progress import format_duration

#: Steps taken; the first ones build graphs and are not timed.
STEPS, WARM_UP = 20, 3
#: Images of the step that shows how much memory an image takes.
FEW = 16
#: Seconds after which no further step is taken, and the least number of steps.
ENOUGH, LEAST = 90.0, 3


class Cost(NamedTuple):
    """Time and memory of the steps of a recipe."""

    #: median of a step
    seconds: float
    #: steps that were timed
    timed: int
    #: images of a step, over all devices and both streams
    images: int
    #: memory that the steps took above what was held before, in bytes
    memory: float


def forecast(
    recipe: Recipe,
    *,
    devices: Optional[str] = None,
    hybridise: bool = True,
    data_dir: Union[str, Path, None] = None,
) -> str:
    """Take a few training steps, write nothing, and describe the time and memory of the recipe.

    If the files of a known data set are missing, the text says which and how to get them, and the steps use
    random images of the same shape. On a CPU, a step of ``FEW`` images is taken first: if the recipe's batch
    would not fit into memory, the cost is estimated from those few images.

    Args:
        recipe: what would be trained.
        devices: as for ``fit``.
        hybridise: as for ``fit``.
        data_dir: as for ``fit``.

    Raises:
        NRMError: as ``fit``, for the recipe, the data and the devices.
    """
    if recipe.train.kvstore.startswith("dist"):
        raise DeviceError(
            f"train.kvstore: a forecast is of one process, not of {recipe.train.kvstore!r}; "
            f"give {either('--kvstore device', 'the recipe train.kvstore: device')}, and the batch sizes of "
            "one worker"
        )
    contexts, lines = parse_devices(devices), []

    def build(which: Recipe, noise: bool) -> Parts:
        """Assemble a recipe on the devices, with random images if ``noise``."""
        return assemble(which, contexts, hybridise, data_dir=data_dir, noise=noise)

    noise = False
    try:
        parts = build(recipe, False)
    except MissingData as problem:
        lines = [f"data     {problem}", "images   random ones in their place, as many, of the same shape"]
        noise = True
        parts = build(recipe, True)
    if parts.dataset.skipped.number:
        lines.append(f"skipped  {parts.dataset.skipped}")
    few = _few_images(recipe, contexts)
    if few is None:
        cost = _take_steps(parts)
    else:
        small = build(few, noise)
        cost = _take_steps(small, 1)
        whole = cost.memory * _images(recipe) / cost.images
        if whole < free_memory():
            cost = _take_steps(parts)
        else:
            cost = _take_steps(small)
            lines.append(
                f"batch    {cost.images} images a step in place of {_images(recipe)}, which would need about "
                f"{whole / 2**30:.1f} GiB\n"
                f"         ({free_memory() / 2**30:.1f} are free); reckoned from those:"
            )
    each = cost.seconds * _images(recipe) / cost.images
    rate = _images(recipe) / each
    per_epoch = each * parts.streams.steps_per_epoch
    return "\n".join(
        [
            *lines,
            f"step     {1000 * each:.1f} ms (median of {cost.timed}), "
            f"{rate:.{0 if rate > 10 else 2}f} images a second",
            f"epoch    {parts.streams.steps_per_epoch} steps, {format_duration(per_epoch)} "
            "without evaluation",
            f"run      {recipe.train.epochs} epochs, {format_duration(per_epoch * recipe.train.epochs)}",
            f"memory   {peak_memory() / 2**30:.2f} GiB at the most so far, on the host",
        ]
    )


def _images(recipe: Recipe) -> int:
    return recipe.train.batch_labelled + recipe.train.batch_unlabelled


def _few_images(recipe: Recipe, devices: List[Any]) -> Optional[Recipe]:
    """Return the recipe with ``FEW`` images a step; None if it has no more, or if a device is a GPU."""
    share = FEW / _images(recipe)
    if share >= 1 or any(device.device_type != "cpu" for device in devices):
        return None
    labelled, unlabelled = (
        0 if batch == 0 else max(int(batch * share) // len(devices), 1) * len(devices)
        for batch in (recipe.train.batch_labelled, recipe.train.batch_unlabelled)
    )
    return replace(recipe, train=replace(recipe.train, batch_labelled=labelled, batch_unlabelled=unlabelled))


def _take_steps(parts: Parts, steps: int = 0) -> Cost:
    """Take ``steps`` steps (0: ``STEPS``) and time all but the first ones."""
    recipe, before = parts.recipe, (peak_memory(), _held_memory())
    trainer = make_trainer(
        parts.parameters, recipe.optimiser, recipe.optimiser.phases[0], recipe.train.kvstore
    )
    weights = loss_weights(recipe.loss, 0.0)
    seconds: List[float] = []
    begun = ended = time.monotonic()
    for number, step in enumerate(islice(parts.streams.epoch(0), steps or STEPS), 1):
        parts.step(step, weights, trainer, number)
        # this includes the wait for images
        started, ended = ended, time.monotonic()
        seconds.append(ended - started)
        if number >= LEAST and ended - begun > ENOUGH:
            break
    timed = seconds[min(WARM_UP, len(seconds) // 2) :]
    # loading the data may have needed more memory than the steps: then their peak does not show, but the
    # memory that they hold does
    memory = max(peak_memory() - before[0], _held_memory() - before[1])
    return Cost(statistics.median(timed), len(timed), _images(recipe), memory)


def _held_memory() -> int:
    """Resident memory of this process now, in bytes; 0 if the system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
