"""Reproduction of a table of the paper: which runs there are, which are missing; training of those."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple, Union

from gluon_nrm.console.display import say
from gluon_nrm.report.comparison import settings_of
from gluon_nrm.report.find_runs import find_runs
from gluon_nrm.report.paper_tables import Cell, Table
from gluon_nrm.report.side_by_side import TrainingCommand, run_side_by_side
from gluon_nrm.runs.tables import Row, read_csv
from gluon_nrm.system.commands import start_words
from gluon_nrm.training.fit import fit


class Missing(NamedTuple):
    """A run that has not been trained."""

    cell: Cell
    seed: int

    @property
    def title(self) -> str:
        """Method, number of labels and seed."""
        return f"{self.cell.method}, {self.cell.column.name} labels, seed {self.seed}"


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
    settings = {cell: settings_of(cell, recipes) for cell in table.runnable(recipes)}
    wanted = [Missing(cell, seed) for seed in seeds for cell in settings]
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
    jobs: int = 1,
) -> None:
    """Train the runs of ``missing_runs``; interrupted runs are continued.

    A seed is used for the run and for its labelled draw. One run at a time is trained in this process;
    several at once are trained in processes of their own, which share the cores.

    Args:
        table: the table.
        seeds: of its runs.
        runs: folder of all runs.
        recipes: folder of the recipes.
        rows: CSV file with runs that have no folder here.
        devices: as for ``fit``.
        data_dir: as for ``fit``.
        jobs: number of runs that are trained at once.

    Raises:
        NRMError: as ``fit``; or runs failed that were trained in processes of their own.
    """
    missing = missing_runs(table, seeds, runs, recipes, rows)
    places = {_key(row): Path(row["path"]).parent for row in find_runs(table, runs, seeds)}
    folders = []
    for cell, seed in missing:
        split = 0 if cell.column.labels is None else seed
        key = (cell.recipe, settings_of(cell, recipes), seed, split, "test")
        # an interrupted run goes on where it is
        folders.append(places.get(key, runs / table.folder(cell.column)))
    if jobs > 1:
        options = [*([] if devices is None else ["--devices", devices]),
                   *([] if data_dir is None else ["--data-dir", str(data_dir)])]  # fmt: skip
        words = [[*_command(each, recipes, folder), *options] for each, folder in zip(missing, folders)]
        run_side_by_side([TrainingCommand(each.title, line) for each, line in zip(missing, words)], jobs)
        return
    for number, (each, folder) in enumerate(zip(missing, folders), start=1):
        say(f"run {number} of {len(missing)}: {each.title}")
        recipe = each.cell.load(recipes, *_seeds(each))
        fit(recipe, devices=devices, root=folder, data_dir=data_dir)


def _command(run: Missing, recipes: Path, folder: Path) -> List[str]:
    """Return the words that train a run in a process of its own."""
    changes = [*run.cell.overrides, *_seeds(run)]
    sets = [word for change in changes for word in ("--set", change)]
    return [*start_words("train"), str(recipes / f"{run.cell.recipe}.yaml"), *sets, "--runs", str(folder)]


def _seeds(run: Missing) -> List[str]:
    """Return the changes to a cell's recipe that set the seeds; with all labels none are drawn."""
    split = [] if run.cell.column.labels is None else [f"data.split_seed={run.seed}"]
    return [f"train.seed={run.seed}", *split]
