"""Differences of two methods on the same seeds: what each rung of a ladder is worth."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import List, NamedTuple, Sequence

from gluon_nrm.errors import RunError
from gluon_nrm.report.comparison import Compared
from gluon_nrm.report.paper_tables import Table
from gluon_nrm.runs.differences import Difference, paired, to_text
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
    runs = {(cell.method, cell.column.name): cell.runs for cell in cells}
    rungs = []
    for without, method in RUNGS:
        for column in table.columns:
            last, median = (
                paired(runs[method, column.name], runs[without, column.name], error)
                for error in ("test_error_last", "test_error_median20")
            )
            seeds = [seed for seed, _ in last.seeds]
            rungs.append(Rung(without, method, column.name, seeds, last.difference, median.difference))
    return rungs


def to_markdown(table: Table, rungs: Sequence[Rung]) -> str:
    """Format the differences of the last errors, one line a rung; rungs without a pair are left out."""
    lines = [
        f"**{table.title}: difference of the test error, paired by seed (percentage points)**", "",
        "| without | with | " + " | ".join(column.name for column in table.columns) + " |",
        "|---|---|" + "---:|" * len(table.columns),
    ]  # fmt: skip
    for without, method in RUNGS:
        texts = [
            to_text(rung.last, len(rung.seeds))
            for rung in rungs
            if (rung.without, rung.method) == (without, method)
        ]
        if any(texts):
            lines.append(f"| {without} | {method} | " + " | ".join(texts) + " |")
    note = "Mean ± standard error of the mean, number of pairs in brackets; below 0, the method on the right"
    return "\n".join([*lines, "", f"{note} has the lower error. Last epoch, finished runs."]) + "\n"


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
