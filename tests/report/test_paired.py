"""Differences paired by seed, against a computation by hand."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

import pytest

from gluon_nrm.errors import RunError
from gluon_nrm.report.comparison import Compared
from gluon_nrm.report.paired import FULL, RUNGS, paired_differences, to_markdown, write_rungs
from gluon_nrm.report.paper_tables import METHODS, get_table
from gluon_nrm.runs.averages import DIFFERENCE_NOTE, group_mean_std
from gluon_nrm.runs.averages import to_markdown as averages_to_markdown
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


def run_of(recipe: str, seed: int, error: float, **other: object) -> Row:
    row = {"recipe": recipe, "seed": seed, "split_seed": seed, "test_error_last": error, "finished": True}
    return {**row, "test_error_median20": error, "labels": 50, "evaluated_on": "test", "network": "student",
            "settings": recipe, **other}  # fmt: skip


def test_differences_from_a_recipe() -> None:
    """By hand: -2, -1, -3 have the mean -2 and the standard error 1 / sqrt(3); labels are never mixed."""
    rows = [
        *(run_of("plain", seed, error) for seed, error in enumerate([10.0, 11.0, 12.0, 99.0])),
        *(run_of("ours", seed, error) for seed, error in enumerate([8.0, 10.0, 9.0])),
        run_of("ours", 3, 0.0, finished=False),
        run_of("ours", 0, 4.0, labels=100),  # no plain run with 100 labels
        run_of("held_out", 0, 4.0, evaluated_on="validation"),
        run_of("other_seed", 9, 4.0),
    ]
    groups = {(row["recipe"], row["labels"]): row for row in group_mean_std(rows, against="plain")}
    assert groups["ours", 50]["difference"] == "-2.00 ± 0.58 (3)"
    empty = [("plain", 50), ("ours", 100), ("held_out", 50), ("other_seed", 50)]
    assert [groups[key]["difference"] for key in empty] == [""] * 4
    text = averages_to_markdown(list(groups.values())).splitlines()
    assert text[0].endswith("| difference from plain |") and text[0].count("|") == text[1].count("|")
    assert text[3] == "| ours | 50 | 4 * | 6.75 ± 4.57 | 6.75 ± 4.57 | -2.00 ± 0.58 (3) |"
    assert DIFFERENCE_NOTE in text
    assert DIFFERENCE_NOTE not in averages_to_markdown(group_mean_std(rows))


def test_no_recipe_to_compare_with() -> None:
    rows = [run_of("plain", 0, 10.0), run_of("ours", 0, 8.0)]
    with pytest.raises(RunError, match="^no run is of the recipe plian; there are ours, plain$"):
        group_mean_std(rows, against="plian")
    with pytest.raises(RunError, match="^the runs of plain differ in their settings; leave out"):
        group_mean_std([*rows, run_of("plain", 1, 10.0, settings="another")], against="plain")
