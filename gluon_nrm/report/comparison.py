"""Comparison of a table of the paper with our runs, cell by cell."""

from __future__ import annotations

import csv
import io
import statistics
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from gluon_nrm.errors import RunError
from gluon_nrm.recipe import recipe_hash
from gluon_nrm.report.paper_tables import METHODS, Cell, Column, Table
from gluon_nrm.report.published import Logged, Published
from gluon_nrm.runs.tables import Row
from gluon_nrm.storage.files import os_errors, write_text

COLUMNS = (
    "table", "data", "method", "recipe", "column", "reported", "reported_std", "reported_status", "source",
    "runs", "seeds", "unfinished", "error_mean", "error_std", "median20_mean", "median20_std", "commit",
)  # fmt: skip
LOGGED_COLUMNS = ("logged", "logged_finished")


class Compared(NamedTuple):
    """One cell of a table: the reported error and our runs."""

    method: str
    column: Column
    recipe: str  # "" if this package does not run the method, or has no recipe of it for this column
    reported: Optional[Published]
    runs: List[Row]
    logged: Optional[Logged] = None
    in_paper: bool = True
    """The paper's table has this row."""

    def mean(self, key: str = "test_error_last") -> Optional[float]:
        """Mean over the runs, in per cent; None if there are none."""
        return statistics.mean(row[key] for row in self.runs) if self.runs else None

    def std(self, key: str = "test_error_last") -> Optional[float]:
        """Sample standard deviation; None for fewer than two runs."""
        return statistics.stdev(row[key] for row in self.runs) if len(self.runs) > 1 else None

    @property
    def without_recipe(self) -> bool:
        """True if the package runs the method, but has no recipe of it for this column."""
        return not self.recipe and self.method in METHODS

    @property
    def unfinished(self) -> int:
        """Number of runs that are not at their last epoch."""
        return sum(not row["finished"] for row in self.runs)


def settings_of(cell: Cell, recipes: Path) -> str:
    """Hash of a recipe's settings without its seeds; runs of one table cell share it."""
    return recipe_hash(cell.load(recipes, "data.split_seed=0"))


def compare(
    table: Table,
    rows: Sequence[Row],
    published: Sequence[Published],
    recipes: Path,
    logged: Sequence[Logged] = (),
) -> List[Compared]:
    """Collect all cells of a table, row by row: first methods that are only reported, then those we run.

    A run counts if its settings are those of the cell's present recipe and it was evaluated on the test set.

    Args:
        table: the table.
        rows: runs, of ``tables.summarise`` or ``tables.read_csv``.
        published: reported errors.
        recipes: folder of the recipes.
        logged: errors in the authors' logs.

    Raises:
        RunError: two runs are the same experiment and seed.
    """
    applies = [each for each in published if each.table == table.name and table.own]
    reported = {(each.method, each.column): each for each in applies}
    logs = {(each.method, each.column): each for each in logged if each.table == table.name and table.own}
    rows_of_paper = {each.method for each in published if each.table == table.name}
    others = dict.fromkeys(method for method, _ in [*reported, *logs] if method not in METHODS)
    ours = {(cell.method, cell.column.name): cell for cell in table.runnable(recipes)}
    cells = []
    for method in [*others, *table.methods]:
        for column in table.columns:
            key = (method, column.name)
            recipe = ours[key].recipe if key in ours else ""
            runs = _runs_of(ours[key], rows, recipes) if key in ours else []
            figures = (reported.get(key), runs, logs.get(key))
            cells.append(Compared(method, column, recipe, *figures, method in rows_of_paper))
    return cells


def _runs_of(cell: Cell, rows: Sequence[Row], recipes: Path) -> List[Row]:
    """Return the runs of a cell.

    Raises:
        RunError: two of them have the same seeds.
    """
    wanted = (cell.recipe, settings_of(cell, recipes), "test")
    runs = [row for row in rows if (row["recipe"], row["settings"], row["evaluated_on"]) == wanted]
    _check_once(runs)
    return runs


def _check_once(runs: Sequence[Row]) -> None:
    """Raise RunError if two runs have the same seeds."""
    seen: Dict[Any, Row] = {}
    for row in runs:
        key = (row["seed"], row["split_seed"])
        if key in seen:
            names = [str(each["run"]) for each in (seen[key], row)]
            if names[0] == names[1]:
                names = [str(each.get("path", each["run"])) for each in (seen[key], row)]
            raise RunError(f"{names[0]} and {names[1]} are one recipe with one seed;\nmove one of them away")
        seen[key] = row


def write_comparison(table: Table, cells: Sequence[Compared], path: Path) -> None:
    """Write one line per cell to a CSV file, atomically.

    Raises:
        RunError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    # a table of other images has no logged errors
    writer.writerow(COLUMNS + LOGGED_COLUMNS if table.own else COLUMNS)
    for cell in cells:
        figure = cell.reported
        said: List[Any] = [""] * 4
        if figure is not None and figure.value is not None:
            said = [figure.value, figure.std, figure.status, figure.source]
        writer.writerow([
            table.name, table.data, cell.method, cell.recipe, cell.column.name, *said,
            len(cell.runs), " ".join(str(row["seed"]) for row in cell.runs), cell.unfinished,
            cell.mean(), cell.std(), cell.mean("test_error_median20"), cell.std("test_error_median20"),
            " ".join(sorted({str(row["commit"]) for row in cell.runs})),
            *([cell.logged.value, cell.logged.finished] if cell.logged is not None else []),
        ])  # fmt: skip
    with os_errors(RunError, "write", path):
        write_text(path, text.getvalue())
