"""tools/predict.py on folders of which some images cannot be read: the others are answered, as they come."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, List

import pytest
from linear_export import write_export
from picture_files import encoded, pixels
from predicting import COUNT, NET, call, work_in

from gluon_nrm.predict import manifest as m
from gluon_nrm.predict import predict_images as predicting
from gluon_nrm.predict.classifier import FileClassifier
from gluon_nrm.predict.images import read_pixels
from gluon_nrm.predict.predict_images import Guess, ImagePrediction
from gluon_nrm.predict.write_predictions import WRITERS


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


def test_what_a_folder_holds_beside_images_is_named(here: Path, monkeypatch: Any, capsys: Any) -> None:
    (here / "images" / "readme.md").touch()
    assert call(monkeypatch, "net", "images") == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1 + COUNT
    assert err == "note: 1 left out: images/readme.md (.md is not an ending of an image)\n"


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


def test_results_come_as_they_are_computed(here: Path, monkeypatch: Any, capsys: Any) -> None:
    """When the last image is read, the lines of those before it, but for two batches, are written."""
    written: List[str] = []

    def read(path: Path, *arguments: Any) -> Any:
        if path.name == f"{COUNT - 1}.png":
            written.append(capsys.readouterr().out)
        return read_pixels(path, *arguments)

    monkeypatch.setattr(predicting, "read_pixels", read)
    assert call(monkeypatch, "net", "images", "--batch", "1") == 0
    names = [line.split()[0] for line in written[0].splitlines()]
    assert names[: COUNT - 3] == ["image", *(f"images/{number}.png" for number in range(COUNT - 4))]
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"images/{COUNT - 1}.png ")


@pytest.mark.parametrize("form", ["table", "json"])
def test_every_image_is_flushed(form: str) -> None:
    class Stream(io.StringIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1

    stream = Stream()
    answers = WRITERS[form](fake(), [Path("a.png"), Path("b.png")], 1, stream)
    for number, name in enumerate(("a.png", "b.png")):
        before = stream.flushed
        answers.write(ImagePrediction(Path(name), [Guess(0, "ant", 0.5)], []))
        assert stream.flushed > before, number
        assert name in stream.getvalue()


def fake() -> FileClassifier:
    given = m.Input("data", [None, 1, 2, 2], "float32", [0, 255], m.CALLER, [0], [1])
    outputs = [m.Output("logits", m.LOGITS, m.MAX)]
    return FileClassifier(
        Path("net"), "net", "student", "mxnet", given, outputs, ["ant", "bee"], lambda images: []
    )
