"""The sum of all workers' gradients, through MXNet's store (dist_sync, dist_device_sync)."""

from __future__ import annotations

from typing import List

import mxnet as mx
from mxnet.gluon.parameter import Parameter

from gluon_nrm.distributed.workers import Workers


class GradientSum:
    """Replaces the gradients, on every device of every worker, by their sum over all of them.

    ``gluon.Trainer`` does so too, but keeps the weights under the same keys: a first step may then get a
    weight in place of a gradient, and two trainers of one run share their keys. Here a key holds nothing but
    sums, and lives as long as the run.

    Args:
        workers: of the job.
        parameters: those that are trained, in the same order on every worker.
    """

    def __init__(self, workers: Workers, parameters: List[Parameter]) -> None:
        self._store, self._parameters = workers.kvstore, parameters
        for key, parameter in enumerate(parameters):
            self._store.init(key, mx.nd.zeros(parameter.shape))
        mx.nd.waitall()
        workers.barrier()

    def __call__(self) -> None:
        """Begin to sum; who reads a gradient waits for it."""
        for key, parameter in enumerate(self._parameters):
            gradients = parameter.list_grad()
            # what the backward pass finishes last is needed last
            self._store.pushpull(key, gradients, out=gradients, priority=-key)
