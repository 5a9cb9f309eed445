"""What a run will cost, from a few steps of it."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from itertools import islice
from pathlib import Path
from typing import List, Optional, Union

from gluon_nrm.errors import MissingData
from gluon_nrm.recipe import Recipe
from gluon_nrm.training.assemble import assemble
from gluon_nrm.training.devices import parse_devices
from gluon_nrm.training.optimisers import make_trainer
from gluon_nrm.training.progress import format_duration
from gluon_nrm.training.schedules import loss_weights

#: Steps taken; the first ones build graphs and are not timed.
STEPS, WARM_UP = 20, 3


def forecast(
    recipe: Recipe,
    *,
    devices: Optional[str] = None,
    hybridise: bool = True,
    data_dir: Union[str, Path, None] = None,
) -> str:
    """Take a few real steps, write nothing, and say how long the recipe takes and how much memory.

    Where the files of a known data set are missing, the text begins by saying which, and how to get them; the
    steps are then taken on as many random images of the same shape.

    Args:
        recipe: what would be trained.
        devices: as for ``fit``.
        hybridise: as for ``fit``.
        data_dir: as for ``fit``.

    Raises:
        NRMError: as ``fit``, for the recipe, the data and the devices.
    """
    contexts, missing = parse_devices(devices), []
    try:
        parts = assemble(recipe, contexts, hybridise, data_dir=data_dir)
    except MissingData as problem:
        missing = [f"data     {problem}", "images   random ones in their place, as many, of the same shape"]
        parts = assemble(recipe, contexts, hybridise, noise=True)
    trainer = make_trainer(
        parts.parameters, recipe.optimiser, recipe.optimiser.phases[0], recipe.train.kvstore
    )
    weights = loss_weights(recipe.loss, 0.0)
    seconds: List[float] = []
    ended = time.monotonic()
    for number, step in enumerate(islice(parts.streams.epoch(0), STEPS), 1):
        parts.step(step, weights, trainer, number)
        # with the wait for its images
        started, ended = ended, time.monotonic()
        seconds.append(ended - started)
    each = statistics.median(seconds[WARM_UP:] or seconds)
    images = recipe.train.batch_labelled + recipe.train.batch_unlabelled
    len_epoch = parts.streams.steps_per_epoch
    per_epoch = each * len_epoch
    return "\n".join(
        [
            *missing,
            f"step     {1000 * each:.1f} ms (median of {len(seconds)}), {images / each:.0f} images a second",
            f"epoch    {len_epoch} steps, {format_duration(per_epoch)} without evaluation",
            f"run      {recipe.train.epochs} epochs, {format_duration(per_epoch * recipe.train.epochs)}",
            f"memory   {peak_memory() / 2**30:.2f} GiB at the most so far, on the host",
        ]
    )


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
