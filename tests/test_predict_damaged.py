"""tools/predict.py on folders of which some images cannot be read: the others are answered, as they come."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, List

import pytest
from fakes import ROOT
from linear_export import write_export
from picture_files import encoded, pixels
from predicting import COUNT, NET, call, work_in


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_export(work_in(tmp_path, monkeypatch) / "net", NET)
    return tmp_path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def no_image(path: Path) -> None:
    path.write_text("a letter to the editor")


def other_size(path: Path) -> None:
    path.write_bytes(encoded(pixels(9, 9)))


@pytest.mark.parametrize("harm", [cut, no_image, other_size])
@pytest.mark.parametrize("batch", ["2", "64"])
def test_the_others_are_answered(here: Path, monkeypatch: Any, capsys: Any, harm: Any, batch: str) -> None:
    harm(here / "images" / "3.png")
    assert call(monkeypatch, "net", "images", "--format", "json", "--batch", batch) == 2
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert [image["file"] for image in answer["images"]] == [
        f"images/{number}.png" for number in range(COUNT) if number != 3
    ]
    assert [each["file"] for each in answer["refused"]] == ["images/3.png"]
    first, last = err.splitlines()
    assert first.startswith("error: images/3.png") and first == f"error: {answer['refused'][0]['reason']}"
    assert last == f"error: 1 of {COUNT} images are not classified; each is named above with its reason"
    assert call(monkeypatch, "net", "images", "--batch", batch) == 2
    assert len(capsys.readouterr().out.splitlines()) == 1 + COUNT - 1


def test_strict_ends_at_the_first(here: Path, monkeypatch: Any, capsys: Any) -> None:
    cut(here / "images" / "3.png")
    arguments = ["net", "images", "--strict", "--batch", "2", "--format", "json"]
    assert call(monkeypatch, *arguments) == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1 and "images/3.png" in err
    # what was found before stands, and is whole
    assert [image["file"] for image in json.loads(out)["images"]] == ["images/0.png", "images/1.png"]


def test_none_can_be_read(here: Path, monkeypatch: Any, capsys: Any) -> None:
    for path in (here / "images").iterdir():
        cut(path)
    assert call(monkeypatch, "net", "images", "--format", "json") == 2
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert answer["images"] == [] and len(answer["refused"]) == COUNT == err.count("error: images/")
    assert call(monkeypatch, "net", "images") == 2
    assert capsys.readouterr().out == ""


def test_what_was_read_is_drawn(here: Path, monkeypatch: Any) -> None:
    write_export(here / "drawing", NET, rendering=True)
    cut(here / "images" / "3.png")
    assert call(monkeypatch, "drawing", "images", "--render", "seen.png") == 2
    assert (here / "seen.png").exists()


def test_results_come_as_they_are_computed(here: Path, monkeypatch: Any) -> None:
    """The first line is there, in a pipe, while the last image, a pipe itself, is still waited for."""
    os.mkfifo(here / "late.png")
    tool = [sys.executable, str(ROOT / "tools" / "predict.py")]
    command = [*tool, "net", "images/0.png", "images/1.png", "images/2.png", "late.png", "--batch", "1"]
    environ = {**os.environ, "PYTHONUNBUFFERED": ""}
    with subprocess.Popen(command, cwd=here, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines: List[str] = [process.stdout.readline() for _ in range(2)]
        assert [line.split()[0] for line in lines] == ["image", "images/0.png"]
        assert process.poll() is None
        (here / "late.png").write_bytes((here / "images" / "4.png").read_bytes())
        rest = process.stdout.read().splitlines()
    assert process.returncode == 0
    assert [line.split()[0] for line in rest] == ["images/1.png", "images/2.png", "late.png"]
