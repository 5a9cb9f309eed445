"""Updates on the servers at every gradient as it arrives (dist_async)."""

from __future__ import annotations

from typing import List

import mxnet as mx
from mxnet.gluon.parameter import Parameter

from gluon_nrm.distributed.commands import sign
from gluon_nrm.distributed.join_job import own_key
from gluon_nrm.distributed.workers import Workers
from gluon_nrm.errors import DeviceError
from gluon_nrm.optimisation.schedules import Stretch, stretches
from gluon_nrm.optimisation.server_optimiser import describe_optimiser
from gluon_nrm.recipe.schema import Optimiser, Recipe
from gluon_nrm.training.optimisers import optimiser_settings, set_weight_decay


def check_asynchronous(recipe: Recipe) -> None:
    """Check that a recipe can be trained with dist_async, where the servers update.

    Raises:
        DeviceError: it has several optimiser phases, a loss scale (float16) or targets gathered from all
            workers (temporal_ensembling), which need workers that wait for each other.
    """
    if recipe.train.kvstore != "dist_async":
        return
    phases = len(stretches(recipe.optimiser.phases, recipe.train.epochs))
    problem = None
    if phases > 1:
        problem = f"optimiser.phases: {phases} of them, but the servers' optimiser cannot be replaced"
    elif recipe.train.dtype == "float16":
        problem = "train.dtype: float16, but its loss scale has to be the same on all workers at each step"
    elif recipe.teacher.enabled and recipe.teacher.method == "temporal_ensembling":
        problem = "teacher.method: temporal_ensembling, but its targets come from all workers' predictions"
    if problem is not None:
        raise DeviceError(f"{problem} with train.kvstore dist_async;\nuse dist_sync")


class ServerUpdates:
    """Replace ``gluon.Trainer``: send gradients and receive the updated parameters.

    The optimiser and its schedule are sent to the servers once, as signed JSON and not as a pickle. Its state
    stays there and cannot be read back. Gradients are applied in the order of their arrival: no two runs are
    equal, and workers have different parameters until ``pull``.

    Args:
        workers: the workers of the job.
        parameters: the trained parameters, with equal values on all workers.
        optimiser: weight decay.
        stretch: optimiser and schedule.
        epoch_steps: steps of an epoch.
        first: number of steps taken before.
    """

    def __init__(
        self,
        workers: Workers,
        parameters: List[Parameter],
        optimiser: Optimiser,
        stretch: Stretch,
        epoch_steps: int,
        first: int,
    ) -> None:
        self._workers, self._store, self._params = workers, workers.kvstore, parameters
        self.learning_rate = stretch.phase.lr
        set_weight_decay(parameters, optimiser)
        description = describe_optimiser(
            optimiser_settings(optimiser, stretch.phase), [p.wd_mult for p in parameters], stretch,
            epoch_steps=epoch_steps, workers=workers.size, first=first,
        )  # fmt: skip
        if self._store.rank == 0:
            command = {"command": "optimiser", "optimiser": description}
            self._store._send_command_to_servers(0, sign(own_key(), command))
        workers.barrier()
        for key, parameter in enumerate(parameters):
            self._store.init(key, parameter.list_data()[0])
        mx.nd.waitall()
        workers.barrier()

    def set_learning_rate(self, rate: float) -> None:
        """Record the rate; the servers compute it themselves."""
        self.learning_rate = rate

    def step(self, scale: float) -> None:
        """Send the gradients and receive the parameters; ``scale`` is 1, as there is no loss scale."""
        for key, parameter in enumerate(self._params):
            self._store.pushpull(key, parameter.list_grad(), out=parameter.list_data(), priority=-key)

    def pull(self) -> None:
        """Receive the parameters after the updates of all workers, equal on each."""
        mx.nd.waitall()
        self._workers.barrier()
        for key, parameter in enumerate(self._params):
            self._store.pull(key, out=parameter.list_data(), priority=-key)
        mx.nd.waitall()
        self._workers.barrier()
