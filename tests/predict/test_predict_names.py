"""tools/predict.py on names that are not UTF-8, hold line ends or do not fit the encoding of the terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict

import pytest
from fakes import ROOT, python
from linear_export import Linear, write_export
from picture_files import encoded, pixels

from gluon_nrm.console.unicode_output import on_one_line, to_json
from gluon_nrm.predict import manifest as m

NAMES = [b"caf\xe9.png", b"plain.png", b"two\nlines.png", b"\x1b[2Jscreen.png", "grün–北.png".encode()]
CLASSES = ["ant\udcff", "b\nee", "cat\x1b[2J", "dög – 北"]
ENCODINGS: Dict[str, Dict[str, str]] = {
    "utf-8": {"PYTHONIOENCODING": "utf-8"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for seed, name in enumerate(NAMES):
        (tmp_path / "images" / os.fsdecode(name)).write_bytes(encoded(pixels(4, 5, seed=seed)))
    write_export(tmp_path / "net", Linear(), class_names=CLASSES)
    return tmp_path


def predict(here: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, str(ROOT / "tools" / "predict.py"), *arguments]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHON"))}
    return subprocess.run(command, cwd=here, env={**kept, **environ}, capture_output=True, timeout=60)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_name_gets_its_line(here: Path, encoding: str) -> None:
    done = predict(here, "net", "images", "--top", "4", **ENCODINGS[encoding])
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.splitlines()
    assert len(lines) == 1 + len(NAMES)
    shown = b"\n".join(lines)
    for name in (
        b"images/caf\xe9.png",
        b"images/two\\nlines.png",
        b"images/\\x1b[2Jscreen.png",
        b"images/plain.png",
    ):
        assert name in shown
    for line in lines[1:]:  # classes, with bytes as they are on the disk
        assert b"ant\xff" in line and b"b\\nee" in line and b"cat\\x1b[2J" in line
    whole = {"utf-8": "dög – 北".encode(), "latin-1": b"d\xf6g \\u2013 \\u5317"}
    assert whole.get(encoding, b"d\\xf6g \\u2013 \\u5317") in shown
    if encoding == "C":  # where every byte of a name comes back as it was
        assert b"images/" + NAMES[-1] in shown


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_stays_json(here: Path, encoding: str) -> None:
    done = predict(here, "net", "images", "--format", "json", **ENCODINGS[encoding])
    assert (done.returncode, done.stderr) == (0, b"")
    answer = json.loads(done.stdout.decode("latin-1" if encoding == "latin-1" else "utf-8"))
    found = [
        image["file"].encode("utf-8" if encoding != "C" else "ascii", "surrogateescape")
        for image in answer["images"]
    ]
    assert sorted(found) == sorted(b"images/" + name for name in NAMES)
    assert {guess["class"] for guess in answer["images"][0]["top"]} == set(CLASSES)


def test_a_picture_of_such_names_is_drawn(here: Path) -> None:
    write_export(here / "drawing", Linear(), rendering=True, class_names=CLASSES)
    done = predict(here, "drawing", "images", "--render", "seen\udcff.png", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert (here / "seen\udcff.png").exists()


def test_model_json_keeps_class_names_that_are_no_utf8(here: Path) -> None:
    assert m.read_manifest(here / "net").class_names == CLASSES
    text = (here / "net" / m.MANIFEST).read_text(encoding="utf-8")  # strict
    assert '"dög – 北"' in text and '"ant\\udcff"' in text


@pytest.mark.parametrize("backend", ["onnxruntime", "mxnet"])
def test_an_export_in_a_folder_whose_name_is_no_utf8(here: Path, backend: str) -> None:
    (here / "net").rename(here / "n\udcffet")
    done = predict(here, "n\udcffet", "images", "--backend", backend, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    done = predict(here, "n\udcffet", "n\udcffone\n.png", "--backend", backend)
    assert done.returncode == 2 and done.stderr.count(b"\n") <= 2 and b"Traceback" not in done.stderr


def test_control_characters_are_written_out() -> None:
    assert on_one_line("a\nb\tc\x1b[0m\u202ed\x85\r") == "a\\nb\\tc\\x1b[0m\\u202ed\\x85\\r"
    assert on_one_line("dög – 北 \udcff") == "dög – 北 \udcff"


@pytest.mark.parametrize("value", ["dög", "a\udcff", "\U0001f41d\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "no-such"])
def test_json_that_an_encoding_can_write(value: str, encoding: str) -> None:
    text = to_json({value: value}, encoding)
    assert json.loads(text) == {value: value}
    text.encode("utf-8" if encoding == "no-such" else encoding)


def test_importing_the_package_changes_no_stream() -> None:
    code = (
        "import sys, gluon_nrm.console.tool, gluon_nrm.console.unicode_output; "
        "print(sys.stdout.errors, sys.stderr.errors)"
    )
    assert python(code, PYTHONIOENCODING="ascii").stdout.split() == ["strict", "backslashreplace"]
