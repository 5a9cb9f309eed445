"""The paper's tables: which recipe makes a cell, what is reported, what is missing, and what is written."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any, Dict, List, Sequence

import pytest
from commands import Ended, run_here
from fakes import ROOT
from matplotlib.image import imread
from short_runs import no_pictures

from gluon_nrm.cli import table as table_command
from gluon_nrm.errors import RunError
from gluon_nrm.recipe import Recipe, recipe_to_yaml
from gluon_nrm.report import comparison, index, paper_tables, reproduce, table_files, table_text
from gluon_nrm.report.find_runs import find_runs
from gluon_nrm.report.paper_tables import TABLES, Cell, Table, get_table
from gluon_nrm.report.published import PUBLISHED, read_logged, read_published
from gluon_nrm.report.table_cost import describe_cost
from gluon_nrm.runs import figures
from gluon_nrm.runs.open_run import open_run
from gluon_nrm.runs.tables import read_csv, write_csv
from gluon_nrm.training import fit as fit_module

RECIPES = ROOT / "recipes"
DIGITS, TABLE3 = get_table("table3", "digits"), TABLES["table3"]


def cell_of(table: Table, method: str, column: str) -> Cell:
    return table.cell(method, next(each for each in table.columns if each.name == column))


def make_run(root: Path, table: Table, cell: Cell, seed: int, *errors: float, **how: Any) -> Path:
    """A run of a cell, finished unless ``finished`` is false, in its place, with one evaluation an epoch."""
    seeds = (f"train.seed={seed}", f"data.split_seed={seed}")
    recipe = cell.load(RECIPES, *how.get("more", ()), *seeds)
    folder, text = root / table.folder(cell.column), recipe_to_yaml(recipe)
    with open_run(folder, f"{recipe.name}-s{seed}", text, {"commit": f"{seed}abc"}, fresh=True) as run:
        for epoch, error in enumerate(errors, start=1):
            run.append_metrics({"epoch": epoch, "error/student": error, "error/teacher": error + 1})
        if how.get("finished", True):
            run.mark_finished({})
    return run.path


def compared(table: Table, root: Path) -> Dict[Any, comparison.Compared]:
    rows = find_runs(table, root)
    cells = comparison.compare(table, rows, read_published(PUBLISHED), RECIPES, read_logged())
    return {(cell.method, cell.column.name): cell for cell in cells}


def test_what_is_reported() -> None:
    cells = read_published(PUBLISHED)
    keys = [(each.table, each.method, each.column) for each in cells]
    assert len(set(keys)) == len(keys)
    for name, table in TABLES.items():
        mine = [each for each in cells if each.table == name]
        assert {each.column for each in mine} == {column.name for column in table.columns}
        # what is run is run in every cell; of the paper's own rows no figure is known, so none is given
        assert {each.method for each in mine if each.run} <= set(paper_tables.METHODS)
        assert not {each.method for each in mine if not each.run} & set(paper_tables.METHODS)
        own = [each for each in mine if each.source == "Ho et al. 2019" or each.method == "DRM"]
        assert own and all(each.value is None for each in own)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,b,table3,4K,x,,seen,yes", "column 'value' must be a number, found 'x'"),
        ("a,b,table3,4K,1.0,,,yes", "a value and its status need each other"),
        ("a,b,table3,4K,,,seen,yes", "a value and its status need each other"),
        ("a,b,table3,4K,1.0,,read,yes", "column 'status' must be seen or cited or empty, found 'read'"),
        ("a,b,table3,4K,1.0,,seen,True", "column 'run' must be yes or no, found 'True'"),
        ("a,b", "2 cells instead of 8"),
    ],
)
def test_a_damaged_figure_is_named(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "published.csv"
    path.write_text(f"method,source,table,column,value,std,status,run\n{line}\n")
    with pytest.raises(RunError, match=rf"published.csv:2: {message}"):
        read_published(path)


def test_cells_and_folders() -> None:
    cell = cell_of(TABLE3, "NRM + RPN", "1K")
    assert (cell.recipe, cell.overrides) == ("cifar10_nrm_rpn", ("data.labels=1000",))
    everything = cell_of(TABLE3, "NRM + RPN", "50K")
    assert (everything.recipe, everything.overrides) == ("cifar10_nrm_rpn_all", ())
    assert [TABLE3.folder(column) for column in TABLE3.columns][::3] == ["cifar10-1000", "cifar10-all"]
    assert get_table("table4", "cifar100") is TABLES["table4"]
    with pytest.raises(RunError, match="table3 is of cifar10; it can also be made of digits, not of 'digit'"):
        get_table("table3", "digit")


def test_runs_are_found_and_averaged(tmp_path: Path) -> None:
    nrm, teacher = cell_of(DIGITS, "NRM + RPN", "50"), cell_of(DIGITS, "Mean Teacher", "100")
    make_run(tmp_path, DIGITS, nrm, 0, 9.0, 3.0)
    make_run(tmp_path, DIGITS, nrm, 1, 9.0, 5.0)
    make_run(tmp_path, DIGITS, teacher, 2, 7.0, finished=False)
    # other settings, a held-out part, another recipe and a run without an evaluation do not count
    make_run(tmp_path, DIGITS, nrm, 2, 1.0, more=["optimiser.phases.0.lr=0.5"])
    make_run(tmp_path, DIGITS, nrm, 3, 1.0, more=["data.validation=297"])
    make_run(tmp_path, DIGITS, nrm, 4)
    make_run(tmp_path, DIGITS, nrm, 5, 1.0, more=["name=mine"])
    cells = compared(DIGITS, tmp_path)
    cell = cells["NRM + RPN", "50"]
    assert (cell.mean(), cell.unfinished) == (4.0, 0) and cell.std() == pytest.approx(2**0.5)
    assert (cells["Mean Teacher", "100"].mean(), cells["Mean Teacher", "100"].std()) == (8.0, None)
    text = table_text.to_markdown(DIGITS, list(cells.values()))
    assert "| NRM + RPN | 4.00 ± 1.41 (2) |  |" in text
    assert "| Mean Teacher |  | 8.00 (1 *) |" in text
    assert "not all of these runs have reached their last epoch" in text
    assert "Commits of the runs: 0abc, 1abc, 2abc." in text
    assert "reported" not in text  # no figure is reported for these images
    assert [cell.mean() for cell in compared(TABLE3, tmp_path).values() if cell.runs] == []


def test_the_rows_and_columns_of_the_paper(tmp_path: Path) -> None:
    make_run(tmp_path, TABLE3, cell_of(TABLE3, "Pi model", "4K"), 0, 12.0)
    cells = list(compared(TABLE3, tmp_path).values())
    text = table_text.to_markdown(TABLE3, cells)
    known = [each for each in read_published(PUBLISHED) if each.table == "table3"]
    figures_of = {(each.method, each.column): each for each in known}
    grid = text.partition("**Ours, median")[0].splitlines()
    rows = {line.split("|")[1].strip(): line for line in grid if line.startswith("|")}
    assert rows["method"].count("reported") == rows["method"].count("ours") == 4
    said = figures_of["Pi model", "4K"]
    assert f"| {said.value:.2f} ± {said.std:.2f} | 12.00 (1) |" in rows["Pi model"]
    assert "Pi model, re-run by Tarvainen and Valpola §" in rows and "reported only" in text
    # no figure of the paper itself is known; its authors' logs are a column of their own
    assert rows["NRM + RPN"].replace("|", "").split() == ["NRM", "+", "RPN", "19.88", "¶"]
    titles = [title.strip() for title in rows["method"].split("|")]
    assert titles[6:9] == ["4K reported", "4K ours", "4K logged"]
    comparison.write_comparison(TABLE3, cells, tmp_path / "t.csv")
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        lines = {(row["method"], row["column"]): row for row in csv.DictReader(file)}
    assert lines["Pi model", "4K"]["error_mean"] == "12.0"
    assert float(lines["Pi model", "4K"]["reported"]) == said.value
    assert lines["Pi model, re-run by Tarvainen and Valpola", "4K"]["recipe"] == ""
    assert len(lines) == len(cells) == 4 * len(rows) - 8  # but for the heading and the line below it


def test_one_seed_twice_is_an_error(tmp_path: Path) -> None:
    cell = cell_of(DIGITS, "DRM", "50")
    for _ in range(2):
        make_run(tmp_path, DIGITS, cell, 0, 5.0)
    with pytest.raises(RunError, match="digits_drm-s0 and digits_drm-s0-2 are one recipe with one seed"):
        compared(DIGITS, tmp_path)


def test_what_is_missing(tmp_path: Path) -> None:
    total = len(DIGITS.cells)
    drm = cell_of(DIGITS, "DRM", "50")
    make_run(tmp_path, DIGITS, drm, 0, 5.0)
    make_run(tmp_path, DIGITS, drm, 1, 5.0, finished=False)
    missing = reproduce.missing_runs(DIGITS, [0, 1], tmp_path, RECIPES)
    assert len(missing) == 2 * total - 1
    assert [each.seed for each in missing] == [0] * (total - 1) + [1] * total
    assert reproduce.Missing(drm, 0) not in missing and reproduce.Missing(drm, 1) in missing
    # runs whose folders are elsewhere count by their rows
    rows = tmp_path / "rows.csv"
    write_csv(find_runs(DIGITS, tmp_path), rows)
    assert len(reproduce.missing_runs(DIGITS, [0], tmp_path / "none", RECIPES, rows)) == total - 1
    found = reproduce.known_runs(DIGITS, tmp_path, rows)
    assert len(found) == 2 and len(reproduce.known_runs(DIGITS, tmp_path / "none", rows, [0])) == 1


def test_training_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two columns of one method and its twin, with short runs: trained once, then only read."""
    two = {"Supervised only": "supervised", "Temporal Ensembling": "temporal"}
    monkeypatch.setattr(paper_tables, "METHODS", two)
    monkeypatch.setattr(comparison, "METHODS", paper_tables.METHODS)
    monkeypatch.setattr(table_text, "METHODS", paper_tables.METHODS)
    no_pictures(monkeypatch)
    checkout = tmp_path / "checkout"
    (checkout / "recipes").mkdir(parents=True)
    for stem in ("digits_supervised", "digits_temporal"):
        text = (RECIPES / f"{stem}.yaml").read_text(encoding="utf-8")
        short = text.replace("epochs: 40", "epochs: 2").replace("epoch_steps: 20 ", "epoch_steps: 2 ")
        assert short.count("epochs: 2") == text.count("epochs: 20") + 1
        (checkout / "recipes" / f"{stem}.yaml").write_text(short, encoding="utf-8")
    trained: List[Recipe] = []

    def train(recipe: Recipe, **how: Any) -> Any:
        trained.append(recipe)
        return fit_module.fit(recipe, **how)

    monkeypatch.setattr(reproduce, "fit", train)
    runs = tmp_path / "runs"
    for _ in range(2):
        reproduce.train_missing(DIGITS, [3], runs, checkout / "recipes", devices="cpu")
    assert [(r.name, r.data.labels, r.data.split_seed, r.train.seed) for r in trained] == [
        (name, labels, 3, 3) for name in ("digits_supervised", "digits_temporal") for labels in (50, 100)
    ]
    assert sorted(path.name for path in runs.iterdir()) == ["digits-100", "digits-50"]
    written = table_files.make_table(DIGITS, None, runs, tmp_path / "out", checkout / "recipes").paths
    assert [path.name for path in written] == [
        "table3_digits.md", "table3_digits.csv", "table3_digits_runs.csv", "table3_digits.png",
        "table3_digits_curves.csv", "table3_digits_curves.png",
    ]  # fmt: skip
    assert len(read_csv(written[2])) == 4
    assert imread(str(written[3])).ndim == 3
    # from its own rows, the same table
    recipes = checkout / "recipes"
    again = table_files.make_table(
        DIGITS, None, tmp_path / "none", tmp_path / "again", recipes, written[2]
    ).paths
    assert [path.read_bytes() for path in again[:3]] == [path.read_bytes() for path in written[:3]]


def test_a_run_is_found_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As train.py makes it, deeper, renamed, and through a link; not a copy in a hidden folder."""
    drm = cell_of(DIGITS, "DRM", "50")
    places = ["digits_drm-s0", "2026/may/digits_drm-s1", "my favourite", "digits-50/digits_drm-s3"]
    for seed, place in enumerate(places):
        made = make_run(tmp_path / "made", DIGITS, drm, seed, 2.0 + seed)
        (tmp_path / "runs" / place).parent.mkdir(parents=True, exist_ok=True)
        made.rename(tmp_path / "runs" / place)
    made = make_run(tmp_path / "elsewhere", DIGITS, drm, 4, 6.0)
    (tmp_path / "runs" / "link").symlink_to(made, target_is_directory=True)
    (tmp_path / "runs" / "again").symlink_to(tmp_path / "runs" / "2026", target_is_directory=True)
    (tmp_path / "runs" / ".trash").mkdir()
    (tmp_path / "made").rename(tmp_path / "runs" / ".trash" / "made")
    assert sorted(row["seed"] for row in find_runs(DIGITS, tmp_path / "runs")) == [0, 1, 2, 3, 4]
    assert compared(DIGITS, tmp_path / "runs")["DRM", "50"].mean() == 4.0
    # training goes on where an interrupted run lies
    (tmp_path / "runs" / "my favourite" / "FINISHED.json").unlink()
    monkeypatch.setattr(reproduce, "missing_runs", lambda *_: [reproduce.Missing(drm, 2)])
    roots: List[Path] = []
    monkeypatch.setattr(reproduce, "fit", lambda recipe, **how: roots.append(how["root"]))
    reproduce.train_missing(DIGITS, [2], tmp_path / "runs", RECIPES)
    assert roots == [tmp_path / "runs"]


def test_the_same_name_twice_is_told_by_its_folders(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        make_run(tmp_path / folder, DIGITS, cell_of(DIGITS, "DRM", "50"), 0, 5.0)
    with pytest.raises(RunError, match="a/digits-50/digits_drm-s0 and .*b/digits-50/digits_drm-s0 are one"):
        compared(DIGITS, tmp_path)


def test_with_all_labels_a_run_is_not_trained_again(tmp_path: Path) -> None:
    """Nothing is drawn there: split_seed stays 0 whatever the seed."""
    cell = cell_of(TABLE3, "DRM", "50K")
    recipe = cell.load(RECIPES, "train.seed=1")
    with open_run(tmp_path, "cifar10_drm_all-s1", recipe_to_yaml(recipe), {}) as run:
        run.append_metrics({"epoch": 1, "error/student": 5.0})
        run.mark_finished({})
    assert reproduce.Missing(cell, 1) not in reproduce.missing_runs(TABLE3, [1], tmp_path, RECIPES)


def test_what_the_authors_logged() -> None:
    """Every figure is of a cell of a table, and shown in its own column."""
    logged = read_logged()
    assert len(logged) == 8 and sum(each.finished for each in logged) == 2
    for name, table in TABLES.items():
        mine = [each for each in logged if each.table == name]
        assert {each.column for each in mine} <= {column.name for column in table.columns}
        text = table_text.to_markdown(table, comparison.compare(table, [], [], RECIPES, logged))
        assert all(f" {each.value:.2f}{'' if each.finished else ' ¶'} |" in text for each in mine)
        assert "the log ends before the last epoch" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("table4", "all 72: python tools/table.py table4 --seeds 0 1 2 --train\ncost: about "),
        ("table3 --data digits --seeds 4 --root r",
         "all 32: python tools/table.py table3 --data digits --seeds 4 --root r --train\nto forecast "),
    ],
)  # fmt: skip
def test_an_empty_table_says_what_fills_it(
    words: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert table_command.main(words.split()) == 0
    out = capsys.readouterr().out
    assert said in out and "so nothing is written" in out and "| method |" in out
    assert list(tmp_path.iterdir()) == []


def test_the_cost_of_a_table_is_that_of_its_runs() -> None:
    cell = cell_of(TABLE3, "NRM + RPN", "4K")
    epochs = cell.load(RECIPES).train.epochs
    hours = float(re.findall(r"an epoch: ([\d.]+) h", (RECIPES / "cifar10_nrm_rpn.yaml").read_text())[0])
    said = describe_cost([cell, cell], RECIPES)
    assert said.startswith(
        f"cost: about {2 * epochs * hours:,.0f} hours of one CPU thread, {epochs * hours:,.0f} a run; "
    )


def call(folder: Path, *arguments: object) -> Ended:
    return run_here("table", *arguments, folder=folder)


def test_the_tool(tmp_path: Path) -> None:
    make_run(tmp_path, TABLES["table5"], cell_of(TABLES["table5"], "VAT + EntMin", "1000"), 0, 4.25)
    done = call(tmp_path, "table5", "--root", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "| VAT + EntMin |" in done.stdout and "4.25 (1)" in done.stdout
    endings = (".csv", ".md", ".png", "_curves.csv", "_curves.png", "_runs.csv")
    names = [f"table5{ending}" for ending in endings]
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == names
    assert (tmp_path / "tables" / "table5.md").read_text(encoding="utf-8") in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table3", "--data", "mnist"], "error: --data: table3 is of cifar10"),
        (["table3", "runs/x"], "table3 takes its runs from --root or --from"),
        (["table3", "--from", "nothing.csv"], "error: cannot read"),
    ],
)
def test_what_the_tool_refuses(arguments: Sequence[str], message: str, tmp_path: Path) -> None:
    done = call(tmp_path, *arguments, "--out", tmp_path)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_plot_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no groups"):
        figures.plot_comparison([], tmp_path / "p.png", [])
    one, two = ("one", [("a", 3.0, 0.0, True)]), ("two", [("a", 0.1, 0.5, True)])
    panels: List[List[figures.Group]] = [[("none", []), one], [one], [one, two], [("none", [])]]
    widths = []
    for groups in panels:
        figures.plot_comparison(groups, tmp_path / "p.png", ["b", "a"])
        widths.append(imread(str(tmp_path / "p.png")).shape[1])
    assert 500 < widths[0] == widths[1] == widths[3] < widths[2]  # a panel without a dot takes no room


def test_the_index_is_up_to_date() -> None:
    text = (RECIPES / "README.md").read_text(encoding="utf-8")
    assert text == index.render(), "write it again: python -m gluon_nrm.report.index recipes/README.md"
    stems = {path.stem for path in RECIPES.glob("*.yaml")}
    assert all(f"[{stem}]({stem}.yaml)" in text for stem in stems)


def test_the_table_of_the_digits_is_made_from_its_runs(tmp_path: Path) -> None:
    """What is kept in results/ is what the tool writes; every cell has its three seeds."""
    kept = ROOT / "results" / "table3_digits_runs.csv"
    written = table_files.make_table(DIGITS, None, tmp_path / "none", tmp_path / "out", RECIPES, kept).paths
    for path in written[:3]:
        assert path.read_bytes() == (ROOT / "results" / path.name).read_bytes(), path.name
    rows = read_csv(kept)
    assert all(row["finished"] and row["seed"] == row["split_seed"] for row in rows)
    for cell in DIGITS.cells:
        mine = [row for row in rows if (row["recipe"], row["labels"]) == (cell.recipe, cell.column.labels)]
        assert sorted(row["seed"] for row in mine) == [0, 1, 2], cell


def test_rows_and_columns_are_those_of_the_paper() -> None:
    """Copied by hand from the paper's tables, so that neither a row nor a column is lost or invented."""
    rendering = ["NRM without RPN", "NRM + RPN", "NRM + RPN + Max-Min"]
    consistency = ["Pi model", "Temporal Ensembling"]
    others = [*consistency, "Mean Teacher", "VAT + EntMin"]
    rows = {
        "table3": ["ALI", "Improved GAN", "Ladder network", *others, "DRM", "Supervised only", *rendering,
                   "NRM + RPN + Max-Min + Mean Teacher"],
        "table4": [*consistency, "DRM", *rendering, "NRM + RPN + Mean Teacher"],
        "table5": ["ALI", "Improved GAN", "Improved GAN + Jacobian reg. + tangents", *others, "DRM",
                   *rendering, "NRM + RPN + Max-Min + Mean Teacher"],
    }  # fmt: skip
    columns = {
        "table3": ["1K", "2K", "4K", "50K"],
        "table4": ["10K", "50K"],
        "table5": ["250", "500", "1000", "73257"],
    }
    extra = {
        "table3": {"NRM + RPN + Mean Teacher", "NRM + RPN + VAT"},
        "table4": {
            "Mean Teacher", "VAT + EntMin", "Supervised only", "NRM + RPN + Max-Min + Mean Teacher",
            "NRM + RPN + VAT",
        },
        "table5": {"Supervised only", "NRM + RPN + Mean Teacher", "NRM + RPN + VAT"},
    }  # fmt: skip
    for name, table in TABLES.items():
        listed = {each.method for each in read_published(PUBLISHED) if each.table == name}
        assert listed - {"Pi model, re-run by Tarvainen and Valpola"} == set(rows[name])
        assert [column.name for column in table.columns] == columns[name]
        cells = comparison.compare(table, [], read_published(PUBLISHED), RECIPES, read_logged())
        assert {cell.method for cell in cells if not cell.in_paper} == extra[name]
        text = table_text.to_markdown(table, cells)
        assert all(f"| {method} † |" in text for method in extra[name])
        assert f"† not a row of the paper's Table {name[-1]}." in text
