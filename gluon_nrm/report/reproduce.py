"""Reproduction of a table of the paper: train missing runs, write the table and its plot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple, Union

from gluon_nrm.console.display import say
from gluon_nrm.errors import RunError
from gluon_nrm.recipe import Recipe
from gluon_nrm.report.comparison import (
    Compared,
    compare,
    find_runs,
    settings_of,
    to_markdown,
    write_comparison,
)
from gluon_nrm.report.paper_tables import Cell, Table
from gluon_nrm.report.published import read_published
from gluon_nrm.runs.figures import Group, plot_comparison
from gluon_nrm.runs.tables import Row, read_csv, write_csv
from gluon_nrm.storage.files import os_errors, write_text
from gluon_nrm.training.fit import fit

#: Reported errors, in a checkout.
PUBLISHED = Path("results") / "published.csv"


class Missing(NamedTuple):
    """A run that has not been trained."""

    cell: Cell
    seed: int


def known_runs(
    table: Table, runs: Path, rows: Optional[Path] = None, seeds: Optional[Sequence[int]] = None
) -> List[Row]:
    """Collect the runs in the folders, and those of a file ``rows`` that have no folder.

    Args:
        table: the table.
        runs: folder of all runs.
        rows: CSV file of ``tools/table.py RUN... --csv``; None: there is none.
        seeds: seeds of the runs to take; None: all.

    Raises:
        RunError: a run or the file is damaged.
    """
    found = find_runs(table, runs, seeds)
    have = {_key(row) for row in found}
    others = [] if rows is None else [row for row in read_csv(rows) if _key(row) not in have]
    return found + [row for row in others if seeds is None or row["seed"] in seeds]


def _key(row: Row) -> Tuple[Any, ...]:
    return row["recipe"], row["settings"], row["seed"], row["split_seed"], row["evaluated_on"]


def missing_runs(
    table: Table, seeds: Sequence[int], runs: Path, recipes: Path, rows: Optional[Path] = None
) -> List[Missing]:
    """List the cells and seeds without a finished run, ordered by seed.

    Raises:
        NRMError: a recipe or a run is damaged.
    """
    known = [row for row in known_runs(table, runs, rows, seeds) if row["finished"]]
    done = {(row["settings"], row["seed"], row["split_seed"]) for row in known}
    wanted = [(Missing(cell, seed), settings_of(cell, recipes)) for seed in seeds for cell in table.cells]
    return [each for each, settings in wanted if (settings, each.seed, each.seed) not in done]


def train_missing(
    table: Table,
    seeds: Sequence[int],
    runs: Path,
    recipes: Path,
    *,
    rows: Optional[Path] = None,
    devices: Optional[str] = None,
    data_dir: Union[str, Path, None] = None,
) -> None:
    """Train the runs of ``missing_runs`` one after the other; interrupted runs are continued.

    A seed is used for the run and for its labelled draw.

    Raises:
        NRMError: as ``fit``.
    """
    missing = missing_runs(table, seeds, runs, recipes, rows)
    for number, (cell, seed) in enumerate(missing, start=1):
        what = f"{cell.method}, {cell.column.name} labels, seed {seed}"
        say(f"run {number} of {len(missing)}: {what}")
        fit(
            _seeded(cell.load(recipes), seed),
            devices=devices,
            root=runs / table.folder(cell.column),
            data_dir=data_dir,
        )


def _seeded(recipe: Recipe, seed: int) -> Recipe:
    data = recipe.data if recipe.data.labels is None else replace(recipe.data, split_seed=seed)
    return replace(recipe, data=data, train=replace(recipe.train, seed=seed))


def report(
    table: Table,
    seeds: Optional[Sequence[int]],
    runs: Path,
    out: Optional[Path],
    checkout: Path,
    rows: Optional[Path] = None,
) -> List[Path]:
    """Write a table from the existing runs, finished or not.

    Args:
        table: the table.
        seeds: seeds of the runs to take; None: all.
        runs: folder of all runs.
        out: folder of the files; None: ``runs``.
        checkout: folder with ``recipes`` and ``results/published.csv``.
        rows: CSV file with runs that have no folder here.

    Returns:
        The files: the table in Markdown, its cells and its runs as CSV, and the plot.

    Raises:
        NRMError: a file cannot be read or written, or a run is damaged.
    """
    found = known_runs(table, runs, rows, seeds)
    cells = compare(table, found, read_published(checkout / PUBLISHED), checkout / "recipes")
    folder = runs if out is None else out
    with os_errors(RunError, "make", folder):
        folder.mkdir(parents=True, exist_ok=True)
    stem = table.name if table.own else f"{table.name}_{table.data}"
    paths = [folder / f"{stem}{ending}" for ending in (".md", ".csv", "_runs.csv", ".png")]
    with os_errors(RunError, "write", paths[0]):
        write_text(paths[0], to_markdown(table, cells))
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
