"""Which image files are taken, and what a network gets of one: against Pillow and a few lines of NumPy."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional, Tuple

import numpy as np
import pytest
from picture_files import pixels
from PIL import Image, ImageFile

from gluon_nrm.data import Dataset, ImageSet
from gluon_nrm.data.images.decoding import centre_square
from gluon_nrm.data.sets.dataset import channel_statistics
from gluon_nrm.data.sets.skipped_files import SkippedNames
from gluon_nrm.errors import DataError
from gluon_nrm.predict.find_images import find_images
from gluon_nrm.predict.images import cover, normalise, read_pixels, restore_pixels
from gluon_nrm.predict.manifest import CALLER, GRAPH, Input

COLOUR, GREY = pixels(4, 5), pixels(4, 5, channels=1)


def expected(channels: int = 3, height: int = 4, width: int = 5, **changes: Any) -> Input:
    mean, std = [100.0, 120.0, 90.0][:channels], [50.0, 60.0, 70.0][:channels]
    given = Input("data", [None, channels, height, width], "float32", [0, 255], CALLER, mean, std)
    return replace(given, **changes)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    ("places", "found"),
    [
        (["b.png"], ["b.png"]),
        (["b.png", "a.jpg", "b.png"], ["b.png", "a.jpg"]),
        (["notes.txt"], ["notes.txt"]),  # named by itself it is taken at its word
        (["."], ["a.jpg", "b.png", "deep/c.PNG", "deep/er/d.tif"]),
        (["deep", "a.jpg"], ["deep/c.PNG", "deep/er/d.tif", "a.jpg"]),
        (["*.png", "*.jpg"], ["b.png", "a.jpg"]),
        (["**/*"], ["a.jpg", "b.png", "deep/c.PNG", "deep/er/d.tif"]),
        (["odd[1].png"], ["odd[1].png"]),
    ],
)
def test_files_folders_and_patterns(tmp_path: Path, monkeypatch: Any, places: Any, found: Any) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "b.png", "a.jpg", "deep/c.PNG", "deep/er/d.tif", "notes.txt", ".hidden.png", ".git/x.png")
    if "odd[1].png" in places:
        touch(tmp_path, "odd[1].png", "odd1.png")
    assert [str(path) for path in find_images(places)] == found


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("none.png", r"none\.png: there is no such file or folder; give image files, folders or patterns"),
        ("none*.png", r"none\*\.png: matches no image \(BMP,.*\)"),
        ("empty", r"empty holds no image \(BMP,.*\)"),
    ],
)
def test_places_without_images(tmp_path: Path, monkeypatch: Any, place: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "empty/notes.txt")
    with pytest.raises(DataError, match=said):
        find_images([place])


def test_what_is_left_out_is_counted_and_named(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "in/a.png", "in/b.heic", "in/deep/notes", "in/.hidden.txt", "in/c.tga")
    skipped = SkippedNames()
    assert [path.name for path in find_images(["in"], skipped)] == ["a.png", "c.tga"]
    expected = (
        "2 left out: in/b.heic (Pillow does not read .heic: convert it to JPEG or PNG), "
        "in/deep/notes (its name has no ending)"
    )
    assert str(skipped.record) == expected


def test_a_folder_that_cannot_be_read_does_not_cost_the_others(tmp_path: Path, monkeypatch: Any) -> None:
    touch(tmp_path, "a.png", "closed/b.png", "open/c.png")
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    skipped = SkippedNames()
    assert [path.name for path in find_images([str(tmp_path)], skipped)] == ["a.png", "c.png"]
    assert "closed (Permission denied)" in str(skipped.record)


def palette(array: np.ndarray) -> Image.Image:
    """The same colours by a palette; there are at most twenty."""
    colours, index = np.unique(array.reshape(-1, 3), axis=0, return_inverse=True)
    image = Image.fromarray(index.reshape(array.shape[:2]).astype(np.uint8))
    image.putpalette(colours.astype(np.uint8).tobytes())
    return image


def with_alpha(image: Image.Image) -> Image.Image:
    image = image.copy()
    image.putalpha(Image.fromarray(pixels(4, 5, seed=9, channels=1)))
    return image


COLOURED, PLAIN = Image.fromarray(COLOUR), Image.fromarray(GREY)
TWO = Image.fromarray(np.where(GREY > 127, 255, 0).astype(np.uint8))
AS_COLOUR, AS_GREY = COLOUR.transpose(2, 0, 1), GREY[None]


@pytest.mark.parametrize(
    ("name", "image", "channels", "wanted"),
    [
        ("colour.png", COLOURED, 3, AS_COLOUR),
        ("palette.png", palette(COLOUR), 3, AS_COLOUR),
        ("alpha.png", with_alpha(COLOURED), 3, AS_COLOUR),
        ("grey.png", PLAIN, 3, np.repeat(AS_GREY, 3, axis=0)),
        ("grey.png", PLAIN, 1, AS_GREY),
        ("grey.pgm", PLAIN, 1, AS_GREY),
        ("alpha.png", with_alpha(PLAIN), 1, AS_GREY),
        ("three.png", PLAIN.convert("RGB"), 1, AS_GREY),
        ("palette.png", palette(np.repeat(GREY[..., None], 3, axis=2)), 1, AS_GREY),
        ("rgba.png", with_alpha(PLAIN.convert("RGB")), 1, AS_GREY),
        ("bits.png", TWO.convert("1"), 1, np.asarray(TWO)[None]),
    ],
)
def test_modes(tmp_path: Path, name: str, image: Image.Image, channels: int, wanted: np.ndarray) -> None:
    image.save(tmp_path / name)
    found = read_pixels(tmp_path / name, expected(channels))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("image", "given", "said"),
    [
        (COLOURED, expected(1), r"an image in colour, .* grey \(1 channel\); convert it to grey"),
        (COLOURED, expected(3, 5, 4),
         r"5 x 4 pixels \(width x height\), and the network takes 4 x 5; give resize=True"),
        (Image.fromarray(GREY.astype(np.uint16)), expected(1), r"mode I.*; save it with 8 bits a channel"),
        (COLOURED, replace(expected(), shape=[None, 2, 4, 5]), r"takes 2 channels, and .* 1 or 3"),
        (b"no image at all", expected(), r"is damaged or not an image \(.*\); check that it is whole"),
        (None, expected(), r"cannot read .*No such file"),
    ],
)  # fmt: skip
def test_images_that_do_not_fit(tmp_path: Path, image: Any, given: Input, said: str) -> None:
    path = tmp_path / "scan 1.png"
    if isinstance(image, Image.Image):
        image.save(path)
    elif image is not None:
        path.write_bytes(image)
    with pytest.raises(DataError, match=said) as caught:
        read_pixels(path, given)
    assert str(path) in str(caught.value)


def test_an_image_that_is_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as importing GluonCV does
    path = tmp_path / "cut.png"
    Image.fromarray(pixels(40, 50)).save(path)
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(DataError, match=rf"{re.escape(str(path))} is damaged or not an image"):
        read_pixels(path, expected(3, 40, 50))


@pytest.mark.parametrize(("shorter", "resize"), [(None, True), (9, False), (9, True)])
@pytest.mark.parametrize("size", [(8, 8), (30, 12), (6, 20)])
def test_squares_are_resized_as_in_evaluation(
    tmp_path: Path, shorter: Optional[int], resize: bool, size: Tuple[int, int]
) -> None:
    image = Image.fromarray(pixels(*size))
    image.save(tmp_path / "x.png")
    found = read_pixels(tmp_path / "x.png", expected(3, 8, 8, shorter_side=shorter), resize)
    wanted = np.asarray(centre_square(image, shorter or 8, 8)).transpose(2, 0, 1)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(("size", "box"), [((12, 18), (12, 18)), ((40, 12), (26, 18)), ((12, 40), (12, 40))])
def test_rectangles_are_covered(size: Tuple[int, int], box: Tuple[int, int]) -> None:
    """By an image of (height, width); ``box``: what it is scaled to for one of 12 x 18."""
    image = Image.fromarray(pixels(*size))
    scale = max(12 / size[0], 18 / size[1])
    height, width = (max(round(length * scale), least) for length, least in zip(size, (12, 18)))
    top, left = (height - 12) // 2, (width - 18) // 2
    resized = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
    found = cover(image, 12, 12, 18)
    assert found.size == (18, 12)
    np.testing.assert_array_equal(np.asarray(found), resized[top : top + 12, left : left + 18])


def test_bytes_are_scaled_to_the_range_of_the_pixels(tmp_path: Path) -> None:
    PLAIN.save(tmp_path / "grey.png")
    for low, high in ((0, 16), (-1, 1), (0, 1)):
        found = read_pixels(tmp_path / "grey.png", expected(1, pixels=[low, high]))
        wanted = low + GREY.astype(float) * (high - low) / 255
        np.testing.assert_allclose(found[0], wanted, rtol=1e-6, atol=1e-7)


def test_normalised_as_the_data_set_does() -> None:
    bytes_ = np.stack([pixels(4, 5, seed=seed).transpose(2, 0, 1) for seed in range(6)])
    part = ImageSet(bytes_, np.arange(6) % 2)
    data = Dataset("noise", ("a", "b"), part, part, *channel_statistics(bytes_))
    given = expected(mean=[float(value) for value in data.mean], std=[float(value) for value in data.std])
    raw = bytes_.astype(np.float32)
    np.testing.assert_array_equal(normalise(raw, given), data.normalise(bytes_))
    np.testing.assert_allclose(restore_pixels(normalise(raw, given), given), raw, atol=1e-4)
    assert normalise(raw, replace(given, normalised_by=GRAPH)) is raw
    assert restore_pixels(raw, replace(given, normalised_by=GRAPH)) is raw
