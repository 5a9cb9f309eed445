"""``~`` and ``$VAR`` in every path that a user gives, be it an option, a recipe's key or the environment."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any, List

import pytest
from fakes import ROOT
from PIL import Image
from short_runs import SUPERVISED

from gluon_nrm.console.tool import pattern, run_tool
from gluon_nrm.data import load_dataset
from gluon_nrm.data.pipeline.split_files import read_split, write_splits
from gluon_nrm.data.sets.registry import data_folder
from gluon_nrm.errors import DataError, NRMError
from gluon_nrm.storage.files import expand_path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, which is also ``$HERE``, and a working directory elsewhere."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HERE", str(tmp_path / "home"))
    monkeypatch.delenv("NOWHERE", raising=False)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


@pytest.mark.parametrize("given", ["~/a/b", "$HERE/a/b", "${HERE}/a/b", "$HERE/./a//b"])
def test_replaced(given: str, home: Path) -> None:
    assert expand_path(Path(given), NRMError) == home / "a" / "b"


@pytest.mark.parametrize("given", ["a/~/b", "a~", "cost$5.png", "a$", "${", "plain/a.png", "-$-"])
def test_left_as_it_is(given: str) -> None:
    assert expand_path(Path(given), NRMError) == Path(given)
    assert pattern(f"./{given}") == f"./{given}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("$NOWHERE/a", "the variable NOWHERE is not set; set it, or write the path out"),
        ("x/${NOWHERE}", "the variable NOWHERE is not set"),
        ("~no-such-user/a", "no home folder is known for ~no-such-user"),
    ],
)
def test_what_is_not_known(given: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        expand_path(Path(given), DataError)
    assert str(caught.value).startswith(f"{given}: {said}")


@pytest.mark.parametrize("given", ["$HERE", "$NOWHERE", "~"])
def test_what_exists_by_that_very_name_is_taken(given: str) -> None:
    Path(given).mkdir()
    assert expand_path(Path(given) / "..", NRMError) == Path(given) / ".."


OPTIONS = [
    ("train", "parse", ["{}"], "recipe"),
    ("train", "parse", ["r", "--runs={}"], "runs"),
    ("train", "parse", ["r", "--data-dir={}"], "data_dir"),
    ("evaluate", "_parser", ["{}"], "run"),
    ("evaluate", "_parser", ["r", "--data-dir={}"], "data_dir"),
    ("table", "_parser", ["{}"], "runs"),
    ("table", "_parser", ["r", "--csv={}"], "csv"),
    ("table", "_parser", ["r", "--root={}"], "root"),
    ("table", "_parser", ["r", "--from={}"], "rows"),
    ("table", "_parser", ["r", "--out={}"], "out"),
    ("render", "_parser", ["{}"], "run"),
    ("render", "_parser", ["r", "--out={}"], "out"),
    ("generate", "parse", ["{}"], "run"),
    ("generate", "parse", ["r", "--out={}"], "out"),
    ("paths", "_parser", ["{}"], "runs"),
    ("paths", "_parser", ["r", "--csv={}"], "csv"),
    ("paths", "_parser", ["r", "--plot={}"], "plot"),
    ("export", "_parser", ["{}", "--out=o"], "run"),
    ("export", "_parser", ["r", "--out={}"], "out"),
    ("predict", "_parser", ["{}", "i"], "model"),
    ("predict", "_parser", ["m", "{}"], "images"),
    ("predict", "_parser", ["m", "i", "--render={}"], "render"),
    ("data", "parse", ["digits", "--split-dir={}"], "split_dir"),
    ("launch", "parse", ["--hosts={}", "true"], "hosts"),
]


@pytest.mark.parametrize(("tool", "function", "arguments", "name"), OPTIONS)
@pytest.mark.parametrize("given", ["~/x.png", "$HERE/x.png"])
def test_options(tool: str, function: str, arguments: List[str], name: str, given: str, home: Path) -> None:
    words = [word.format(given) for word in arguments]
    found: Any = getattr(importlib.import_module(f"gluon_nrm.cli.{tool}"), function)
    options = found(words) if function == "parse" else found().parse_args(words)
    value = getattr(options, name)
    assert str(value[0] if isinstance(value, list) else value) == str(home / "x.png")


def test_no_path_option_is_without_it() -> None:
    """Every other option that takes a file or a folder would be read as it stands."""
    for path in sorted((ROOT / "gluon_nrm" / "cli").glob("*.py")):
        assert "type=Path" not in path.read_text(encoding="utf-8"), path


def test_an_option_with_an_unset_variable_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("sys.argv", ["train.py", "tiny.yaml", "--runs=$NOWHERE/runs"])
    with pytest.raises(SystemExit) as left:
        run_tool(importlib.import_module("gluon_nrm.cli.train").main)
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("error: $NOWHERE/runs: the variable NOWHERE is not set; set it")


def test_recipe_keys(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """``data.path`` and ``data.split_file``, and the environment variable of the data folder."""
    for split in ("train", "test"):
        for number, name in enumerate(("apple", "bee")):
            folder = home / "m" / split / name
            folder.mkdir(parents=True)
            for count in range(2):
                Image.new("L", (8, 8), 40 * number + count).save(folder / f"{count}.png")
    assert load_dataset("folder", path="$HERE/m").class_names == ("apple", "bee")
    assert load_dataset("folder", path="~/m").class_names == ("apple", "bee")
    monkeypatch.setenv("GLUON_NRM_DATA", "$HERE/data")
    assert data_folder() == home / "data"
    dataset = load_dataset("digits")
    name = write_splits(dataset, [20], [0], home / "splits")[0].name
    for place in ("~", "${HERE}"):
        assert len(read_split(f"{place}/splits/{name}", dataset, labels=20, seed=0).labelled) == 20

    (home / "tiny.yaml").write_text(SUPERVISED.replace("validation: 50, ", ""), encoding="utf-8")
    options = ["--set", f"data.split_file=~/splits/{name}", "--set", "train.epochs=1", "--devices", "cpu"]
    monkeypatch.setattr("sys.argv", ["train.py", "~/tiny.yaml", "--runs=$HERE/runs", *options])
    with pytest.raises(SystemExit) as left:
        run_tool(importlib.import_module("gluon_nrm.cli.train").main)
    assert left.value.code == 0, capsys.readouterr().err
    assert (home / "runs" / "tiny-s0" / "FINISHED.json").is_file()
    assert list(Path().iterdir()) == []
    shutil.rmtree(home / "runs")
