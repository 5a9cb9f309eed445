"""Differences of two methods on the same seeds: what each rung of a ladder is worth."""

from __future__ import annotations

import csv
import io
import math
import statistics
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from gluon_nrm.errors import RunError
from gluon_nrm.report.comparison import Compared
from gluon_nrm.report.paper_tables import Table
from gluon_nrm.storage.files import os_errors, write_text

FULL = "NRM + RPN + Max-Min + Mean Teacher"
#: (the method without, the method with) what a rung adds.
RUNGS = (
    ("Supervised only", "Mean Teacher"),
    ("Supervised only", "NRM without RPN"),
    ("NRM without RPN", "NRM + RPN"),
    ("NRM + RPN", "NRM + RPN + Max-Min"),
    ("NRM + RPN + Max-Min", FULL),
    ("NRM + RPN", "NRM + RPN + Mean Teacher"),
    ("Supervised only", "NRM + RPN"),
    ("Supervised only", FULL),
    ("Mean Teacher", FULL),
)
COLUMNS = (
    "table", "data", "column", "without", "with", "pairs", "seeds", "last_mean", "last_standard_error",
    "median20_mean", "median20_standard_error",
)  # fmt: skip


class Difference(NamedTuple):
    """Mean of the pairs of a rung, in percentage points; below 0, the method with it has the lower error."""

    mean: Optional[float]  # None without a pair
    standard_error: Optional[float]  # of the mean; None for fewer than two pairs


class Rung(NamedTuple):
    """Two methods on the same seeds, with one number of labels."""

    without: str
    method: str
    column: str
    seeds: List[int]
    last: Difference
    median20: Difference


def paired_differences(table: Table, cells: Sequence[Compared]) -> List[Rung]:
    """Compare the methods of each rung, column by column, on the seeds that both have finished."""
    found = {(cell.method, cell.column.name): _finished(cell) for cell in cells}
    rungs = []
    for without, method in RUNGS:
        for column in table.columns:
            below, above = found[without, column.name], found[method, column.name]
            seeds = sorted(set(below) & set(above))
            last = _difference([above[seed][0] - below[seed][0] for seed in seeds])
            median = _difference([above[seed][1] - below[seed][1] for seed in seeds])
            rungs.append(Rung(without, method, column.name, [seed for seed, _ in seeds], last, median))
    return rungs


def _finished(cell: Compared) -> Dict[Tuple[int, int], Tuple[float, float]]:
    """Return both errors of the finished runs of a cell, by the seeds of run and labelled draw."""
    return {
        (row["seed"], row["split_seed"]): (row["test_error_last"], row["test_error_median20"])
        for row in cell.runs
        if row["finished"]
    }


def _difference(values: Sequence[float]) -> Difference:
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return Difference(statistics.mean(values) if values else None, error)


def to_markdown(table: Table, rungs: Sequence[Rung]) -> str:
    """Format the differences of the last errors, one line a rung; rungs without a pair are left out."""
    lines = [
        f"**{table.title}: difference of the test error, paired by seed (percentage points)**", "",
        "| without | with | " + " | ".join(column.name for column in table.columns) + " |",
        "|---|---|" + "---:|" * len(table.columns),
    ]  # fmt: skip
    for without, method in RUNGS:
        texts = [_text(rung) for rung in rungs if (rung.without, rung.method) == (without, method)]
        if any(texts):
            lines.append(f"| {without} | {method} | " + " | ".join(texts) + " |")
    note = "Mean ± standard error of the mean, number of pairs in brackets; below 0, the method on the right"
    return "\n".join([*lines, "", f"{note} has the lower error. Last epoch, finished runs."]) + "\n"


def _text(rung: Rung) -> str:
    if rung.last.mean is None:
        return ""
    spread = "" if rung.last.standard_error is None else f" ± {rung.last.standard_error:.2f}"
    return f"{rung.last.mean:+.2f}{spread} ({len(rung.seeds)})"


def write_rungs(table: Table, rungs: Sequence[Rung], path: Path) -> None:
    """Write one line per rung and column to a CSV file, atomically.

    Raises:
        RunError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for rung in rungs:
        values = [None if value is None else round(value, 4) for value in (*rung.last, *rung.median20)]
        seeds = " ".join(map(str, rung.seeds))
        where = (table.name, table.data, rung.column, rung.without, rung.method)
        writer.writerow([*where, len(rung.seeds), seeds, *values])
    with os_errors(RunError, "write", path):
        write_text(path, text.getvalue())
