"""Images in a user's folder are used, or counted and named: endings, links, deeper folders, other names."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import picture_files as files
import pytest
from short_runs import fit_without_pictures, recipe

from gluon_nrm.data import Dataset, ImageSet, load_dataset
from gluon_nrm.data.readers.folder_layout import FolderParts, find_parts
from gluon_nrm.data.sets.skipped_files import Skipped, SkippedNames
from gluon_nrm.errors import DataError
from gluon_nrm.training.evaluate_run import evaluate_run
from gluon_nrm.training.forecast import forecast

PNG = files.encoded(files.pixels())


def names(part: Any) -> List[str]:
    return list(part.files)


def parts(folder: Path, **classes: int) -> FolderParts:
    for part in ("train", "test"):
        files.class_folders(folder / part, classes or {"ant": 2, "bee": 2})
    return find_parts(folder)


def put(folder: Path, *paths: str, content: bytes = PNG) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


@pytest.mark.parametrize("kind", ["GIF", "JPEG2000", "TGA", "DIB", "JPEG"])
def test_images_of_other_endings_are_used(kind: str, tmp_path: Path) -> None:
    ending = {"GIF": ".gif", "JPEG2000": ".jp2", "TGA": ".tga", "DIB": ".dib", "JPEG": ".jfif"}[kind]
    parts(tmp_path)
    image = files.encoded(files.pixels(), kind)
    put(tmp_path, f"train/ant/2{ending}", f"test/bee/2{ending.upper()}", content=image)
    found = find_parts(tmp_path)
    assert names(found.train)[:3] == ["ant/000.png", "ant/001.png", f"ant/2{ending}"]
    assert f"bee/2{ending.upper()}" in names(found.test) and not found.skipped.number
    assert len(load_dataset("folder", path=str(tmp_path)).train.labels) == 5


def test_images_in_deeper_folders_come_after_the_others(tmp_path: Path) -> None:
    before = names(parts(tmp_path).train)
    put(tmp_path / "train/ant", "0_first/z.png", "deep/er/a.png", "deep/b.png", ".hidden/c.png")
    (tmp_path / "train/ant/deep/again").symlink_to(tmp_path / "train/ant")
    (tmp_path / "elsewhere").mkdir()
    put(tmp_path, "elsewhere/e.png")
    (tmp_path / "train/bee/link").symlink_to(tmp_path / "elsewhere")
    found = find_parts(tmp_path)
    deeper = ["ant/0_first/z.png", "ant/deep/b.png", "ant/deep/er/a.png"]
    assert names(found.train) == [*before[:2], *deeper, *before[2:], "bee/link/e.png"]
    assert found.train_labels.tolist() == [0] * 5 + [1] * 3
    assert found.skipped == Skipped(
        2,
        (
            f"{tmp_path}/elsewhere (the images are those of train and test)",
            f"{tmp_path}/train/ant/deep/again (a link to a folder that it is in)",
        ),
        (("a link to a folder that it is in", 1), ("the images are those of train and test", 1)),
    )


def test_what_is_left_out_is_named_with_the_reason(tmp_path: Path) -> None:
    assert parts(tmp_path).skipped == Skipped() and str(Skipped()) == ""
    (tmp_path / "train" / "cat").symlink_to(tmp_path / "nowhere")
    assert find_parts(tmp_path).skipped.first == (f"{tmp_path}/train/cat (a link that leads nowhere)",)
    (tmp_path / "train" / "dog").symlink_to(tmp_path / "train" / "dog")
    (tmp_path / "train" / "ant" / "x.png").symlink_to("nothing.png")
    put(tmp_path / "train", "readme", "@eaDir/x.png", ".x/a")
    put(tmp_path / "test", "ant/photo.eps", "bee/odd\nname.txt")
    os.mkfifo(tmp_path / "test" / "bee" / "9.png")
    found = find_parts(tmp_path).skipped
    assert (found.number, len(found.first)) == (8, 3)
    reasons = all_reasons(tmp_path)
    assert reasons == [
        "train/@eaDir (the system made it)",
        "train/cat (a link that leads nowhere)",
        "train/dog (a link that leads nowhere)",
        "train/readme (it is in no class folder)",
        "train/ant/x.png (a link that leads nowhere)",
        "test/ant/photo.eps (.eps is not an ending of an image)",
        "test/bee/9.png (no regular file)",
        "test/bee/odd\\nname.txt (.txt is not an ending of an image)",
    ]
    line = str(found)
    assert (
        line.startswith("8 left out: 3 x a link that leads nowhere, 1 x .eps is not")
        and line.endswith(" and 5 more")
        and line.isprintable()
    )


def all_reasons(folder: Path) -> List[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gluon_nrm.data.sets.skipped_files.NAMED", 99)
        found = find_parts(folder).skipped.first
    return [each.replace(f"{folder}/", "").strip("'").replace("' (", " (") for each in found]


def test_several_reasons_are_counted() -> None:
    skipped = SkippedNames()
    for number in range(5):
        skipped.add(f"{number}.txt", "no image")
    named = "0.txt (no image), 1.txt (no image), 2.txt (no image) and"
    assert str(skipped.record) == f"5 left out: {named} 2 more"
    for number, reason in enumerate(("a", "b", "b", "c", "d", "e")):
        skipped.add(f"{number}", reason)
    counts = "5 x no image, 2 x b, 1 x a, 1 x c, 2 others"
    assert str(skipped.record) == f"11 left out: {counts}: {named} 8 more"


def test_names_that_are_no_text_can_be_shown() -> None:
    skipped = SkippedNames()
    skipped.add("a/\udcff.txt", "no image")
    skipped.add("a/\x1b[2J", "no image")
    str(skipped.record).encode("ascii")


def test_a_class_without_images_says_what_is_there_instead(tmp_path: Path) -> None:
    parts(tmp_path)
    put(tmp_path, "train/cat/notes.txt", "test/cat/1.png")
    with pytest.raises(DataError, match=r"cat holds no image \(BMP.*\); 1 left out: .*notes.txt \(.txt"):
        find_parts(tmp_path)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "cat").symlink_to("nowhere")
    with pytest.raises(DataError, match="links holds no folder; .*cat .a link that leads nowhere"):
        find_parts(tmp_path / "links")


# Names of the parts


@pytest.mark.parametrize(
    ("train", "test"),
    [("Train", "Test"), ("TRAIN", "Validation"), ("training", "testing"), ("train", "valid")],
)
def test_usual_names_of_the_parts(train: str, test: str, tmp_path: Path) -> None:
    files.class_folders(tmp_path / "images" / train, {"ant": 3, "bee": 1})
    files.class_folders(tmp_path / "images" / test, {"ant": 1, "bee": 1})
    found = find_parts(tmp_path / "images")
    assert found.class_names == ("ant", "bee") and (len(found.train), len(found.test)) == (4, 2)
    files.record_parts(tmp_path / "records")
    for ending in (".rec", ".idx"):
        (tmp_path / "records" / f"train{ending}").rename(tmp_path / "records" / f"{train}{ending}")
        (tmp_path / "records" / f"val{ending}").rename(tmp_path / "records" / f"{test}{ending}")
    found = find_parts(tmp_path / "records")
    assert (len(found.train), len(found.test)) == (12, 4)


def test_the_part_that_was_always_taken_is_still_taken_and_the_others_are_named(tmp_path: Path) -> None:
    for number, part in enumerate(("Train", "train", "val", "testing", "Test", "valid")):
        files.class_folders(tmp_path / part, {"ant": number + 1})
    found = find_parts(tmp_path)
    assert (len(found.train), len(found.test), found.skipped.number) == (2, 3, 4)
    assert "Test (the images are those of train and val)" in str(found.skipped)
    files.class_folders(tmp_path / "test", {"ant": 9})
    assert len(find_parts(tmp_path).test) == 9
    files.record_parts(tmp_path)
    assert str(find_parts(tmp_path).skipped).startswith("7 left out: ")


@pytest.mark.parametrize("inside", [".cache", ".git", "__MACOSX", "@eaDir", "night"])
def test_a_class_called_train_may_hold_folders(inside: str, tmp_path: Path) -> None:
    files.class_folders(tmp_path, {"bus": 4, "train": 4})
    put(tmp_path, f"train/{inside}/9.png")
    found = find_parts(tmp_path)
    assert found.class_names == ("bus", "train")
    assert len(found.train) + len(found.test) == (9 if inside == "night" else 8)
    assert found.skipped.number == (inside in ("__MACOSX", "@eaDir"))


# Where it is said


def lists(folder: Path, change: Callable[[str], str] = str) -> None:
    for part, ending in (("train", 12), ("val", 4)):
        rows = [f"{n}\t{n % 3:.6f}\t{change(('cat', 'ant', 'bee')[n % 3])}/{n}.jpg\n" for n in range(ending)]
        (folder / f"{part}.lst").write_text("".join(rows))


def test_classes_of_records_have_the_names_of_their_folders(tmp_path: Path) -> None:
    files.record_parts(tmp_path)
    assert find_parts(tmp_path).class_names == ("0", "1", "2")
    lists(tmp_path)
    assert find_parts(tmp_path).class_names == ("cat", "ant", "bee")
    lists(tmp_path, lambda name: f"photos/{name}")
    assert find_parts(tmp_path).class_names == ("cat", "ant", "bee")
    lists(tmp_path, lambda name: f"photos/{name}/big")
    assert find_parts(tmp_path).class_names == ("cat/big", "ant/big", "bee/big")
    lists(tmp_path, lambda name: f"/photos/{name}" if name == "cat" else name)
    assert find_parts(tmp_path).class_names == ("/photos/cat", "ant", "bee")
    lists(tmp_path, lambda name: "all")
    assert find_parts(tmp_path).class_names == ("0", "1", "2")
    lists(tmp_path)
    test = tmp_path / "val.lst"
    test.write_text(test.read_text().replace("cat", "x").replace("ant", "cat").replace("x/", "ant/"))
    with pytest.raises(DataError, match="val.lst: class 0 is the folder 'ant', .*train.lst it is 'cat'"):
        find_parts(tmp_path)


def test_a_run_says_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for part in ("train", "test"):
        files.class_folders(tmp_path / "m" / part, {"ant": 6, "bee": 6}, height=12, width=12)
    put(tmp_path, "m/test/ant/notes.txt")
    short = recipe(
        "data: {name: folder, path: m, labels: 4}\n"
        "model: {name: digits_cnn, channels: [4, pool, 4]}\n"
        "optimiser: {phases: [{name: sgd, lr: 1e-2}]}\n"
        "train: {epochs: 1, epoch_steps: 1, batch_labelled: 2, batch_unlabelled: 2}\n"
    )
    said = io.StringIO()
    run = fit_without_pictures(short, stream=said)
    line = f"1 left out: {tmp_path}/m/test/ant/notes.txt (.txt is not an ending of an image)"
    assert said.getvalue().count(line) == 1 and run.log_path.read_text().count(line) == 1
    assert str(evaluate_run(run.path, devices="cpu").skipped) == line
    monkeypatch.setattr("gluon_nrm.training.step_cost.STEPS", 4)
    assert "1 left out: " in forecast(short, devices="cpu")


# A channel that is the same everywhere


@pytest.mark.parametrize(("channel", "value"), [(0, 0), (1, 128), (2, 255)])
def test_a_constant_channel_is_named(channel: int, value: int, tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name in ("ant", "bee"):
            array = files.pixels(seed=channel)
            array[..., channel] = value
            put(tmp_path, f"{part}/{name}/1.png", content=files.encoded(array))
    choices: List[Dict[str, Any]] = [{}, {"streamed": True, "size": 4}]
    for settings in choices:
        with pytest.raises(DataError, match=f"channel {channel + 1} of 3 is {value} in every pixel .*leave"):
            load_dataset("folder", path=str(tmp_path), **settings)
    grey = ImageSet(np.full((4, 1, 3, 3), 7, dtype=np.uint8), np.zeros(4, dtype=np.int64))
    with pytest.raises(DataError, match="channel 1 of 1 is 7 in every pixel"):
        Dataset("plain", ("a",), grey, grey, np.array([7.0]), np.array([0.0]))
