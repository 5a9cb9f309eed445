"""Keys of a recipe that may change when a run is continued; a change of any other key is refused.

- ``train.epochs``: at least the number of completed epochs. A learning rate may depend on the length of the
  run (cosine without ``restart_epochs``, exponential without ``decay_epochs``). Then the completed epochs had
  other rates than a run of the new length has, and the user must accept that (``--accept train.epochs``).
- ``train.eval_batch``, ``train.checkpoint_every_epochs``: no result depends on them.
- ``train.kvstore``: all kinds but ``dist_async`` sum the same gradients.
- ``data.path``, ``data.unlabelled``: the images must be the same.
- A key that the recipe of the run lacks, because an earlier version had none, with its default.
"""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, Sequence

from gluon_nrm.errors import RunError
from gluon_nrm.optimisation.schedules import learning_rate, stretches
from gluon_nrm.option_names import option
from gluon_nrm.recipe.fields import default_at
from gluon_nrm.recipe.schema import Recipe

EPOCHS, PATH, KVSTORE = "train.epochs", "data.path", "train.kvstore"
UNLABELLED = "data.unlabelled"
CHANGEABLE = (EPOCHS, "train.eval_batch", "train.checkpoint_every_epochs", KVSTORE, PATH, UNLABELLED)
#: Number of learning rates compared in each epoch.
_RATES = 64


class Change(NamedTuple):
    """A key that differs between two recipes; its value is "missing" in a recipe without the key."""

    key: str
    old: Any
    new: Any


def refused(changes: Sequence[Change], epochs_done: int) -> Optional[Change]:
    """Return the first change that is not allowed; None if all are.

    Args:
        changes: from the recipe of the run to the new recipe.
        epochs_done: epochs that the run has completed.
    """
    return next((change for change in changes if not _allowed(change, epochs_done)), None)


def check_rates(old: Recipe, new: Recipe, epochs_done: int, accepted: Sequence[str]) -> None:
    """Check that the completed epochs had the learning rates that a run of the new length has.

    Args:
        old: the recipe of the run.
        new: the recipe to continue with.
        epochs_done: epochs completed; the rates of the epoch after them are compared too.
        accepted: keys whose changes the user accepts.

    Raises:
        RunError: a rate differs, and ``train.epochs`` is not accepted.
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
                f"{after:.3g};\ngive {option('accept', [EPOCHS])} to go on with the rates of the new length, "
                f"or {option('fresh', True)} to train from the beginning"
            )


def _allowed(change: Change, epochs_done: int) -> bool:
    if change.old == "missing":  # an earlier version had no such key
        return bool(change.new == default_at(Recipe, change.key))
    if change.key not in CHANGEABLE or change.new == "missing":
        return False
    if change.key == UNLABELLED:
        return None not in (change.old, change.new)
    if change.key == EPOCHS:
        return isinstance(change.new, int) and change.new >= epochs_done
    return change.key != KVSTORE or "dist_async" not in (change.old, change.new)


def _rate(recipe: Recipe, epoch: float) -> float:
    laid_out = stretches(recipe.optimiser.phases, recipe.train.epochs)
    return learning_rate(next(stretch for stretch in laid_out if epoch < stretch.end), epoch)


def value_of(changes: Sequence[Change], key: str) -> Optional[Change]:
    """Return the change of a key; None if it does not change."""
    found: List[Change] = [change for change in changes if change.key == key]
    return found[0] if found else None
