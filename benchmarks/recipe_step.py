"""The training step of a shipped recipe, with its own batches, ready to be timed."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Any, Callable, NamedTuple

import mxnet as mx

from benchmarks.harness import ROOT
from gluon_nrm.optimisation.schedules import loss_weights
from gluon_nrm.recipe import load_recipe
from gluon_nrm.training.assemble import assemble
from gluon_nrm.training.optimisers import make_trainer

#: Batches that the steps take from, and an epoch past all ramp-ups.
BATCHES, EPOCH = 4, 30.0


class RecipeStep(NamedTuple):
    """A training step, and the number of images in it."""

    #: takes one step
    run: Callable[[], Any]
    #: of both streams
    images: int


def recipe_step(name: str) -> RecipeStep:
    """Build the training step of the recipe ``name``, past its ramp-ups, on the CPU."""
    recipe = load_recipe(ROOT / "recipes" / f"{name}.yaml")
    parts = assemble(recipe, [mx.cpu(0)])
    trainer = make_trainer(parts.parameters, recipe.optimiser, recipe.optimiser.phases[0], "device")
    weights, batches = loss_weights(recipe.loss, EPOCH), cycle(islice(parts.streams.epoch(0), BATCHES))
    numbers = iter(range(1, 10**9))
    images = recipe.train.batch_labelled + recipe.train.batch_unlabelled
    return RecipeStep(lambda: parts.step(next(batches), weights, trainer, next(numbers)), images)
