"""Reproduction of a table of the paper: train missing runs, write the table and its plot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple, Union

from gluon_nrm.console.display import say
from gluon_nrm.errors import RunError
from gluon_nrm.recipe import Recipe
from gluon_nrm.report.comparison import Compared, compare, settings_of, to_markdown, write_comparison
from gluon_nrm.report.find_runs import find_runs
from gluon_nrm.report.paper_tables import Cell, Table
from gluon_nrm.report.published import read_logged, read_published
from gluon_nrm.runs.figures import Group, plot_comparison
from gluon_nrm.runs.tables import Row, read_csv, write_csv
from gluon_nrm.storage.files import os_errors, write_text
from gluon_nrm.training.fit import fit


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
        rows: CSV file of ``gluon-nrm table RUN... --csv``; None: there is none.
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
    # where all images are labelled, none are drawn
    done = {
        (row["settings"], row["seed"], None if row["labels"] == "all" else row["split_seed"]) for row in known
    }
    settings = {cell: settings_of(cell, recipes) for cell in table.cells}
    wanted = [Missing(cell, seed) for seed in seeds for cell in table.cells]
    drawn = [None if each.cell.column.labels is None else each.seed for each in wanted]
    return [each for each, split in zip(wanted, drawn) if (settings[each.cell], each.seed, split) not in done]


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
    places = {_key(row): Path(row["path"]).parent for row in find_runs(table, runs, seeds)}
    for number, (cell, seed) in enumerate(missing, start=1):
        what = f"{cell.method}, {cell.column.name} labels, seed {seed}"
        say(f"run {number} of {len(missing)}: {what}")
        recipe = _seeded(cell.load(recipes), seed)
        key = (cell.recipe, settings_of(cell, recipes), seed, recipe.data.split_seed, "test")
        root = places.get(key, runs / table.folder(cell.column))  # an interrupted run goes on where it is
        fit(recipe, devices=devices, root=root, data_dir=data_dir)


def _seeded(recipe: Recipe, seed: int) -> Recipe:
    data = recipe.data if recipe.data.labels is None else replace(recipe.data, split_seed=seed)
    return replace(recipe, data=data, train=replace(recipe.train, seed=seed))


class Reported(NamedTuple):
    """A table made from runs."""

    markdown: str
    #: number of runs in it
    runs: int
    #: the files written: the table in Markdown, its cells and its runs as CSV, and the plot
    paths: List[Path]


def report(
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
    stem = table.name if table.own else f"{table.name}_{table.data}"
    paths = [folder / f"{stem}{ending}" for ending in (".md", ".csv", "_runs.csv", ".png")]
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
