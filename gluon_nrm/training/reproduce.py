"""A table of the paper, made: the runs that are missing are trained, then it is written with its plot."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence, Union

from gluon_nrm.errors import RunError
from gluon_nrm.files import os_errors, write_text
from gluon_nrm.recipe import Recipe
from gluon_nrm.report.comparison import (
    Compared,
    compare,
    find_runs,
    settings_of,
    to_markdown,
    write_comparison,
)
from gluon_nrm.report.figures import Group, plot_comparison
from gluon_nrm.report.paper_tables import Cell, Table
from gluon_nrm.report.published import read_published
from gluon_nrm.report.tables import read_csv, write_csv
from gluon_nrm.training.fit import fit

#: Beside the tables, in the folder ``results`` of a checkout.
PUBLISHED = Path("results") / "published.csv"


class Missing(NamedTuple):
    """A run that is still to be trained."""

    cell: Cell
    seed: int


def missing_runs(table: Table, seeds: Sequence[int], runs: Path, recipes: Path) -> List[Missing]:
    """Seeds of which a cell has no finished run, seed by seed, so that every method has its first one soon.

    Raises:
        NRMError: a recipe or a run is damaged.
    """
    rows = [row for row in find_runs(table, runs, seeds) if row["finished"]]
    done = {(row["settings"], row["seed"], row["split_seed"]) for row in rows}
    wanted = [(Missing(cell, seed), settings_of(cell, recipes)) for seed in seeds for cell in table.cells]
    return [each for each, settings in wanted if (settings, each.seed, each.seed) not in done]


def train_missing(
    table: Table,
    seeds: Sequence[int],
    runs: Path,
    recipes: Path,
    *,
    devices: Optional[str] = None,
    data_dir: Union[str, Path, None] = None,
) -> None:
    """Train, one after the other, what ``missing_runs`` lists; a run that was interrupted goes on.

    A seed is that of the run and of its labelled draw.

    Raises:
        NRMError: as ``fit``.
    """
    missing = missing_runs(table, seeds, runs, recipes)
    for number, (cell, seed) in enumerate(missing, start=1):
        what = f"{cell.method}, {cell.column.name} labels, seed {seed}"
        sys.stderr.write(f"run {number} of {len(missing)}: {what}\n")
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
        rows: a file of one line a run (``tools/table.py RUN... --csv``) in place of the run folders.

    Returns:
        The files: the table in Markdown, its cells and its runs as CSV, and the plot, if there is a figure.

    Raises:
        NRMError: a file cannot be read or written, or a run is damaged.
    """
    found = find_runs(table, runs, seeds) if rows is None else read_csv(rows)
    found = [row for row in found if seeds is None or row["seed"] in seeds]
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
