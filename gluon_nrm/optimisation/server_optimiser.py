"""Optimiser of the servers of dist_async: a worker describes it in JSON, each server makes it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Dict, Mapping, Sequence

import mxnet as mx

from gluon_nrm.optimisation.rates import Rates
from gluon_nrm.optimisation.schedules import Stretch
from gluon_nrm.recipe.schema import Phase


def describe_optimiser(
    settings: Mapping[str, float],
    decays: Sequence[float],
    stretch: Stretch,
    *,
    epoch_steps: int,
    workers: int,
    first: int,
) -> Dict[str, Any]:
    """Describe an optimiser and its schedule by JSON types, which keep every bit of a number.

    Args:
        settings: arguments of MXNet's optimiser.
        decays: weight decay multiplier of every parameter, in their order.
        stretch: the phase and its epochs.
        epoch_steps: steps of an epoch.
        workers: number of workers.
        first: steps taken before.
    """
    return {
        "settings": dict(settings),
        "decays": list(decays),
        "phase": asdict(stretch.phase),
        "epochs": [stretch.start, stretch.end],
        "rates": {"epoch_steps": epoch_steps, "workers": workers, "first": first},
    }


def make_optimiser(description: Mapping[str, Any]) -> Any:
    """Make the optimiser of a description, on a server."""
    stretch = Stretch(Phase(**description["phase"]), *description["epochs"])
    optimiser = mx.optimizer.create(
        stretch.phase.name, **description["settings"], lr_scheduler=Rates(stretch, **description["rates"])
    )
    optimiser.wd_mult = dict(enumerate(description["decays"]))
    return optimiser
