"""The keys of a recipe that may change while a run goes on; all others would make it another run.

- ``train.epochs``: not below the epochs that are done. Where a learning rate follows the length of the run
  (cosine without ``restart_epochs``, exponential without ``decay_epochs``), the epochs done would have had
  other rates in a run of the new length: this must be accepted (``--accept train.epochs``).
- ``train.eval_batch``, ``train.checkpoint_every_epochs``: no number depends on them.
- ``train.kvstore``: all but ``dist_async`` sum the same gradients.
- ``data.path``: the images must be the same.
"""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, Sequence

from gluon_nrm.errors import RunError
from gluon_nrm.recipe.schema import Recipe
from gluon_nrm.optimisation.schedules import learning_rate, stretches

EPOCHS, PATH, KVSTORE = "train.epochs", "data.path", "train.kvstore"
CHANGEABLE = (EPOCHS, "train.eval_batch", "train.checkpoint_every_epochs", KVSTORE, PATH)
#: Of each epoch so many rates are compared.
_RATES = 64


class Change(NamedTuple):
    """One key that differs between two recipes; ``missing`` where a recipe does not have it."""

    key: str
    old: Any
    new: Any


def refused(changes: Sequence[Change], epochs_done: int) -> Optional[Change]:
    """The first change that would make a run another one; None if all may be made.

    Args:
        changes: from the recipe of the run to another one.
        epochs_done: epochs that the run has completed.
    """
    return next((change for change in changes if not _allowed(change, epochs_done)), None)


def check_rates(old: Recipe, new: Recipe, epochs_done: int, accepted: Sequence[str]) -> None:
    """Check that a run of another length has had the rates so far that it is to have.

    Args:
        old: the recipe that the run has followed.
        new: the recipe to go on with.
        epochs_done: epochs completed; those of an epoch under way are compared too.
        accepted: keys whose changes the user accepts.

    Raises:
        RunError: a rate would have been another one, and ``train.epochs`` is not accepted.
    """
    if old.train.epochs == new.train.epochs or EPOCHS in accepted:
        return
    last = min(epochs_done + 1, old.train.epochs, new.train.epochs)
    for epoch in (step / _RATES for step in range(last * _RATES)):
        before, after = (_rate(recipe, epoch) for recipe in (old, new))
        if before != after:
            raise RunError(
                f"{EPOCHS}: {old.train.epochs} in the run, {new.train.epochs} here, and the learning rate "
                f"follows the length of the run: at epoch {epoch:g} it was {before:.3g} and would have been "
                f"{after:.3g};\ngive --accept {EPOCHS} to go on with the rates of the new length, or --fresh "
                "to train from the beginning"
            )


def _allowed(change: Change, epochs_done: int) -> bool:
    if change.key not in CHANGEABLE or "missing" in (change.old, change.new):
        return False
    if change.key == EPOCHS:
        return isinstance(change.new, int) and change.new >= epochs_done
    return change.key != KVSTORE or "dist_async" not in (change.old, change.new)


def _rate(recipe: Recipe, epoch: float) -> float:
    laid_out = stretches(recipe.optimiser.phases, recipe.train.epochs)
    return learning_rate(next(stretch for stretch in laid_out if epoch < stretch.end), epoch)


def value_of(changes: Sequence[Change], key: str) -> Optional[Change]:
    """The change of a key; None where it does not change."""
    found: List[Change] = [change for change in changes if change.key == key]
    return found[0] if found else None
