"""Checks of a network's sizes."""

from __future__ import annotations

from typing import Sequence

from gluon_nrm.errors import ModelError


def check_counts(**counts: object) -> None:
    """Check that every value is an integer of at least 1.

    Raises:
        ModelError: one is not.
    """
    for name, value in counts.items():
        if not _is_count(value):
            raise ModelError(f"{name}: must be an integer of at least 1, found {value!r}")


def check_classifier(classes: int, in_channels: int, blocks: Sequence[int], slope: float) -> None:
    """Check the arguments that all networks share: classes, image channels, blocks per stage, slope.

    Raises:
        ModelError: fewer than two classes, no channels, no stage, a stage without blocks, or a slope
            outside [0, 1).
    """
    if not _is_count(classes) or classes < 2:
        raise ModelError(f"classes: a classifier needs at least 2 classes, found {classes!r}")
    check_counts(in_channels=in_channels)
    whole = isinstance(blocks, (list, tuple)) and len(blocks) > 0 and all(_is_count(b) for b in blocks)
    if not whole:
        raise ModelError(
            f"blocks: must list the blocks of each stage, at least one, e.g. [3, 3, 3]; found {blocks!r}"
        )
    if not 0 <= slope < 1:
        raise ModelError(f"slope: must be at least 0 (ReLU) and below 1, found {slope}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
