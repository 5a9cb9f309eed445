"""Differences of errors, paired by seed: what a seed does to both runs of a pair cancels."""

from __future__ import annotations

import math
import statistics
from typing import Any, Dict, Hashable, List, Mapping, NamedTuple, Optional, Sequence, Tuple, TypeVar

from gluon_nrm.errors import RunError

Row = Mapping[str, Any]
Key = TypeVar("Key", bound=Hashable)


class Difference(NamedTuple):
    """Mean over the pairs, in percentage points; below 0, what is compared has the lower error."""

    mean: Optional[float]  # None without a pair
    standard_error: Optional[float]  # of the mean; None for fewer than two pairs


class Paired(NamedTuple):
    """A difference, and the seeds of its pairs: of the run and of the labelled draw."""

    difference: Difference
    seeds: List[Tuple[int, int]]


def paired(above: Sequence[Row], below: Sequence[Row], error: str = "test_error_last") -> Paired:
    """Subtract the errors of the runs ``below`` from those ``above``, on the seeds that both have finished.

    Args:
        above: rows of ``runs.tables.collect``.
        below: the same of the runs that they are compared with.
        error: the column.
    """
    with_it, without = (
        {(row["seed"], row["split_seed"]): row[error] for row in rows if row["finished"]}
        for rows in (above, below)
    )
    seeds = sorted(set(with_it) & set(without))
    values = [with_it[each] - without[each] for each in seeds]
    deviation = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return Paired(Difference(statistics.mean(values) if values else None, deviation), seeds)


def to_text(difference: Difference, pairs: int) -> str:
    """Format ``-1.17 ± 0.44 (3)``, with the number of pairs in brackets; empty without a pair."""
    if difference.mean is None:
        return ""
    spread = "" if difference.standard_error is None else f" ± {difference.standard_error:.2f}"
    return f"{difference.mean:+.2f}{spread} ({pairs})"


def differences_from(recipe: str, groups: Mapping[Key, Sequence[Row]]) -> Dict[Key, Paired]:
    """Compare the last errors of every group of runs with a recipe's on as many labels and the same images.

    Args:
        recipe: the name of the recipe that the others are compared with.
        groups: rows of ``runs.tables.collect``, by anything.

    Returns:
        The difference of every group of another recipe that there is something to compare with.

    Raises:
        RunError: no run is of the recipe, or its runs with as many labels differ in their settings.
    """
    own: Dict[Tuple[Any, ...], Sequence[Row]] = {}
    for rows in groups.values():
        if rows[0]["recipe"] == recipe and own.setdefault(_measured_on(rows[0]), rows) is not rows:
            raise RunError(
                f"the runs of {recipe} differ in their settings; leave out those that do not belong"
            )
    if not own:
        known = sorted({str(rows[0]["recipe"]) for rows in groups.values()})
        raise RunError(f"no run is of the recipe {recipe}; there are {', '.join(known)}")
    return {
        key: paired(rows, own[_measured_on(rows[0])])
        for key, rows in groups.items()
        if rows[0]["recipe"] != recipe and _measured_on(rows[0]) in own
    }


def _measured_on(row: Row) -> Tuple[Any, ...]:
    return row["labels"], row["evaluated_on"]
