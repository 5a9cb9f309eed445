"""A table of the paper as files: Markdown, its cells and its runs as CSV, and the plot."""

from __future__ import annotations

from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence

from gluon_nrm.errors import RunError
from gluon_nrm.report.comparison import Compared, compare, write_comparison
from gluon_nrm.report.paper_tables import Table
from gluon_nrm.report.published import read_logged, read_published
from gluon_nrm.report.reproduce import known_runs
from gluon_nrm.report.table_text import to_markdown
from gluon_nrm.runs.figures import Group, plot_comparison
from gluon_nrm.runs.tables import write_csv
from gluon_nrm.storage.files import os_errors, write_text


class Reported(NamedTuple):
    """A table made from runs."""

    markdown: str
    #: number of runs in it
    runs: int
    #: the files written: the table in Markdown, its cells and its runs as CSV, and the plot
    paths: List[Path]


def make_table(
    table: Table,
    seeds: Optional[Sequence[int]],
    runs: Path,
    out: Path,
    recipes: Path,
    rows: Optional[Path] = None,
) -> Reported:
    """Make a table from the existing runs, finished or not, and write it, unless there is no run.

    Args:
        table: the table.
        seeds: seeds of the runs to take; None: all.
        runs: folder of all runs.
        out: folder of the files.
        recipes: folder of the recipes.
        rows: CSV file with runs that have no folder here.

    Raises:
        NRMError: a file cannot be read or written, or a run is damaged.
    """
    found = known_runs(table, runs, rows, seeds)
    cells = compare(table, found, read_published(), recipes, read_logged())
    taken = [row for cell in cells for row in cell.runs]
    text = to_markdown(table, cells)
    return Reported(text, len(taken), _write(table, cells, text, out) if taken else [])


def _write(table: Table, cells: Sequence[Compared], text: str, folder: Path) -> List[Path]:
    """Write the files of a table."""
    with os_errors(RunError, "make", folder):
        folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{table.stem}{ending}" for ending in (".md", ".csv", "_runs.csv", ".png")]
    with os_errors(RunError, "write", paths[0]):
        write_text(paths[0], text)
    write_comparison(table, cells, paths[1])
    write_csv([row for cell in cells for row in cell.runs], paths[2])
    note = "; filled: ours, hollow: reported" if table.own else ""
    names = list(dict.fromkeys(cell.method for cell in cells))
    plot_comparison(_groups(table, cells), paths[3], names, f"{table.title}{note}")
    return paths


def _groups(table: Table, cells: Sequence[Compared]) -> List[Group]:
    """Collect the reported errors and ours for the plot, one group per column."""
    groups: List[Group] = []
    for column in table.columns:
        drawn = []
        for cell in cells:
            if cell.column != column:
                continue
            if cell.reported is not None and cell.reported.value is not None:
                drawn.append((cell.method, cell.reported.value, cell.reported.std or 0.0, False))
            mean = cell.mean()
            if mean is not None:
                drawn.append((cell.method, mean, cell.std() or 0.0, True))
        groups.append((f"{column.name} labels", drawn))
    return groups
