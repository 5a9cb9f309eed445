"""Test error over the epochs of every run of a table, from run folders or from a CSV file of such curves."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from gluon_nrm.errors import RunError
from gluon_nrm.report.comparison import Compared
from gluon_nrm.runs.open_run import RunFolder
from gluon_nrm.runs.tables import Row
from gluon_nrm.storage import csv_io
from gluon_nrm.storage.files import exists, os_errors, write_text

COLUMNS = ("method", "column", "seed", "epoch", "test_error")
Points = List[Tuple[int, float]]
"""Epochs and errors in per cent."""


class Curve(NamedTuple):
    """Test error of one run."""

    method: str
    column: str  # a number of labels
    seed: int
    points: Points


def collect_curves(cells: Sequence[Compared], path: Optional[Path] = None) -> List[Curve]:
    """Read the curves of the runs of a table. Runs with neither a folder nor lines in the file are left out.

    Args:
        cells: with their runs; ``row["path"]`` is the folder of a run that has one.
        path: a file of ``write_curves`` for runs without a folder; None, or not there: no file.

    Raises:
        RunError: a run or the file is damaged, or a curve of the file is of another run.
    """
    stored = read_curves(path) if path is not None and exists(path, RunError) else {}
    found = []
    for cell in cells:
        for row in cell.runs:
            key = (cell.method, cell.column.name, row["seed"])
            points = _points(row) if "path" in row else stored.get(key, [])
            if points and abs(points[-1][1] - row["test_error_last"]) > 1e-3:
                raise RunError(
                    f"{path}: the curve of {cell.method}, {cell.column.name} labels, seed {row['seed']} ends "
                    f"at {points[-1][1]} %, its run at {row['test_error_last']} %;\nwrite both files again"
                )
            if points:
                found.append(Curve(*key, points))
    return found


def _points(row: Row) -> Points:
    """Read the errors of a run's folder, of the network that is evaluated."""
    key = f"error/{row['network']}"
    metrics = RunFolder(Path(row["path"])).read_metrics()
    return [(each["epoch"], round(each[key], 4)) for each in metrics if each.get(key) is not None]


def read_curves(path: Path) -> Dict[Tuple[str, str, int], Points]:
    """Read a file of ``write_curves``: (method, column, seed) -> points.

    Raises:
        RunError: the file cannot be read, or a line of it is damaged.
    """
    found: Dict[Tuple[str, str, int], Points] = {}
    for line, row in csv_io.read_csv(path, RunError, _KINDS):
        points = found.setdefault((row["method"], row["column"], row["seed"]), [])
        if points and row["epoch"] <= points[-1][0]:
            raise RunError(f"{path}:{line}: epoch must rise from line to line of a run; write the file again")
        points.append((row["epoch"], row["test_error"]))
    return found


def write_curves(curves: Sequence[Curve], path: Path) -> None:
    """Write one line per run and epoch to a CSV file, atomically.

    Raises:
        RunError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for curve in curves:
        for epoch, error in curve.points:
            writer.writerow([curve.method, curve.column, curve.seed, epoch, error])
    with os_errors(RunError, "write", path):
        write_text(path, text.getvalue())


#: Types of the columns.
_KINDS: Mapping[str, csv_io.Kind] = {
    "method": str,
    "column": str,
    "seed": csv_io.integer,
    "epoch": csv_io.integer,
    "test_error": csv_io.number,
}
