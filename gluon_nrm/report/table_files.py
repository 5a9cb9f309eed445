"""A table of the paper as files: Markdown; its cells, runs and training curves as CSV; figures."""

from __future__ import annotations

from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence

from gluon_nrm.errors import RunError
from gluon_nrm.report.comparison import Compared, compare, write_comparison
from gluon_nrm.report.method_curves import Curve, collect_curves, write_curves
from gluon_nrm.report.method_curves_figure import plot_method_curves
from gluon_nrm.report.paired import paired_differences, write_rungs
from gluon_nrm.report.paired import to_markdown as paired_to_markdown
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
    #: the files written, see ``make_table``
    paths: List[Path]


def make_table(
    table: Table,
    seeds: Optional[Sequence[int]],
    runs: Path,
    out: Path,
    recipes: Path,
    rows: Optional[Path] = None,
    paired: bool = False,
) -> Reported:
    """Make a table from the existing runs, finished or not, and write it, unless there is no run.

    The files are TABLE.md, .csv (cells), _runs.csv, .png (errors by number of labels); _curves.csv and
    _curves.png (test error over the epochs) of the runs whose curves are known; _paired.csv on request.

    Args:
        table: the table.
        seeds: seeds of the runs to take; None: all.
        runs: folder of all runs.
        out: folder of the files.
        recipes: folder of the recipes.
        rows: CSV file TABLE_runs.csv with runs that have no folder here; TABLE_curves.csv beside it has their
            curves.
        paired: append the differences of the rungs, paired by seed.

    Raises:
        NRMError: a file cannot be read or written, or a run is damaged.
    """
    found = known_runs(table, runs, rows, seeds)
    cells = compare(table, found, read_published(), recipes, read_logged())
    taken = sum(len(cell.runs) for cell in cells)
    text = to_markdown(table, cells)
    if not taken:
        return Reported(text, 0, [])
    rungs = paired_differences(table, cells) if paired else []
    if rungs:
        text += "\n" + paired_to_markdown(table, rungs)
    curves = collect_curves(cells, None if rows is None else _beside(rows))
    paths = [*_write(table, cells, text, out), *_write_curves(table, curves, taken, out)]
    if rungs:
        paths.append(out / f"{table.stem}_paired.csv")
        write_rungs(table, rungs, paths[-1])
    return Reported(text, taken, paths)


def _beside(rows: Path) -> Path:
    """Return the file of curves that belongs to a file of runs."""
    return rows.with_name(
        f"{rows.stem[: -len('_runs')] if rows.stem.endswith('_runs') else rows.stem}_curves.csv"
    )


def _write(table: Table, cells: Sequence[Compared], text: str, folder: Path) -> List[Path]:
    """Write the files that every table has."""
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


def _write_curves(table: Table, curves: Sequence[Curve], runs: int, folder: Path) -> List[Path]:
    """Write the curves and their figure; nothing if no curve is known."""
    if not curves:
        return []
    paths = [folder / f"{table.stem}_curves{ending}" for ending in (".csv", ".png")]
    write_curves(curves, paths[0])
    note = "" if len(curves) == runs else f"; curves of {len(curves)} of {runs} runs"
    title = f"{table.title}: mean and standard deviation over seeds{note}"
    plot_method_curves(curves, [column.name for column in table.columns], paths[1], title)
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
