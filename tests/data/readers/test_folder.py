"""A folder of images by class: what is read, what is said where it cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict

import numpy as np
import picture_files as files
import pytest
from PIL import Image

from gluon_nrm.data import Dataset, load_dataset
from gluon_nrm.data.readers import decode_all
from gluon_nrm.errors import DataError


def load(path: Path, **settings: Any) -> Dataset:
    return load_dataset("folder", path=str(path), **settings)


def image(seed: int, **shape: int) -> np.ndarray:
    return files.pixels(seed=seed, **shape).transpose(2, 0, 1)


@pytest.mark.parametrize("test", ["test", "val"])
def test_train_and_test_folders(test: str, tmp_path: Path) -> None:
    files.class_folders(tmp_path / "train", {"zebra": 3, "ant": 2})
    files.class_folders(tmp_path / test, {"ant": 1, "zebra": 1}, first_seed=10)
    (tmp_path / "train" / "ant" / "notes.txt").write_text("no image")
    (tmp_path / "train" / ".cache").mkdir()
    (tmp_path / "train" / "ant" / ".hidden.png").write_bytes(b"")
    found = load(tmp_path)
    assert (found.class_names, found.input_shape, found.streamed) == (("ant", "zebra"), (3, 6, 6), False)
    assert found.train.labels.tolist() == [0, 0, 1, 1, 1] and found.test.labels.tolist() == [0, 1]
    np.testing.assert_array_equal(found.train.images, [image(seed) for seed in (3, 4, 0, 1, 2)])
    np.testing.assert_array_equal(found.test.images, [image(seed) for seed in (10, 11)])
    np.testing.assert_allclose(found.mean, np.asarray(found.train.images).mean(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(found.std, np.asarray(found.train.images).std(axis=(0, 2, 3)), rtol=1e-5)


def test_a_single_level_holds_a_fifth_of_each_class_out(tmp_path: Path) -> None:
    files.class_folders(tmp_path, {"a": 10, "b": 20, "c": 2})
    found, again = load(tmp_path), load(tmp_path)
    assert np.bincount(found.test.labels).tolist() == [2, 4, 1]
    assert np.bincount(found.train.labels).tolist() == [8, 16, 1]
    everything = [*np.asarray(found.train.images), *np.asarray(found.test.images)]
    assert {each.tobytes() for each in everything} == {image(seed).tobytes() for seed in range(32)}
    np.testing.assert_array_equal(found.test.images, again.test.images)
    assert np.asarray(found.test.images)[0].tobytes() != image(0).tobytes()  # drawn, and not the first ones


def test_a_class_called_train(tmp_path: Path) -> None:
    files.class_folders(tmp_path, {"bus": 2, "train": 2})
    assert load(tmp_path).class_names == ("bus", "train")


def test_every_format_and_grey_images(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    grey = files.pixels(channels=1)
    for name, kind in (("1.PNG", "PNG"), ("2.bmp", "BMP"), ("3.tif", "TIFF"), ("4.pgm", "PPM")):
        (tmp_path / "a" / name).write_bytes(files.encoded(grey, kind))
        (tmp_path / "b" / name).write_bytes(files.encoded(grey, kind))
    found = load(tmp_path)
    assert found.input_shape == (1, 6, 6)
    assert all((each == grey).all() for each in np.asarray(found.train.images))
    # one image in colour, and all have three channels; transparency is left out
    (tmp_path / "b" / "5.png").write_bytes(files.encoded(files.pixels(channels=4)))
    both = load(tmp_path)
    assert both.input_shape == (3, 6, 6) and len(both.train.labels) + len(both.test.labels) == 9
    colour = files.pixels(channels=4)[..., :3].transpose(2, 0, 1)
    everything = [*np.asarray(both.train.images), *np.asarray(both.test.images)]
    assert sum((each == grey).all() for each in everything) == 8
    assert sum((each == colour).all() for each in everything) == 1


@pytest.mark.parametrize(("height", "width"), [(12, 24), (24, 12), (3, 9)])
def test_size_resizes_the_shorter_side_and_cuts_the_middle(height: int, width: int, tmp_path: Path) -> None:
    """An image of stripes along its longer side: only the middle ones stay."""
    for part in ("train", "test"):
        (tmp_path / part / "a").mkdir(parents=True)
        stripes = np.zeros((height, width, 3), dtype=np.uint8)
        third = max(height, width) // 3
        middle = slice(third, 2 * third)
        stripes[(middle, slice(None)) if height > width else (slice(None), middle)] = 200
        (tmp_path / part / "a" / "0.png").write_bytes(files.encoded(stripes))
    found = np.asarray(load(tmp_path, size=6).train.images)[0]
    assert found.shape == (3, 6, 6)
    long_side = max(height, width) / min(height, width)
    assert abs(found.mean() - 200 * min(1, long_side / 3)) < 25
    np.testing.assert_allclose(found, found[:, ::-1, ::-1], atol=2)


def test_size_of_a_square_image(tmp_path: Path) -> None:
    files.class_folders(tmp_path, {"a": 2}, height=12, width=12)
    found = load(tmp_path, size=6)
    resized = [
        np.asarray(Image.fromarray(files.pixels(12, 12, seed)).resize((6, 6), Image.Resampling.BICUBIC))
        for seed in (0, 1)
    ]
    everything = {
        each.transpose(1, 2, 0).tobytes()
        for each in (*np.asarray(found.train.images), *np.asarray(found.test.images))
    }
    assert everything == {each.tobytes() for each in resized}


def test_a_photograph_is_turned_as_its_camera_was_held(tmp_path: Path) -> None:
    array = files.pixels(6, 6)
    for part in ("train", "test"):
        (tmp_path / part / "a").mkdir(parents=True)
        picture = Image.fromarray(array)
        exif = picture.getexif()
        exif[0x0112] = 3  # orientation: upside down
        picture.save(tmp_path / part / "a" / "0.png", exif=exif)
    np.testing.assert_array_equal(
        np.asarray(load(tmp_path).train.images)[0], array[::-1, ::-1].transpose(2, 0, 1)
    )


# What is wrong

Change = Callable[[Path], Any]


def put(name: str, data: bytes) -> Change:
    def change(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)

    return change


def remove(name: str) -> Change:
    def change(root: Path) -> None:
        for path in (root / name).iterdir():
            path.unlink()

    return change


PNG = files.encoded(files.pixels())
DEEP = files.encoded(np.full((6, 6), 40000, dtype=np.uint16))
BOMB = PNG[:16] + b"\x00\x0f\x00\x00" * 2 + PNG[24:]  # claims 983,040 pixels a side
CASES: Dict[str, Any] = {
    "no image": (put("train/a/9.png", b"<html>"), "train/a/9.png is damaged or not an image"),
    "truncated": (put("train/b/9.png", PNG[:60]), "train/b/9.png is damaged or not an image"),
    "damaged": (put("train/b/9.png", PNG[:50] + b"\0\0\0" + PNG[53:]), "train/b/9.png is damaged or not"),
    "empty file": (put("test/b/9.jpg", b""), "test/b/9.jpg is damaged or not an image"),
    "bomb": (put("test/b/9.png", BOMB), "test/b/9.png is damaged or not an image"),
    "16 bits": (put("train/a/9.png", DEEP), "train/a/9.png: an image of mode I.*8 bits"),
    "other size": (
        put("train/b/9.png", files.encoded(files.pixels(6, 7))),
        "train/b/9.png: 6 x 7 pixels, and the first image has 6 x 6; set data.size",
    ),
    "other test size": (put("test/a/9.png", files.encoded(files.pixels(5, 6))), "test/a/9.png: 5 x 6 pixels"),
    "empty class": (remove("train/a"), "train/a holds no image"),
    "empty test class": (remove("test/b"), "test/b holds no image"),
    "class only in training": (put("train/c/0.png", PNG), "test/c is missing; .* the same classes"),
    "class only in testing": (put("test/c/0.png", PNG), "test/c is there; .* the same classes"),
    "no test": (lambda root: (root / "test").rename(root / "tests"), "neither test nor val"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_named(case: str, tmp_path: Path) -> None:
    files.class_folders(tmp_path / "train", {"a": 2, "b": 2})
    files.class_folders(tmp_path / "test", {"a": 1, "b": 1})
    load(tmp_path)
    change, message = CASES[case]
    change(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path)
    assert str(tmp_path) in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_no_folder_an_empty_one_and_one_without_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="data.path: give the folder"):
        load_dataset("folder", tmp_path)
    with pytest.raises(DataError, match="nowhere: no such folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no folder; put the images of each class"):
        load(tmp_path)
    put("0.png", PNG)(tmp_path)
    with pytest.raises(DataError, match="holds no folder"):
        load(tmp_path)
    put("a/0.png", PNG)(tmp_path)
    with pytest.raises(DataError, match="/a holds one image; add another, for testing"):
        load(tmp_path)


def test_what_would_not_fit_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.class_folders(tmp_path, {"a": 10})
    monkeypatch.setattr(decode_all, "MOST_IN_MEMORY", 8 * 3 * 6 * 6)
    assert len(load(tmp_path).train.labels) == 8
    monkeypatch.setattr(decode_all, "MOST_IN_MEMORY", 8 * 3 * 6 * 6 - 1)
    with pytest.raises(DataError, match="8 images like .* set data.streamed to true, or data.size"):
        load(tmp_path)


def test_settings_of_another_data_set(tmp_path: Path) -> None:
    for settings, message in (
        ({"size": 9}, "data.size: 9, but the images of 'digits' are 8 x 8"),
        ({"streamed": True}, "data.streamed: True, but 'digits' is always kept in memory"),
        ({"path": str(tmp_path)}, "data.path: 'digits' come with scikit-learn"),
    ):
        with pytest.raises(DataError, match=message):
            load_dataset("digits", **settings)
    assert load_dataset("digits", size=8, streamed=False).name == "digits"
