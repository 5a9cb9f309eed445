"""Learning rates of a phase by the number of updates, for MXNet's servers."""

from __future__ import annotations

from gluon_nrm.optimisation.schedules import Stretch, learning_rate


class Rates:
    """Schedule for MXNet's optimisers, called with the number of updates of a server, from 1.

    The gradient of every worker is an update, with the rate divided by the number of workers, so that one
    update from each worker moves as far as one step with the global batch.

    Args:
        stretch: the phase and its epochs.
        epoch_steps: steps in an epoch.
        workers: number of workers.
        first: steps taken before the first update of the servers.
    """

    def __init__(self, stretch: Stretch, epoch_steps: int, workers: int, first: int) -> None:
        self._stretch, self._epoch_steps = stretch, epoch_steps
        self._workers, self._first = workers, first
        #: set and compared by MXNet's optimisers; unused here
        self.base_lr = stretch.phase.lr

    def __call__(self, updates: int) -> float:
        """Compute the rate of update number ``updates``."""
        step = self._first + (updates - 1) // self._workers
        # a worker ahead of the others may ask beyond the last step
        last = self._stretch.end * self._epoch_steps - 1
        return learning_rate(self._stretch, min(step, last) / self._epoch_steps) / self._workers
