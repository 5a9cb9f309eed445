"""Tables of runs: one row per run, read from run folders, written to CSV and read again.

The error of a run is that of its last evaluation, and the median of its last 20. The best error, which looks
at the test set, is a column of its own, called optimistic.
"""

from __future__ import annotations

import csv
import io
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from gluon_nrm.errors import RunError
from gluon_nrm.recipe import Recipe, recipe_hash
from gluon_nrm.runs.open_run import RunFolder, load_run
from gluon_nrm.runs.run_folder import network_names
from gluon_nrm.storage import csv_io
from gluon_nrm.storage.files import os_errors, resolve, write_text
from gluon_nrm.system.commands import command_name

COLUMNS = (
    "recipe",
    "labels",  # a number, or "all"
    "seed",
    "test_error_last",  # per cent
    "test_error_median20",
    "test_error_best_optimistic",
    "evaluated_on",  # "test", or "validation" where the recipe holds such a part out: the errors are of it
    "network",  # the one evaluated: "teacher" where there is one (Mean Teacher), else "student"
    "epochs",
    "finished",
    "split_seed",
    "settings",  # hash of the recipe without name and seeds
    "commit",
    "run",
)
#: Further columns of a table with runs without labels (``data.labels: 0``), from the last evaluation.
CLUSTER_COLUMNS = ("nmi_last", "ari_last")
LAST = 20  # evaluations in the median

Row = Dict[str, Any]


def summarise(run: RunFolder) -> Row:
    """Make the row of one run; see ``COLUMNS``. Errors are in per cent.

    Raises:
        RunError: the run has no evaluation yet, or is damaged.
    """
    recipe = run.settings
    rows = run.read_metrics()
    network = network_names(recipe)[-1]
    errors = [row[f"error/{network}"] for row in rows if row.get(f"error/{network}") is not None]
    if not errors:
        remedy = "train it for an epoch, or leave it out"
        raise RunError(f"{run.metrics_path}: no evaluation of the {network} in it; {remedy}")
    return {
        "recipe": recipe.name,
        "labels": "all" if recipe.data.labels is None else recipe.data.labels,
        "seed": recipe.train.seed,
        "test_error_last": round(errors[-1], 4),
        "test_error_median20": round(statistics.median(errors[-LAST:]), 4),
        "test_error_best_optimistic": round(min(errors), 4),
        "evaluated_on": _evaluated_on(recipe),
        "network": network,
        "epochs": rows[-1]["epoch"],
        "finished": run.finished,
        "split_seed": recipe.data.split_seed,
        "settings": recipe_hash(replace(recipe, data=replace(recipe.data, split_seed=0))),
        "commit": _commit(run.env()),
        "run": resolve(run.path, RunError).name,
        **_clustering(rows, network),
    }


def _clustering(rows: Sequence[Mapping[str, Any]], network: str) -> Dict[str, float]:
    """Return the newest NMI and ARI; nothing for a run with labels, which has none."""
    values = {}
    for name, column in zip(("nmi", "ari"), CLUSTER_COLUMNS):
        found = [
            value for value in (row.get(f"clustering/{network}_{name}") for row in rows) if value is not None
        ]
        if found:
            values[column] = round(found[-1], 4)
    return values


def collect(paths: Sequence[Path]) -> List[Row]:
    """Make the rows of several runs, sorted by recipe, labels and seed.

    Raises:
        RunError: a folder is no run, has no evaluation, or is the same experiment and seed as another.
    """
    rows = [summarise(load_run(path)) for path in paths]
    seen: Dict[Tuple[Any, ...], Path] = {}
    for row, path in zip(rows, paths):
        key = (*group_key(row), row["seed"], row["split_seed"])
        if key in seen:
            raise RunError(f"{seen[key]} and {path} are one recipe with one seed;\ngive one of them")
        seen[key] = path
    return sorted(rows, key=_order)


def group_key(row: Mapping[str, Any]) -> Tuple[Any, ...]:
    """Return what runs have in common that may be averaged: all but their seeds."""
    return tuple(row[name] for name in ("recipe", "labels", "evaluated_on", "network", "settings"))


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the rows of ``collect`` to a CSV file, atomically.

    Raises:
        RunError: the file cannot be written.
    """
    text = io.StringIO()
    clusters = any(row.get("nmi_last") is not None for row in rows)
    columns = (*COLUMNS, *CLUSTER_COLUMNS) if clusters else COLUMNS
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    with os_errors(RunError, "write", path):
        write_text(path, text.getvalue())


def read_csv(path: Path) -> List[Row]:
    """Read the rows that ``write_csv`` wrote.

    Raises:
        RunError: the file cannot be read, or is no such table (the message names the line and the column).
    """
    remedy = f"write the file again with {command_name('table')} RUN... --csv"
    rows = [row for _, row in csv_io.read_csv(path, RunError, _KINDS, remedy=remedy)]
    for number, row in enumerate(rows, start=2):
        for name in CLUSTER_COLUMNS:
            row[name] = _cluster_value(row.get(name, ""), f"{path}:{number}: column {name!r}", remedy)
    return rows


def _cluster_value(text: str, where: str, remedy: str) -> Optional[float]:
    """Convert a cell that only tables with runs without labels have."""
    try:
        return csv_io.optional_number(text)
    except ValueError:
        raise RunError(f"{where} must be a number or empty, found {text[:40]!r}; {remedy}") from None


def _labels(text: str) -> Any:
    """Convert a number of labels, or "all"."""
    return text if text == "all" else csv_io.integer(text)


#: Types of the columns that are read again.
_KINDS: Mapping[str, csv_io.Kind] = {
    "recipe": str,
    "labels": _labels,
    "seed": csv_io.integer,
    "split_seed": csv_io.integer,
    "test_error_last": csv_io.number,
    "test_error_median20": csv_io.number,
    "epochs": csv_io.integer,
    "finished": csv_io.choice({"True": True, "False": False}),
    "evaluated_on": csv_io.choice({"test": "test", "validation": "validation"}),
    "network": csv_io.choice({"student": "student", "teacher": "teacher"}),
    "settings": str,
}


def _evaluated_on(recipe: Recipe) -> str:
    return "validation" if recipe.data.validation else "test"


def _commit(env: Mapping[str, Any]) -> str:
    """List the commits a run was trained with, in order; ``+`` marks uncommitted changes."""
    commits: List[str] = []
    known: Dict[str, Any] = {}
    for part in [env, *env.get("resumed", [])]:
        known.update(part)
        commit = str(known.get("commit") or "unknown")[:10] + (
            "+" if known.get("uncommitted_changes") else ""
        )
        if commit not in commits:
            commits.append(commit)
    return " ".join(commits)


def _order(row: Mapping[str, Any]) -> Tuple[Any, ...]:
    labels = float("inf") if row["labels"] == "all" else row["labels"]
    return row["recipe"], labels, row["settings"], row["seed"], row["split_seed"]
