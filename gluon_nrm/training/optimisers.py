"""The optimiser of a phase, and its state as plain arrays (MXNet's own files of it are pickles)."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

import mxnet as mx
import numpy as np
from mxnet.gluon import Trainer
from mxnet.gluon.parameter import Parameter

from gluon_nrm.errors import CheckpointError
from gluon_nrm.losses.objective import Objective
from gluon_nrm.recipe.schema import Optimiser, Phase


def trained_parameters(objective: Objective) -> List[Parameter]:
    """List the parameters that an objective's terms depend on and that learn, in a fixed order.

    Parameters that the objective does not use (rendering norms of a supervised run) are not trained and
    do not decay. Those of a companion are left to its own optimiser.
    """
    reached = set(objective.symbol().list_inputs())
    reached -= {parameter.name for parameter in objective.learned_elsewhere}
    return [p for name, p in objective.collect_params().items() if name in reached and p.grad_req != "null"]


def make_trainer(parameters: List[Parameter], optimiser: Optimiser, phase: Phase, kvstore: str) -> Trainer:
    """Make a fresh trainer for one phase; the loop sets its learning rate at every step.

    With a distributed kvstore it only updates, because ``GradientSum`` sums the gradients before.
    """
    set_weight_decay(parameters, optimiser)
    return Trainer(
        {p.name: p for p in parameters},
        phase.name,
        optimiser_settings(optimiser, phase),
        kvstore=None if kvstore.startswith("dist") else kvstore,
        update_on_kvstore=False,
    )


def set_weight_decay(parameters: List[Parameter], optimiser: Optimiser) -> None:
    """Set the weight decay multiplier of each parameter: 1 if the recipe lets it decay, else 0."""
    everything = optimiser.weight_decay_on == "all"
    for parameter in parameters:
        parameter.wd_mult = 1.0 if everything or parameter.name.endswith("weight") else 0.0


def optimiser_settings(optimiser: Optimiser, phase: Phase) -> Dict[str, Any]:
    """Arguments of MXNet's optimiser at the start of a phase."""
    settings: Dict[str, Any] = {"learning_rate": phase.lr, "wd": optimiser.weight_decay}
    settings.update({"beta1": phase.beta1} if phase.name == "adam" else {"momentum": phase.momentum})
    return settings


def _slots(state: Any) -> List[Any]:
    if state is None:
        return []
    return list(state) if isinstance(state, (list, tuple)) else [state]


def trainer_arrays(trainer: Trainer) -> Dict[str, np.ndarray]:
    """Read the optimiser's state, the same on every device: entries ``PLACE.SLOT``."""
    states = trainer._updaters[0].states
    return {
        f"{index}.{slot}": array.asnumpy()
        for index, state in states.items()
        for slot, array in enumerate(_slots(state))
    }


def load_trainer(trainer: Trainer, arrays: Mapping[str, np.ndarray], updates: int, where: str) -> None:
    """Restore a saved state on every device, and the number of updates, which Adam's bias correction uses.

    Raises:
        CheckpointError: an entry is missing or has another shape.
    """
    optimiser = trainer._optimizer
    for updater, device in zip(trainer._updaters, trainer._contexts):
        for index, parameter in enumerate(trainer._params):
            state = optimiser.create_state_multi_precision(index, parameter.data(device))
            for slot, target in enumerate(_slots(state)):
                found = arrays.get(f"{index}.{slot}")
                if found is None or found.shape != target.shape:
                    raise CheckpointError(
                        f"{where}: optimiser entry {index}.{slot} does not fit {parameter.name}"
                    )
                target[:] = mx.nd.array(found, ctx=device)
            updater.states[index] = state
            updater.states_synced[index] = True
        optimiser._all_index_update_counts[device.device_id] = dict.fromkeys(
            range(len(trainer._params)), updates
        )
    optimiser.num_update = updates
