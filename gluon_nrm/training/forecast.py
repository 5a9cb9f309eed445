"""Forecast time and memory of a run from a few training steps, within half a minute."""

from __future__ import annotations

import math
from pathlib import Path
from typing import List, Optional, TextIO, Union

from gluon_nrm.console.progress_bar import ProgressBar
from gluon_nrm.errors import DeviceError, MissingData
from gluon_nrm.option_names import either
from gluon_nrm.recipe import Recipe
from gluon_nrm.recipe.terms import RENDERING
from gluon_nrm.runs.check_memory import free_memory
from gluon_nrm.system.devices import parse_devices
from gluon_nrm.training.assemble import Parts, assemble
from gluon_nrm.training.progress import format_duration
from gluon_nrm.training.step_cost import BUDGET, Costs, Watch, batch_images, measure_steps, peak_memory

#: Forecasts above this many seconds come with advice.
LONG = 86400.0
BAR = "{desc} |{bar}| {elapsed}"


def forecast(
    recipe: Recipe,
    *,
    devices: Optional[str] = None,
    hybridise: bool = True,
    data_dir: Union[str, Path, None] = None,
    stream: Optional[TextIO] = None,
) -> str:
    """Take a few training steps, write nothing, and describe the time and memory of the recipe.

    If the files of a known data set are missing, the text says which and how to get them, and the steps use
    random images of the same shape. On a CPU, the steps begin with few images. Steps of the recipe's own
    batch are taken if they fit into the time and the free memory; otherwise their cost is estimated.

    Args:
        recipe: what would be trained.
        devices: as for ``fit``.
        hybridise: as for ``fit``.
        data_dir: as for ``fit``.
        stream: where a progress bar is shown; None: standard error.

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
    with ProgressBar(
        math.ceil(BUDGET), "dry run", stream=stream, bar_format=BAR, line="{desc}, {elapsed}"
    ) as bar:
        watch = Watch(bar)
        watch.show("dry run: loading the data")
        try:
            parts = assemble(recipe, contexts, hybridise, data_dir=data_dir)
        except MissingData as problem:
            lines = [f"data     {problem}", "images   random ones in their place, as many, of the same shape"]
            parts = assemble(recipe, contexts, hybridise, noise=True)
        if parts.dataset.skipped.number:
            lines.append(f"skipped  {parts.dataset.skipped}")
        lines += parts.warnings
        costs = measure_steps(parts, watch)
    return "\n".join([*lines, *_describe(parts, costs)])


def _describe(parts: Parts, costs: Costs) -> List[str]:
    """Describe the cost of a step, an epoch and the run."""
    recipe, steps = parts.recipe, parts.streams.steps_per_epoch
    whole, last = batch_images(recipe), costs.measured[-1]
    each = costs.seconds(whole)
    per_epoch = each * steps
    total = per_epoch * recipe.train.epochs
    rate = whole / each
    lines = []
    if last.images < whole:
        lines.append(f"batch    {last.images} images a step in place of {whole}{_reason(costs, whole)}")
    return [
        *lines,
        f"step     {1000 * each:.1f} ms ({'estimated, ' if lines else ''}median of {last.timed}), "
        f"{rate:.{0 if rate > 10 else 2}f} images a second",
        f"epoch    {steps} steps, {format_duration(per_epoch)} without evaluation",
        f"run      {recipe.train.epochs} epochs, {format_duration(total)}",
        f"memory   {peak_memory() / 2**30:.2f} GiB at the most so far, on the host",
        *(_advice(parts, per_epoch) if total > LONG else []),
    ]


def _reason(costs: Costs, whole: int) -> str:
    """Say why no step of the whole batch was taken."""
    if not costs.memory_is_short:
        return ", which would take longer; estimated from those"
    needed, free = costs.memory(whole) / 2**30, free_memory() / 2**30
    return f", which would need about {needed:.1f} GiB\n         ({free:.1f} are free); estimated from those"


def _advice(parts: Parts, per_epoch: float) -> List[str]:
    """Say what makes a run of more than a day shorter."""
    recipe = parts.recipe
    ways = []
    if all(device.device_type == "cpu" for device in parts.devices):
        ways.append("a GPU (--devices gpu(0))")
    epochs = int(LONG / per_epoch)
    if epochs:
        ways.append(f"fewer epochs (--set train.epochs={epochs} takes a day)")
    if recipe.data.name != "digits":
        ways.append(f"a smaller recipe of this method ({small_recipe(recipe)}, 8x8 digits)")
    return ["advice   more than a day; shorter are", *(f"         - {way}" for way in ways)] if ways else []


def small_recipe(recipe: Recipe) -> str:
    """Name the recipe on the 8x8 digits that is closest in its method."""
    weights, teacher = recipe.loss.weights, recipe.teacher
    renders = recipe.model.render and weights.reconstruction > 0
    if recipe.adversarial.method != "none":
        beside = recipe.adversarial.method
        return "digits_nrm_rpn_adversarial" if beside == RENDERING else f"digits_{beside}"
    if teacher.enabled and teacher.method != "mean_teacher":
        return "digits_pi" if teacher.method == "pi" else "digits_temporal"
    if teacher.enabled:
        rendering = "digits_maxmin_mt" if recipe.model.maxmin else "digits_nrm_rpn_mt"
        return rendering if renders else "digits_mt"
    if weights.virtual_adversarial > 0:
        return "digits_nrm_vat" if renders else "digits_vat"
    if renders:
        rpn = "_rpn" if weights.path_norm > 0 else ""
        if rpn and not recipe.model.maxmin and recipe.model.path_norm == "sampled":
            return "digits_nrm_rpn_sampled"
        return f"digits_nrm{rpn}_maxmin" if rpn and recipe.model.maxmin else f"digits_nrm{rpn}"
    return "digits_shake_resnext_cutout_maxmin" if recipe.model.maxmin else "digits_supervised"
