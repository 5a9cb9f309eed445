"""Time and memory of training steps, measured with growing batches until the order of magnitude is clear."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional

from gluon_nrm.console.progress_bar import ProgressBar
from gluon_nrm.errors import NonFiniteLoss
from gluon_nrm.optimisation.schedules import loss_weights
from gluon_nrm.recipe import Recipe
from gluon_nrm.runs.check_memory import free_memory
from gluon_nrm.training.assemble import Parts, make_streams
from gluon_nrm.training.optimisers import make_trainer

#: Seconds from the start of the forecast after which no step is begun that is not expected to end soon.
BUDGET = 20.0
#: Images of the first steps on a CPU, and the factor from one batch to the next.
FIRST, FACTOR = 2, 4
#: Steps of a smaller batch, and seconds after which two are enough; the first one builds graphs.
AT_FEW, FEW_ENOUGH = 3, 2.0
#: Steps of the recipe's batch; the first ones build graphs and are not timed.
STEPS, WARM_UP = 20, 3
#: Seconds after which no further step of the recipe's batch is taken, and the least number of steps.
ENOUGH, LEAST = 8.0, 3
#: Two estimates of a step that differ by no more than this factor agree.
AGREE = 1.25


class Watch:
    """Time since the start of a forecast, shown as a bar.

    Args:
        bar: of ``BUDGET`` seconds.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, bar: ProgressBar, clock: Callable[[], float] = time.monotonic) -> None:
        self._bar, self._clock = bar, clock
        self._start, self._text = clock(), bar.description

    @property
    def left(self) -> float:
        """Seconds left of ``BUDGET``."""
        return BUDGET - (self._clock() - self._start)

    def show(self, text: Optional[str] = None) -> None:
        """Show the time, and a new text."""
        self._text = text or self._text
        self._bar.show(min(int(self._clock() - self._start), self._bar.total), self._text)


class StepCost(NamedTuple):
    """Time and memory of the steps of one batch size."""

    #: images of a step, over all devices and both streams
    images: int
    #: median of a step
    seconds: float
    #: steps that were timed
    timed: int
    #: memory that the steps took above what was held before, in bytes
    memory: float


@dataclass
class Costs:
    """Costs of growing batches."""

    measured: List[StepCost] = field(default_factory=list)
    #: no larger batch was tried because of the free memory
    memory_is_short: bool = False
    #: chains of paths in every step, whatever the batch; each is rendered as an image is
    chains: int = 0

    def seconds(self, images: int) -> float:
        """Estimate the seconds of a step: those measured, or on a line through the two largest batches."""
        last = self.measured[-1]
        proportional = last.seconds * self._times(images)
        if len(self.measured) < 2 or images <= last.images:
            return proportional
        slope = self._slope("seconds")
        return min(max(last.seconds + slope * (images - last.images), last.seconds), proportional)

    def memory(self, images: int) -> float:
        """Estimate the bytes of a step in the same way."""
        last = self.measured[-1]
        if len(self.measured) < 2:
            return last.memory * self._times(images)
        return last.memory + max(self._slope("memory"), 0.0) * (images - last.images)

    def agree(self, images: int) -> bool:
        """Return True if the newest batch gives about the same estimate as the batches before it."""
        if len(self.measured) < 2:
            return False
        before = Costs(self.measured[:-1], chains=self.chains).seconds(images)
        return max(before, self.seconds(images)) <= AGREE * min(before, self.seconds(images))

    def _times(self, images: int) -> float:
        """Ratio of a step's work to that of the newest batch, if an image takes as much as a chain."""
        return (images + self.chains) / (self.measured[-1].images + self.chains)

    def _slope(self, name: str) -> float:
        first, last = self.measured[-2:]
        return (getattr(last, name) - getattr(first, name)) / (last.images - first.images)


def measure_steps(parts: Parts, watch: Watch) -> Costs:
    """Take steps of growing batches, up to the recipe's own batch if time and memory allow it.

    The learning rate is 0: the parameters stay as they were.
    """
    whole = batch_images(parts.recipe)
    costs, before = Costs(chains=chains_of(parts)), (peak_memory(), _held_memory())
    for batch in _growing(parts):
        images = batch_images(batch)
        if costs.measured:
            if costs.memory(images) > free_memory():
                costs.memory_is_short = True
                break
            full = images == whole
            needed = (LEAST if full else 2) * costs.seconds(images)
            if images < whole and LEAST * costs.seconds(whole) < min(watch.left, ENOUGH):
                continue  # the whole batch is cheap enough
            if needed > watch.left or (costs.agree(whole) and not full):
                break
            if full and costs.agree(whole) and needed > ENOUGH:
                break
        watch.show(f"dry run: {images} of {whole} images a step")
        timed = _time_steps(replace_batch(parts, batch), images == whole, watch)
        # loading the data may have needed more memory than the steps: then their peak does not show, but the
        # memory that they hold does
        memory = max(peak_memory() - before[0], _held_memory() - before[1])
        costs.measured.append(StepCost(images, statistics.median(timed), len(timed), memory))
    return costs


def replace_batch(parts: Parts, recipe: Recipe) -> Parts:
    """Return the parts with streams of another batch; the network is the same."""
    streams = make_streams(recipe, parts.dataset, parts.split, parts.workers)
    return replace(parts, recipe=recipe, streams=streams)


def batch_images(recipe: Recipe) -> int:
    """Number of images of a step, of both streams."""
    return recipe.train.batch_labelled + recipe.train.batch_unlabelled


def chains_of(parts: Parts) -> int:
    """Number of chains of paths in a step, for all classes; 0 unless path normalisation is sampled."""
    recipe = parts.recipe
    if recipe.model.path_norm != "sampled" or recipe.loss.weights.path_norm == 0:
        return 0
    return parts.net.classes * recipe.loss.sampling.chains


def _growing(parts: Parts) -> List[Recipe]:
    """List the recipe with growing batches, its own last; on a GPU only its own."""
    recipe, devices = parts.recipe, len(parts.devices)
    found: List[Recipe] = []
    if all(device.device_type == "cpu" for device in parts.devices):
        images = FIRST
        while images < batch_images(recipe):
            share = images / batch_images(recipe)
            labelled, unlabelled = (
                0 if batch == 0 else max(int(batch * share) // devices, 1) * devices
                for batch in (recipe.train.batch_labelled, recipe.train.batch_unlabelled)
            )
            train = replace(recipe.train, batch_labelled=labelled, batch_unlabelled=unlabelled)
            found.append(replace(recipe, train=train))
            images *= FACTOR
    largest = batch_images(recipe)
    return [*(each for each in found if batch_images(each) < largest), recipe]


def _time_steps(parts: Parts, full: bool, watch: Watch) -> List[float]:
    """Take steps and return the seconds of all but the first ones."""
    recipe = parts.recipe
    trainer = make_trainer(
        parts.parameters, recipe.optimiser, recipe.optimiser.phases[0], recipe.train.kvstore
    )
    trainer.set_learning_rate(0.0)
    weights = loss_weights(recipe.loss, 0.0)
    least, enough = (LEAST, ENOUGH) if full else (2, FEW_ENOUGH)
    seconds: List[float] = []
    begun = ended = time.monotonic()
    for number, step in enumerate(islice(parts.streams.epoch(0), STEPS if full else AT_FEW), 1):
        with suppress(NonFiniteLoss):  # so few images may have no variance; a step takes as long
            parts.step(step, weights, trainer, number)
        # this includes the wait for images
        started, ended = ended, time.monotonic()
        seconds.append(ended - started)
        watch.show()
        late = watch.left < seconds[-1]
        if (late and not full) or (number >= least and (late or ended - begun > enough)):
            break
    return seconds[min(WARM_UP, len(seconds) // 2) :]


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
