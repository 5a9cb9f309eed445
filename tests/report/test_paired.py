"""Differences paired by seed, against a computation by hand."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

import pytest

from gluon_nrm.report.comparison import Compared
from gluon_nrm.report.paired import FULL, RUNGS, paired_differences, to_markdown, write_rungs
from gluon_nrm.report.paper_tables import METHODS, get_table
from gluon_nrm.runs.tables import Row

TABLE = get_table("table3", "fashion_mnist")


def runs(errors: Sequence[Tuple[int, float, float]], finished: bool = True) -> List[Row]:
    return [
        {"seed": seed, "split_seed": seed, "test_error_last": last, "test_error_median20": median,
         "finished": finished}
        for seed, last, median in errors
    ]  # fmt: skip


def cells_with(rows: Dict[Tuple[str, str], List[Row]]) -> List[Compared]:
    return [
        Compared(method, column, "recipe", None, rows.get((method, column.name), []))
        for method in METHODS
        for column in TABLE.columns
    ]


CELLS = cells_with({
    # seed 9 is of one of them alone, and seed 3 is unfinished
    ("NRM + RPN", "500"): runs(
        [(0, 16.0, 16.5), (1, 20.0, 19.0), (2, 15.0, 15.0), (9, 1.0, 1.0), (3, 9.0, 9.0)]
    ),
    ("NRM + RPN + Max-Min", "500"): [
        *runs([(2, 14.0, 15.0), (0, 15.5, 16.0), (1, 18.0, 18.5)]),
        *runs([(3, 0.0, 0.0)], finished=False),
    ],
    ("Supervised only", "1000"): runs([(0, 14.0, 14.0)]),
    ("Mean Teacher", "1000"): runs([(0, 13.25, 13.5)]),
    (FULL, "1000"): runs([(4, 12.0, 12.0)]),
})  # fmt: skip


def test_means_and_standard_errors_by_hand() -> None:
    """-0.5, -2 and -1: mean -3.5/3; squares about it sum to 7/6, the variance is 7/12, the error 0.4410."""
    rungs = {(each.without, each.method, each.column): each for each in paired_differences(TABLE, CELLS)}
    assert len(rungs) == len(RUNGS) * 3
    found = rungs["NRM + RPN", "NRM + RPN + Max-Min", "500"]
    assert found.seeds == [0, 1, 2]
    assert found.last == pytest.approx((-3.5 / 3, (7 / 12 / 3) ** 0.5))
    assert found.last.standard_error == pytest.approx(0.4410, abs=1e-4)
    # -0.5, -0.5 and 0
    assert found.median20 == pytest.approx((-1 / 3, (1 / 12 / 3) ** 0.5))
    one = rungs["Supervised only", "Mean Teacher", "1000"]
    assert (one.seeds, one.last, one.median20) == ([0], (-0.75, None), (-0.5, None))
    none = rungs["Mean Teacher", FULL, "1000"]  # other seeds
    assert (none.seeds, none.last) == ([], (None, None))


def test_the_ladder_is_of_rows_of_the_table() -> None:
    assert {method for rung in RUNGS for method in rung} <= set(METHODS) and len(set(RUNGS)) == len(RUNGS)
    assert {
        ("Supervised only", "Mean Teacher"), ("NRM without RPN", "NRM + RPN"),
        ("NRM + RPN", "NRM + RPN + Max-Min"), ("NRM + RPN + Max-Min", FULL),
        ("NRM + RPN", "NRM + RPN + Mean Teacher"), ("Supervised only", FULL), ("Mean Teacher", FULL),
    } <= set(RUNGS)  # fmt: skip


def test_as_text_and_as_csv(tmp_path: Path) -> None:
    rungs = paired_differences(TABLE, CELLS)
    text = to_markdown(TABLE, rungs)
    assert "| without | with | 500 | 1000 | all |" in text
    assert "| NRM + RPN | NRM + RPN + Max-Min | -1.17 ± 0.44 (3) |  |  |" in text
    assert "| Supervised only | Mean Teacher |  | -0.75 (1) |  |" in text
    assert text.count("\n| ") == 3  # the heading and the rungs that have a pair
    write_rungs(TABLE, rungs, tmp_path / "paired.csv")
    with open(tmp_path / "paired.csv", newline="", encoding="utf-8") as file:
        lines = {(row["without"], row["with"], row["column"]): row for row in csv.DictReader(file)}
    assert len(lines) == len(rungs)
    line = lines["NRM + RPN", "NRM + RPN + Max-Min", "500"]
    assert (line["pairs"], line["seeds"], line["last_mean"], line["last_standard_error"]) == (
        "3", "0 1 2", "-1.1667", "0.441",
    )  # fmt: skip
    assert line["median20_mean"] == "-0.3333" and line["data"] == "fashion_mnist"
    assert lines["Mean Teacher", FULL, "500"]["last_mean"] == ""
