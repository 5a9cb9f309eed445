"""Sum gradients over all workers by MXNet's kvstore (dist_sync, dist_device_sync)."""

from __future__ import annotations

from typing import List

import mxnet as mx
from mxnet.gluon.parameter import Parameter

from gluon_nrm.distributed.workers import Workers


class GradientSum:
    """Replace the gradients on every device of every worker by their sum.

    ``gluon.Trainer`` does so too, but stores the weights under the same keys: the first step may then get a
    weight instead of a gradient, and two trainers of one run share their keys. Here a key holds only sums,
    for the whole run.

    Args:
        workers: the workers of the job.
        parameters: the trained parameters, in the same order on every worker.
        first_key: key of the first one; keys of several sums of a run must differ.
    """

    def __init__(self, workers: Workers, parameters: List[Parameter], first_key: int = 0) -> None:
        self._store, self._parameters, self._first_key = workers.kvstore, parameters, first_key
        for key, parameter in enumerate(parameters, start=first_key):
            self._store.init(key, mx.nd.zeros(parameter.shape))
        mx.nd.waitall()
        workers.barrier()

    def __call__(self) -> None:
        """Start the sums; reading a gradient waits for its sum."""
        for key, parameter in enumerate(self._parameters, start=self._first_key):
            gradients = parameter.list_grad()
            self._store.pushpull(key, gradients, out=gradients, priority=-key)
