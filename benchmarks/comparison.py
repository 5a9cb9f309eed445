"""Recipes by name, a judge, lines of CSV files, mean and deviation: for comparisons over several seeds."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, TypeVar, get_type_hints

from benchmarks.harness import ROOT
from gluon_nrm.errors import RunError
from gluon_nrm.recipe import Recipe, load_recipe
from gluon_nrm.storage import csv_io
from gluon_nrm.storage.files import os_errors, write_text
from gluon_nrm.training.fit import fit
from gluon_nrm.training.restore import Restored, restore

#: a NamedTuple with fields of ``KINDS``
Line = TypeVar("Line", bound=Tuple[Any, ...])
#: type of a field -> reader of its cells
KINDS: Dict[Any, csv_io.Kind] = {
    str: str, int: csv_io.integer, float: csv_io.number, Optional[float]: csv_io.optional_number,
}  # fmt: skip
#: Seed of the run that judges, which no compared run has.
JUDGE_SEED = 100


def shipped(name: str, *overrides: str) -> Recipe:
    """Read a recipe of the package by its name, with some keys changed."""
    return load_recipe(ROOT / "recipes" / f"{name}.yaml", list(overrides))


def train_judge(runs: Path) -> Restored:
    """Train the classifier that judges generated digits, if it is not finished: all labels, no rendering."""
    recipe = shipped("digits_supervised", "data.labels=null", "name=digits_judge")
    return restore(fit(recipe, seed=JUDGE_SEED, root=runs).path, devices="cpu")


def read_lines(path: Path, kind: Callable[..., Line]) -> List[Line]:
    """Read the lines of a comparison's file; none if there is no file.

    Raises:
        RunError: the file cannot be read, or a line of it is damaged.
    """
    if not path.exists():
        return []
    hints = get_type_hints(kind)
    rows = csv_io.read_csv(path, RunError, {name: KINDS[hint] for name, hint in hints.items()})
    return [kind(*(row[name] for name in hints)) for _, row in rows]


def write_lines(path: Path, kind: Callable[..., Line], lines: Sequence[Line]) -> None:
    """Write a comparison's file: one line for each, below the names of the fields.

    Raises:
        RunError: it cannot be written.
    """
    rows = [list(get_type_hints(kind)), *([_cell(value) for value in line] for line in lines)]
    with os_errors(RunError, "write", path):
        write_text(path, "".join(",".join(row) + "\n" for row in rows))


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def mean_deviation(values: Sequence[float], places: int = 2) -> str:
    """Format mean and sample standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{places}f} ± {deviation:.{places}f}"
