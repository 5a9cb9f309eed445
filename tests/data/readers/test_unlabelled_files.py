"""Unlabelled images: folders and lists of files, read in the order of their contents alone."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import picture_files as files
import pytest

from gluon_nrm.data import Augment, Dataset, ImageSet, Streams, draw_split, load_dataset
from gluon_nrm.data.pipeline.splits import add_unlabelled_images
from gluon_nrm.data.readers.folder_layout import find_parts
from gluon_nrm.data.readers.unlabelled_files import list_unlabelled
from gluon_nrm.errors import DataError


def labelled(folder: Path, train: str = "labelled", **counts: int) -> None:
    """Class folders for training and testing."""
    files.class_folders(folder / train, counts or {"ant": 3, "bee": 1})
    files.class_folders(folder / "test", {"ant": 2, "bee": 2}, 100)


def put(folder: Path, contents: Dict[str, int]) -> None:
    """Write an image of the given seed under each name."""
    for name, seed in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(files.encoded(files.pixels(seed=seed)))


def load(folder: Path, **settings: Any) -> Dataset:
    return load_dataset("folder", path=str(folder), **settings)


def sent(dataset: Dataset, **settings: Any) -> List[bytes]:
    """All images of an epoch's unlabelled stream."""
    split = draw_split(dataset.train.labels, labelled=None, split_seed=0, classes=dataset.classes)
    split = add_unlabelled_images(split, dataset.training_images, dataset.unlabelled_images)
    defaults = {"augment": Augment(1, True), "batch_labelled": 2, "batch_unlabelled": 4, "seed": 0}
    streams = Streams(dataset, split, **{**defaults, **settings})
    return [step.unlabelled.images.tobytes() for step in streams.epoch(0) if step.unlabelled is not None]


@pytest.mark.parametrize("streamed", [False, True])
def test_names_of_files_and_folders_change_nothing(streamed: bool, tmp_path: Path) -> None:
    """Random names at random depths, and lists of them in random order, give the same batches."""
    labelled(tmp_path)
    rng = np.random.default_rng(0)
    settings = {"streamed": True, "size": 6} if streamed else {}
    found = []
    for trial in range(4):
        names = [
            "/".join(f"{value:x}" for value in rng.integers(0, 2**30, rng.integers(1, 4))) + ".png"
            for _ in range(9)
        ]
        put(tmp_path / f"other{trial}", dict(zip(names, range(200, 209))))
        data = load(tmp_path, unlabelled=str(tmp_path / f"other{trial}"), **settings)
        assert data.unlabelled_images == 9 and data.streamed == streamed
        found.append((np.asarray(data.unlabelled).tobytes(), sent(data)))
        (tmp_path / "list.txt").write_text(
            "\n".join(f"other{trial}/{each}" for each in rng.permutation(names))
        )
        assert (
            np.asarray(load(tmp_path, unlabelled=str(tmp_path / "list.txt"), **settings).unlabelled).tobytes()
            == (found[0][0])
        )
    assert all(each == found[0] for each in found)
    pixels = {image.tobytes() for image in np.asarray(data.unlabelled)}
    if not streamed:
        assert pixels == {files.pixels(seed=seed).transpose(2, 0, 1).tobytes() for seed in range(200, 209)}


@pytest.mark.parametrize("train", ["labelled", "train", "Labeled", ""])
def test_the_folder_unlabelled_beside_the_class_folders(train: str, tmp_path: Path) -> None:
    if train:
        labelled(tmp_path, train)
    else:
        files.class_folders(tmp_path, {"ant": 5, "bee": 5})
    put(tmp_path / "unlabelled", {"a.png": 200, "deep/er/b.png": 201})
    (tmp_path / "unlabelled" / "c.HEIC").write_bytes(b"x")
    data = load(tmp_path)
    assert data.class_names == ("ant", "bee") and data.unlabelled_images == 2
    assert data.training_images + data.test_images == (8 if train else 10)
    assert data.skipped.number == 1 and ".heic: convert" in str(data.skipped)
    assert load(tmp_path, semi_supervised=False).unlabelled is None
    unused = str(load(tmp_path, semi_supervised=False).skipped)
    assert unused == f"1 left out: {tmp_path}/unlabelled (train.batch_unlabelled is 0)"
    put(tmp_path / ".more", {"x.png": 300})
    other = load(tmp_path, unlabelled=str(tmp_path / ".more"))
    assert other.unlabelled_images == 1 and "unlabelled (data.unlabelled replaces it)" in str(other.skipped)
    unused = str(load(tmp_path, unlabelled="more", semi_supervised=False).skipped)
    assert unused.startswith("2 left out: ") and unused.endswith("more (train.batch_unlabelled is 0)")


def test_uneven_classes_and_both_streams(tmp_path: Path) -> None:
    """All labels are used, whatever their numbers; the unlabelled stream has all other images."""
    labelled(tmp_path, ant=5, bee=2)
    put(tmp_path / "unlabelled", {f"{n}.png": 200 + n for n in range(3)})
    data = load(tmp_path)
    for labels, include, expected in (
        (None, False, [7, 8, 9]),
        (None, True, list(range(10))),
        (4, False, None),
    ):
        split = draw_split(
            data.train.labels, labelled=labels, split_seed=0, include_labelled=include, classes=2
        )
        split = add_unlabelled_images(split, 7, 3)
        if expected is not None:
            assert split.labelled.tolist() == list(range(7)) and split.unlabelled.tolist() == expected
        else:
            assert np.bincount(data.train.labels[split.labelled]).tolist() == [2, 2]
            assert split.unlabelled.tolist() == sorted(set(range(10)) - set(split.labelled.tolist()))
    for positions in ([0, 9, 3, 7], [7], [1], [9, 9]):
        expected_images = [
            np.asarray(data.train.images)[at] if at < 7 else np.asarray(data.unlabelled)[at - 7]
            for at in positions
        ]
        np.testing.assert_array_equal(data.images_at(np.array(positions)), expected_images)


def test_streamed_and_in_memory_see_the_same_positions(tmp_path: Path) -> None:
    labelled(tmp_path)
    put(tmp_path / "unlabelled", {f"{n}.png": 200 + n for n in range(3)})
    data = load(tmp_path, streamed=True, size=6)
    each = np.concatenate([np.asarray(data.train.images), np.asarray(data.unlabelled)])
    positions = np.array([6, 0, 4, 3, 5])
    np.testing.assert_array_equal(np.asarray(data.images_at(positions)), each[positions])
    chosen = data.images_at(positions)
    assert not isinstance(chosen, np.ndarray) and "unlabelled" in chosen.pictures.where(6)


def test_workers_share_the_unlabelled_batches(tmp_path: Path) -> None:
    labelled(tmp_path)
    put(tmp_path / "unlabelled", {f"{n}.png": 200 + n for n in range(8)})
    for settings in ({}, {"streamed": True, "size": 6}):
        data = load(tmp_path, **settings)
        whole = sent(data)
        shares = [sent(data, worker=worker, workers=2) for worker in (0, 1)]
        assert len(whole) == 2 and whole == [first + second for first, second in zip(*shares)]


def test_a_data_set_made_in_python(tmp_path: Path) -> None:
    images = np.arange(4 * 12, dtype=np.float32).reshape(4, 3, 2, 2)
    part = ImageSet(images, np.array([0, 1, 0, 1]))
    settings: Dict[str, Any] = {"mean": np.zeros(3), "std": np.ones(3)}
    data = Dataset("made", ("a", "b"), part, part, unlabelled=images[:3] + 0.5, **settings)
    np.testing.assert_array_equal(data.images_at(np.array([6, 1])), [images[2] + 0.5, images[1]])
    assert data.unlabelled_images == 3 and len(set(data.describe_unlabelled().hashes)) == 3  # type: ignore
    for wrong, message in (
        (images[:0], r"unlabelled images: shape \(0, 3, 2, 2\); expected"),
        (images[:, :1], r"\(1, 2, 2\) float32, but training images are \(3, 2, 2\) float32"),
        (images.astype(np.uint8), r"\(3, 2, 2\) uint8, but training images are \(3, 2, 2\) float32"),
    ):
        with pytest.raises(DataError, match=message):
            Dataset("made", ("a", "b"), part, part, unlabelled=wrong, **settings)


def test_other_data_sets_take_a_folder_too(tmp_path: Path) -> None:
    labelled(tmp_path, "train")
    put(tmp_path / "more", {"x.png": 300})
    with pytest.raises(DataError, match="pixels are bytes, and 'digits' has float32 pixels; leave it out"):
        load_dataset("digits", unlabelled=str(tmp_path / "more"))


def test_colours_and_sizes(tmp_path: Path) -> None:
    for part in ("labelled", "test"):
        files.class_folders(tmp_path / part, {"ant": 2}, channels=1)
    put(tmp_path / "unlabelled", {"x.png": 300})
    data = load(tmp_path)  # grey images: a coloured one becomes grey
    assert data.unlabelled is not None and data.unlabelled.shape == (1, 1, 6, 6)
    (tmp_path / "unlabelled" / "y.png").write_bytes(files.encoded(files.pixels(9, 8)))
    with pytest.raises(DataError, match=r"y.png: 9 x 8 pixels, .* set data.size to bring all images to one"):
        load(tmp_path)
    assert load(tmp_path, size=5).unlabelled_images == 2


# Mistakes


def test_nothing_unlabelled_is_found(tmp_path: Path) -> None:
    labelled(tmp_path)
    empty, other = tmp_path / "unlabelled", tmp_path / "notes.md"
    empty.mkdir()
    other.write_text("x")
    with pytest.raises(DataError, match="unlabelled holds no image .*; put images there, or"):
        load(tmp_path)
    (empty / "a.heic").write_text("x")
    with pytest.raises(DataError, match="1 left out: .*a.heic .*convert it to JPEG or PNG.*put images there"):
        load(tmp_path)
    with pytest.raises(DataError, match="nowhere: no such folder or list; give the folder of the unlabelled"):
        load(tmp_path, unlabelled=str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="notes.md is a file; give a folder of images, or a .txt file"):
        load(tmp_path, unlabelled=str(other))


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match="(?i)permission denied"):
        list_unlabelled(tmp_path)


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    labelled(tmp_path)
    put(tmp_path / "unlabelled", {"a.png": 1})
    (tmp_path / "unlabelled" / "b.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="b.png is damaged or not an image"):
        load(tmp_path)


def test_lists(tmp_path: Path) -> None:
    put(tmp_path / "a", {"x y.png": 1, "z.png": 2})
    listed = tmp_path / "list.txt"
    lines = ["# photos", "", " a/x y.png", str(tmp_path / "a" / "z.png"), "a/x y.png", "b.heic"]
    listed.write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    assert set(list_unlabelled(listed).names) == {"a/x y.png", f"{tmp_path}/a/z.png"}
    listed.write_text("a/z.png\nmissing.png\n")
    with pytest.raises(DataError, match=r"list.txt:2: there is no file .*missing.png; write paths relative"):
        list_unlabelled(listed)
    listed.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="list.txt is not UTF-8 text; save it as UTF-8"):
        list_unlabelled(listed)
    listed.write_text("\n# nothing\n")
    with pytest.raises(DataError, match="list.txt holds no image"):
        list_unlabelled(listed)


def test_a_class_without_an_image(tmp_path: Path) -> None:
    labelled(tmp_path)
    (tmp_path / "labelled" / "cat").mkdir()
    (tmp_path / "test" / "cat").mkdir()
    with pytest.raises(DataError, match="labelled/cat holds no image"):
        find_parts(tmp_path)
