"""A folder of one's own images is checked before training: counts, sizes, copies, what cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

import pytest
from picture_files import class_folders, encoded, pixels, record_parts

from gluon_nrm.cli import data as command
from gluon_nrm.data.fetch.check_folder import check_folder
from gluon_nrm.errors import DataError


def own(folder: Path) -> Path:
    class_folders(folder / "labelled", {"ant": 3, "bee": 2})
    class_folders(folder / "test", {"ant": 1, "bee": 2}, 60)
    return folder


def found(folder: Path) -> Dict[str, str]:
    """The lines by their first word."""
    return {line.split()[0]: line[9:] for line in check_folder(folder).lines}


def test_a_folder_without_faults(tmp_path: Path) -> None:
    result = check_folder(own(tmp_path))
    assert result.problem is None
    assert result.lines == [
        "classes  2",
        "train    ant 3, bee 2",
        "test     ant 1, bee 2",
        "sizes    all 6 x 6 (height x width)",
    ]


def test_everything_that_is_worth_knowing(tmp_path: Path) -> None:
    own(tmp_path)
    (tmp_path / "labelled/ant/trip/one").mkdir(parents=True)
    (tmp_path / "labelled/ant/trip/one/x.png").write_bytes(encoded(pixels(20, 30, 7, channels=1)))
    (tmp_path / "labelled/ant/copy.png").write_bytes((tmp_path / "test/bee/001.png").read_bytes())
    (tmp_path / "unlabelled/a").mkdir(parents=True)
    for name in ("000.png", "001.png"):
        (tmp_path / "unlabelled/a" / f"u{name}").write_bytes((tmp_path / "test/bee/001.png").read_bytes())
    for number in range(5):
        (tmp_path / f"labelled/bee/{number}.HEIC").write_bytes(b"x")
    (tmp_path / "labelled/bee/list.txt").write_bytes(b"x")
    result = check_folder(tmp_path)
    lines = found(tmp_path)
    assert result.problem is None
    assert lines["train"] == "ant 5, bee 2 (1 of them in subfolders of the classes)"
    assert lines["without"] == "2 images without a class"
    assert lines["sizes"] == "from 6 x 6 to 20 x 30 (height x width): set data.size, e.g. data.size: 20"
    assert lines["colours"] == "1 of 12 images are grey; all are read as coloured"
    assert lines["skipped"].startswith("6 left out: 5 x Pillow does not read .heic: convert it to")
    warnings = [line for line in result.lines if line.startswith("warning")]
    assert len(warnings) == 2 and "1 of 3 test images are training images too" in warnings[0]
    assert f"{tmp_path}/test/bee/001.png = {tmp_path}/labelled/ant/copy.png" in warnings[0]
    assert "1 of 3 test images are unlabelled images too" in warnings[1]


def test_records(tmp_path: Path) -> None:
    record_parts(tmp_path)
    lines = found(tmp_path)
    assert lines["train"] == "4 images of each of 3 classes" and lines["test"] == "0 2, 1 1, 2 1"
    assert lines["warning"].startswith("4 of 4 test images are training images too")


def test_images_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    own(tmp_path)
    for number in range(7):
        (tmp_path / f"test/ant/bad{number}.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="7 of 15 images cannot be read; save them again, or move them away"):
        command.main([str(tmp_path)])
    said = capsys.readouterr().out
    assert said.count("is damaged or not an image") == 5 and "error    and 2 more" in said
    (tmp_path / "labelled/cat").mkdir()
    with pytest.raises(DataError, match="labelled/cat holds no image"):
        command.main([str(tmp_path)])


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own(tmp_path / "photos")
    class_folders(tmp_path / "more", {"x": 4}, 90)
    assert command.main(["photos", "--unlabelled", "more"]) == 0
    assert "without  4 images without a class\n" in capsys.readouterr().out
    with pytest.raises(DataError, match="nowhere: no such folder"):
        command.main(["./nowhere"])
    with pytest.raises(DataError, match="no data set called 'photo'"):
        command.main(["photo"])
