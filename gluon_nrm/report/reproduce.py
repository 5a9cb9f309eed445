"""A table of the paper, made: the runs that are missing are trained, then it is written with its plot."""

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

#: Beside the tables, in the folder ``results`` of a checkout.
PUBLISHED = Path("results") / "published.csv"


class Missing(NamedTuple):
    """A run that is still to be trained."""

    cell: Cell
    seed: int


def known_runs(
    table: Table, runs: Path, rows: Optional[Path] = None, seeds: Optional[Sequence[int]] = None
) -> List[Row]:
    """Rows of the runs in the folders, and those of a file ``rows`` that are not there.

    Args:
        table: the table.
        runs: folder of all runs.
        rows: a file of one line a run, as ``tools/table.py RUN... --csv`` writes it; None: there is none.
        seeds: of the runs wanted; None: all.

    Raises:
        RunError: a run is damaged, or the file is.
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
    """Seeds of which a cell has no finished run, seed by seed, so that every method has its first one soon.

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
    """Train, one after the other, what ``missing_runs`` lists; a run that was interrupted goes on.

    A seed is that of the run and of its labelled draw.

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
    """Write a table from the runs there are, finished or not.

    Args:
        table: the table.
        seeds: of the runs that count; None: all.
        runs: folder of all runs.
        out: folder of the files; None: ``runs``.
        checkout: folder with ``recipes`` and ``results/published.csv``.
        rows: a file of one line a run, for runs whose folders are not there.

    Returns:
        The files: the table in Markdown, its cells and its runs as CSV, and the plot, if there is a figure.

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
    """What is drawn: of each column the reported figures and ours."""
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
