"""The learning rates of a phase by the count of updates, for MXNet's servers."""

from __future__ import annotations

from gluon_nrm.optimisation.schedules import Stretch, learning_rate


class Rates:
    """A schedule as MXNet's optimisers ask it: the count of a server's updates, from 1, to a rate.

    Every worker's gradient is an update. The workers share a global batch, and each moves by its part of the
    rate, so that one round of them moves as far as one step of all together.

    Args:
        stretch: the phase and its epochs.
        epoch_steps: steps in an epoch.
        workers: how many there are.
        first: steps taken before the servers' first update.
    """

    def __init__(self, stretch: Stretch, epoch_steps: int, workers: int, first: int) -> None:
        self._stretch, self._epoch_steps = stretch, epoch_steps
        self._workers, self._first = workers, first
        #: MXNet's optimisers set and compare it; it is not looked at here.
        self.base_lr = stretch.phase.lr

    def __call__(self, updates: int) -> float:
        """Rate of update number ``updates``."""
        step = self._first + (updates - 1) // self._workers
        # a worker that is ahead of the others may ask beyond the last step
        last = self._stretch.end * self._epoch_steps - 1
        return learning_rate(self._stretch, min(step, last) / self._epoch_steps) / self._workers
