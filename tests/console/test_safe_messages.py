"""Messages quote control characters visibly, whatever a path, a key or a value holds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Sequence

import pytest
from fakes import ROOT

from gluon_nrm.console.tool import ToolParser, run_tool
from gluon_nrm.errors import DataError, NRMError, RecipeError, RunError, visible
from gluon_nrm.recipe import load_recipe, recipe_from_text
from gluon_nrm.runs.open_run import load_run
from gluon_nrm.storage.json_io import read_json

ESCAPES = ["\x1b[2J", "a\nerror: b", "a\rb", "\x9b31m", "\u202eab", "\u2028", "\udcff", "\x00", "\x7f"]


def is_safe(text: str) -> bool:
    """Nothing in it that a terminal obeys, and at most two lines."""
    return all(c.isprintable() or c == "\n" for c in text) and len(text.splitlines()) <= 2


def test_control_characters_become_escapes() -> None:
    assert (
        visible("a\x1b[31m\n\r\t\x9b\u202e\udcff\ud800é日🙂") == r"a\x1b[31m\n\r\t\x9b\u202e\xff\ud800é日🙂"
    )
    assert visible(r"C:\new") == r"C:\new"


def test_our_own_line_breaks_stay() -> None:
    text = "x is damaged;\nput it back"
    assert str(NRMError(text)) == text
    assert str(RecipeError("x: not YAML\n  column 3 of: a")) == "x: not YAML\n  column 3 of: a"
    assert str(NRMError(f"{NRMError(text)};\nagain")) == f"{text}; again"
    assert str(DataError("cannot read a\nerror: b")) == r"cannot read a\nerror: b"


@pytest.mark.parametrize("text", ["\ue817", "a\u200bb", "\xad", "\U000e0001", "\U0010ffff", "\u0378"])
def test_letters_that_nothing_shows_become_escapes(text: str) -> None:
    assert str(NRMError(text)).isprintable() and "\\" in str(NRMError(text))


@pytest.mark.parametrize("length", [1000, 1001, 5000, 300_000])
def test_an_endless_quotation_is_cut_and_the_remedy_stays(length: int) -> None:
    message = str(NRMError(f"x: {'9' * length} is too long;\nmake {'0' * length} shorter"))
    assert [len(line) <= 1000 for line in message.splitlines()] == [True, True]
    assert message.startswith("x: 999") and message.endswith("000 shorter")


@pytest.mark.parametrize("text", ESCAPES)
def test_paths_are_quoted_visibly(text: str, tmp_path: Path) -> None:
    for action in (
        lambda: load_run(tmp_path / text),
        lambda: load_recipe(tmp_path / f"{text}.yaml"),
        lambda: read_json(tmp_path / text, RunError),
    ):
        with pytest.raises(NRMError) as caught:
            action()
        assert is_safe(str(caught.value)), repr(str(caught.value))


@pytest.mark.parametrize("text", ESCAPES)
def test_keys_and_values_are_quoted_visibly(text: str) -> None:
    for overrides in (
        [f"{text}=1"],
        [f"data.{text}=1"],
        [f"data.labels={text}"],
        [text],
        [f"data.labels=[{text}"],
    ):
        with pytest.raises(RecipeError) as caught:
            recipe_from_text("data: {name: x}\n", "x.yaml", overrides)
        assert is_safe(str(caught.value)), repr(str(caught.value))


@pytest.mark.parametrize(
    "key", ["a" + ".b" * 3000, "." * 3000, "optimiser.phases." + "9" * 5000 + ".lr", "a" * 100_000]
)
def test_endless_override_keys_are_one_short_line(key: str) -> None:
    text = "data: {name: x}\noptimiser: {phases: [{name: adam, lr: 1}]}\n"
    with pytest.raises(RecipeError) as caught:
        recipe_from_text(text, "x.yaml", [f"{key}=1"])
    assert len(str(caught.value)) < 400
    assert len(str(caught.value).splitlines()) == 1


def test_a_tool_prints_no_escape(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(arguments: Sequence[str]) -> int:
        raise DataError(f"cannot read {arguments[0]}: no such file; check the path")

    def parses(arguments: Sequence[str]) -> int:
        ToolParser(prog="tool").parse_args(arguments)
        return 0

    for main, argument in ((fails, "no\n\x1b[31msuch.png"), (parses, "--no\n\x1b[31msuch.png")):
        monkeypatch.setattr(sys, "argv", ["tool", argument])
        with pytest.raises(SystemExit) as caught:
            run_tool(main)
        assert caught.value.code == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert r"no\n\x1b[31msuch.png" in last
        assert is_safe(last)


def test_every_tool_reads_its_arguments_so() -> None:
    for path in sorted((ROOT / "gluon_nrm" / "cli").glob("*.py")):
        assert "ArgumentParser(" not in path.read_text(encoding="utf-8"), path.name
