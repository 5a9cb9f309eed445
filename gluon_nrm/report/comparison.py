"""Comparison of a table of the paper with our runs, cell by cell."""

from __future__ import annotations

import csv
import io
import statistics
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from gluon_nrm.errors import RunError
from gluon_nrm.recipe import recipe_hash
from gluon_nrm.report.paper_tables import METHODS, Cell, Column, Table
from gluon_nrm.report.published import Logged, Published
from gluon_nrm.runs.tables import Row, format_mean_std
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
    recipe: str  # "" if this package does not run the method
    reported: Optional[Published]
    runs: List[Row]
    logged: Optional[Logged] = None

    def mean(self, key: str = "test_error_last") -> Optional[float]:
        """Mean over the runs, in per cent; None if there are none."""
        return statistics.mean(row[key] for row in self.runs) if self.runs else None

    def std(self, key: str = "test_error_last") -> Optional[float]:
        """Sample standard deviation; None for fewer than two runs."""
        return statistics.stdev(row[key] for row in self.runs) if len(self.runs) > 1 else None

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
    others = dict.fromkeys(method for method, _ in [*reported, *logs] if method not in METHODS)
    cells = []
    for method in [*others, *METHODS]:
        for column in table.columns:
            key = (method, column.name)
            if method not in METHODS:
                cells.append(Compared(method, column, "", reported.get(key), [], logs.get(key)))
                continue
            cell = table.cell(method, column)
            settings = settings_of(cell, recipes)
            ours = (cell.recipe, settings, "test")
            runs = [row for row in rows if (row["recipe"], row["settings"], row["evaluated_on"]) == ours]
            _check_once(runs)
            cells.append(Compared(method, column, cell.recipe, reported.get(key), runs, logs.get(key)))
    return cells


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


def to_markdown(table: Table, cells: Sequence[Compared]) -> str:
    """Format the cells as a Markdown table with notes."""
    lines = [f"**{table.title}: test error (%)**", ""]
    kinds = {column: _kinds(table, column, cells) for column in table.columns}
    titles = [f"{column.name}{kind}" for column in table.columns for kind in kinds[column]]
    lines += ["| method | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)]
    for method in dict.fromkeys(cell.method for cell in cells):
        row = [cell for cell in cells if cell.method == method]
        texts = [_TEXTS[kind](cell) for cell in row for kind in kinds[cell.column]]
        name = method if row[0].recipe else f"{method} §"
        lines.append(f"| {name} | " + " | ".join(texts) + " |")
    return "\n".join(lines + _notes(table, cells)) + "\n"


def _reported(cell: Compared) -> str:
    figure = cell.reported
    if figure is None or figure.value is None:
        return ""
    spread = "" if figure.std is None else f" ± {figure.std:.2f}"
    return f"{figure.value:.2f}{spread}{' ‡' if figure.status == 'cited' else ''}"


def _ours(cell: Compared) -> str:
    mean = cell.mean()
    if mean is None:
        return ""
    return f"{format_mean_std(mean, cell.std())} ({len(cell.runs)}{' *' if cell.unfinished else ''})"


def _logged(cell: Compared) -> str:
    if cell.logged is None:
        return ""
    return f"{cell.logged.value:.2f}{'' if cell.logged.finished else ' ¶'}"


#: Ending of a column's title -> text of its cells.
_TEXTS: Dict[str, Callable[[Compared], str]] = {
    " reported": _reported, " ours": _ours, " logged": _logged, "": _ours,
}  # fmt: skip


def _kinds(table: Table, column: Column, cells: Sequence[Compared]) -> List[str]:
    """Return the endings of the titles of a number of labels."""
    if not table.own:
        return [""]
    logs = any(cell.logged is not None for cell in cells if cell.column == column)
    return [" reported", " ours", *([" logged"] if logs else [])]


def _notes(table: Table, cells: Sequence[Compared]) -> List[str]:
    commits = sorted({commit for cell in cells for row in cell.runs for commit in str(row["commit"]).split()})
    notes = ["Ours: mean ± standard deviation of the error after the last epoch, number of runs in brackets."]
    if table.own:
        notes.append("Reported: as the method's own paper has it; an empty cell is not available.")
    if any(cell.logged for cell in cells):
        notes.append(
            "Logged: best error on the test set in the log of one of the authors' own runs; "
            "¶ the log ends before the last epoch."
        )
    if commits:
        notes.append("Commits of the runs: " + ", ".join(commits) + ".")
    if any(cell.unfinished for cell in cells):
        notes.append("\\* not all of these runs have reached their last epoch.")
    if any(cell.reported and cell.reported.status == "cited" for cell in cells):
        notes.append("‡ as usually cited; the source was not read again.")
    if any(not cell.recipe for cell in cells):
        notes.append("§ reported only: this package does not run it.")
    return ["", *[line for note in notes for line in (note, "")]][:-1]


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
