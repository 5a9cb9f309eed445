"""A table on images of another data set: cells without a recipe, medians, rows that are kept in results/."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest
from commands import run_here
from fakes import ROOT

from gluon_nrm.cli import table as table_command
from gluon_nrm.cli.train import parse
from gluon_nrm.errors import RunError
from gluon_nrm.recipe import load_recipe, recipe_hash
from gluon_nrm.report import comparison, index, reproduce, table_text
from gluon_nrm.report.paper_tables import METHODS, TABLES, get_table
from gluon_nrm.report.side_by_side import TrainingCommand
from gluon_nrm.runs.tables import Row, write_csv

FASHION = get_table("table3", "fashion_mnist")
WITH_ALL = ("supervised", "nrm_rpn", "nrm_rpn_maxmin")


@pytest.fixture(name="recipes")
def _recipes(tmp_path: Path) -> Path:
    """Recipes of every method, and of three with all labels; those of the digits, on the other images."""
    folder = tmp_path / "recipes"
    folder.mkdir()
    for ending in METHODS.values():
        text = (ROOT / "recipes" / f"digits_{ending}.yaml").read_text(encoding="utf-8")
        other = text.replace("name: digits\n", "name: mnist\n")
        (folder / f"fashion_mnist_{ending}.yaml").write_text(other, encoding="utf-8")
        if ending in WITH_ALL:
            left_out = ("  labels: ", "  batch_unlabelled: ")
            lines = [line for line in other.split("\n") if not line.startswith(left_out)]
            (folder / f"fashion_mnist_{ending}_all.yaml").write_text("\n".join(lines), encoding="utf-8")
    return folder


def row_of(recipes: Path, method: str, column: str, seed: int, last: float, median: float) -> Row:
    """The row of a finished run of a cell, as ``tables.summarise`` makes it."""
    cell = next(each for each in FASHION.cells if (each.method, each.column.name) == (method, column))
    labels = cell.column.labels
    return {
        "recipe": cell.recipe, "labels": labels or "all", "seed": seed, "split_seed": seed if labels else 0,
        "test_error_last": last, "test_error_median20": median, "test_error_best_optimistic": last,
        "evaluated_on": "test", "network": "student", "epochs": 40, "finished": True, "commit": "abc",
        "settings": comparison.settings_of(cell, recipes), "run": f"{cell.recipe}-s{seed}",
    }  # fmt: skip


def rows_of(recipes: Path) -> List[Row]:
    return [
        row_of(recipes, "NRM + RPN", "500", 0, 15.0, 16.0),
        row_of(recipes, "NRM + RPN", "500", 1, 17.0, 20.0),
        row_of(recipes, "NRM + RPN", "all", 0, 7.25, 7.5),
        row_of(recipes, "NRM + RPN", "all", 1, 7.75, 7.5),
    ]


def lines_of(text: str) -> Tuple[Dict[str, str], Dict[str, str]]:
    """The lines of both grids of a table in Markdown, by method."""
    grids = [part for part in text.split("\n\n") if part.startswith("| method")]
    first, second = ({line.split("|")[1].strip(): line for line in grid.split("\n")} for grid in grids)
    return first, second


def test_columns_and_cells(recipes: Path) -> None:
    assert [(each.name, each.labels) for each in FASHION.columns] == [
        ("500", 500),
        ("1000", 1000),
        ("all", None),
    ]
    assert len(METHODS) == 16 and FASHION.stem == "table3_fashion_mnist"
    cells = FASHION.runnable(recipes)
    assert len(cells) == 2 * 16 + 3
    assert {cell.recipe for cell in cells if cell.column.labels is None} == {
        f"fashion_mnist_{ending}_all" for ending in WITH_ALL
    }
    # nothing is left out of the paper's own tables, and of the digits
    for table in [*TABLES.values(), get_table("table3", "digits")]:
        assert table.runnable(ROOT / "recipes") == table.cells
    with pytest.raises(RunError, match="it can also be made of digits or fashion_mnist, not of 'stl'"):
        get_table("table3", "stl")


def test_a_cell_without_a_recipe_is_no_error(recipes: Path) -> None:
    cells = comparison.compare(FASHION, rows_of(recipes), [], recipes)
    last, medians = lines_of(table_text.to_markdown(FASHION, cells))
    assert last["NRM + RPN †"] == "| NRM + RPN † | 16.00 ± 1.41 (2) |  | 7.50 ± 0.35 (2) |"
    assert medians["NRM + RPN †"] == "| NRM + RPN † | 18.00 ± 2.83 |  | 7.50 ± 0.00 |"
    assert last["Pi model †"] == medians["Pi model †"] == "| Pi model † |  |  | – |"
    assert last["Supervised only †"] == "| Supervised only † |  |  |  |"  # has one, without runs
    text = table_text.to_markdown(FASHION, cells)
    assert "– not trained: there is no recipe of this method with this number of labels." in text
    assert "§" not in text and "median of the last 20 evaluations" in text
    empty = table_text.to_markdown(FASHION, comparison.compare(FASHION, [], [], recipes))
    assert "median" not in empty


def test_what_is_missing_has_a_recipe(recipes: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    write_csv(rows_of(recipes), rows)
    missing = reproduce.missing_runs(FASHION, [0, 2], tmp_path / "runs", recipes, rows)
    assert len(missing) == 2 * 35 - 2
    assert not [each for each in missing if each.cell not in FASHION.runnable(recipes)]


def test_the_commands_that_train_side_by_side(
    recipes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each names its own recipe, and gives the settings and seeds that training in this process has."""
    asked: List[Tuple[List[TrainingCommand], int]] = []
    monkeypatch.setattr(reproduce, "run_side_by_side", lambda jobs, at_once: asked.append((jobs, at_once)))
    how: Dict[str, Any] = {"devices": "cpu", "data_dir": tmp_path / "my data"}
    reproduce.train_missing(FASHION, [2], tmp_path / "runs", recipes, jobs=2, **how)
    ((jobs, at_once),) = asked
    cells = FASHION.runnable(recipes)
    assert at_once == 2 and len(jobs) == len(cells) == 35
    assert jobs[0].title == "ALI, 500 labels, seed 2"
    for job, cell in zip(jobs, cells):
        options = parse(job.words[2:])  # after Python and the script
        assert (options.devices, options.data_dir) == ("cpu", tmp_path / "my data")
        assert options.runs == tmp_path / "runs" / FASHION.folder(cell.column)
        recipe = load_recipe(options.recipe, options.set)
        split = 2 if cell.column.labels else 0
        assert (recipe.name, recipe.train.seed, recipe.data.split_seed) == (cell.recipe, 2, split)
        assert recipe.data.labels == cell.column.labels
        assert recipe_hash(recipe) == recipe_hash(cell.load(recipes, f"data.split_seed={split}"))


def test_the_rows_in_results_are_taken_where_there_is_no_run(
    recipes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = recipes.parent
    (folder / "results").mkdir()
    write_csv(rows_of(recipes), folder / "results" / "table3_fashion_mnist_runs.csv")
    monkeypatch.setattr(table_command, "recipes_folder", lambda: recipes)
    done = run_here("table", "table3", "--data", "fashion_mnist", folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "none of its runs is in runs/; this is made from results/table3_fashion_mnist_runs.csv" in done.stdout
    )
    assert "16.00 ± 1.41 (2)" in done.stdout
    assert (folder / "tables" / "table3_fashion_mnist.md").read_text(encoding="utf-8") in done.stdout
    # runs of other seeds are not there either; with --seeds, nothing is left of the rows
    done = run_here("table", "table3", "--data", "fashion_mnist", "--seeds", 5, folder=folder)
    assert done.returncode == 0 and "to train all 35: " in done.stdout


def test_a_data_set_without_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_command, "recipes_folder", lambda: tmp_path)
    done = run_here("table", "table3", "--data", "fashion_mnist", folder=tmp_path)
    assert done.returncode == 2 and "--data: there is no recipe fashion_mnist_*.yaml" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_number_of_jobs() -> None:
    done = run_here("table", "table3", "--train", "--jobs", "0")
    assert done.returncode == 2 and "'0' is no number from 1 on" in done.stderr


def test_the_index_lists_the_recipes_there_are(recipes: Path) -> None:
    text = index._table(FASHION, recipes.parent)
    assert text.count("\n| [fashion_mnist_") == 35
    assert "`--set data.labels=500` | Pi model | 500 |" in text and "_pi_all" not in text
