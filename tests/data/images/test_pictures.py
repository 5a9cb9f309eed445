"""Image files: formats, orientation, damage; nothing of the process is changed or started."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any, List, Tuple

import numpy as np
import picture_files as files
import pytest
from PIL import Image, ImageFile

from gluon_nrm.data.images.decoding import decode
from gluon_nrm.data.images.formats import ENDINGS, FORMATS, is_image_name
from gluon_nrm.errors import DataError
from gluon_nrm.predict.images import read_pixels
from gluon_nrm.predict.manifest import CALLER, Input

PIXELS = files.pixels(6, 8)

# Formats

ORIENTATION = 0x0112
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 6\n%%EndComments\nshowpage\n%%EOF\n"
DOS_EPS = struct.pack("<4sIIIIIIH", b"\xc5\xd0\xd3\xc6", 30, len(POSTSCRIPT), 0, 0, 0, 0, 0xFFFF) + POSTSCRIPT
WMF = b"\xd7\xcd\xc6\x9a\0\0" + struct.pack("<4hH", 0, 0, 6, 6, 72) + b"\0" * 6 + b"\x01\0\t\0" + b"\0" * 40


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> List[Any]:
    """Whatever is asked to run; nothing runs."""
    asked: List[Any] = []

    def refuse(*arguments: Any, **_: Any) -> None:
        asked.append(arguments)
        raise OSError("no process here")

    for module, names in ((subprocess, ("Popen", "call", "check_call")), (os, ("system", "posix_spawn"))):
        for name in names:
            monkeypatch.setattr(module, name, refuse)
    return asked


@pytest.mark.parametrize("content", [POSTSCRIPT, DOS_EPS, WMF], ids=["eps", "dos-eps", "wmf"])
@pytest.mark.parametrize("name", ["photo.png", "photo.eps", "photo.jpg"])
def test_a_drawing_called_an_image_starts_no_process(
    tmp_path: Path, no_process: List[Any], name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    said = rf"{name} is damaged or not an image \(its content is none of BMP, .*JPEG, .*\)"
    with pytest.raises(DataError, match=said):
        decode(path, path)
    with pytest.raises(DataError, match=said):
        decode(io.BytesIO(content), path)
    expected = Input("data", [None, 3, 6, 6], "float32", [0, 255], CALLER, [0.0] * 3, [1.0] * 3)
    with pytest.raises(DataError, match=said):
        read_pixels(path, expected)
    assert no_process == []


def test_every_format_is_read_whatever_the_name_of_its_file(tmp_path: Path) -> None:
    for kind, ending in (
        ("GIF", ".gif"), ("JPEG", ".jfif"), ("JPEG2000", ".jp2"), ("TGA", ".tga"), ("DIB", ".dib"),
        ("PCX", ".pcx"), ("SGI", ".sgi"), ("WEBP", ".webp"), ("TIFF", ".tif"), ("BMP", ".bmp"),
        ("PPM", ".pnm"), ("PNG", ".apng"),
    ):  # fmt: skip
        assert ending in FORMATS[kind] and is_image_name(f"photo{ending.upper()}")
        for name in (f"photo{ending}", "photo.png"):
            Image.fromarray(PIXELS).save(tmp_path / name, kind)
            found = np.asarray(decode(tmp_path / name, name))
            exact = kind not in ("JPEG", "WEBP", "GIF")
            assert found.shape == PIXELS.shape and (not exact or (found == PIXELS).all())
    for name in ("notes.txt", "photo", "photo.eps", "photo.pdf", "png"):
        assert not is_image_name(name)
    assert {".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"} < set(ENDINGS)


# Orientation


def exif_block(orientation: int, endian: str = "<") -> bytes:
    """An EXIF block with an orientation among tags that no camera should write."""
    entries: List[Tuple[int, int, int, bytes]] = [
        (0x010F, 2, 4, b"odd\0"),  # make
        (ORIENTATION, 3, 1, struct.pack(f"{endian}HH", orientation, 0)),
        (0x011A, 5, 1, b""),  # resolution: 1 / 0
        (0x0128, 2, 4, b"inch"),  # a text where a number belongs
        (0x829A, 3, 2, struct.pack(f"{endian}HH", 1, 2)),
        (0x8769, 2, 4, b"exif"),  # a text where the place of a block belongs
        (0x9204, 10, 1, b""),
    ]
    place, extra = 8 + 2 + 12 * len(entries) + 4, b""
    directory = struct.pack(f"{endian}H", len(entries))
    for tag, kind, count, value in entries:
        if not value:
            value = struct.pack(f"{endian}I", place + len(extra))
            extra += struct.pack(f"{endian}II", 1, 0)
        directory += struct.pack(f"{endian}HHI", tag, kind, count) + value
    head = (b"II*\0" if endian == "<" else b"MM\0*") + struct.pack(f"{endian}I", 8)
    return b"Exif\0\0" + head + directory + bytes(4) + extra


def with_exif(exif: bytes, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind, **({"lossless": True} if kind == "WEBP" else {}))
    data = file.getvalue()
    if kind == "JPEG":  # written by hand: Pillow may refuse to
        return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    return file.getvalue()


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_odd_tags_cost_neither_the_image_nor_its_orientation(kind: str, endian: str) -> None:
    plain = np.asarray(decode(io.BytesIO(with_exif(exif_block(1, endian), kind)), "photo"))
    assert plain.shape == PIXELS.shape
    for orientation, turn in (
        (2, lambda a: a[:, ::-1]), (3, lambda a: a[::-1, ::-1]), (4, lambda a: a[::-1]),
        (5, lambda a: a.swapaxes(0, 1)), (6, lambda a: np.rot90(a, -1)), (8, np.rot90),
        (7, lambda a: a[::-1, ::-1].swapaxes(0, 1)), (0, lambda a: a), (9, lambda a: a), (40000, lambda a: a),
    ):  # fmt: skip
        data = with_exif(exif_block(orientation, endian), kind)
        np.testing.assert_array_equal(np.asarray(decode(io.BytesIO(data), "photo")), turn(plain))


def other_orientation(kind: int, count: int) -> bytes:
    """A block whose orientation is of another type, or more than one value."""
    found = struct.pack("<HHI", ORIENTATION, 3, 1)
    return exif_block(6).replace(found, struct.pack("<HHI", ORIENTATION, kind, count))


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0II*\0",
        b"Exif\0\0nonsense all the way",
        exif_block(6)[:40],
        other_orientation(2, 3),
        other_orientation(5, 1),
        other_orientation(3, 9999),
        other_orientation(99, 1),
    ],
    ids=["empty", "cut", "nonsense", "short", "a text", "a rational", "too many", "no type"],
)
@pytest.mark.filterwarnings("ignore")
def test_a_block_that_makes_no_sense_costs_the_orientation_at_most(exif: bytes) -> None:
    found = decode(io.BytesIO(with_exif(exif, "JPEG")), "photo")
    assert sorted(found.size) == [6, 8]


def test_odd_tags_of_a_tiff_file(tmp_path: Path) -> None:
    """Its pixels and its EXIF are in one directory."""
    pixels = PIXELS.tobytes()
    block = exif_block(6)[6:]
    directory = 8 + len(block)
    entries = [
        (0x0100, 3, 1, 8), (0x0101, 3, 1, 6), (0x0102, 3, 3, directory + 200), (0x0103, 3, 1, 1),
        (0x0106, 3, 1, 2), (0x0111, 4, 1, directory + 220), (ORIENTATION, 3, 1, 6), (0x0115, 3, 1, 3),
        (0x0117, 4, 1, len(pixels)), (0x011A, 5, 1, directory + 206), (0x8769, 2, 4, 0x66697865),
        (0x8825, 2, 4, 0x00737067), (0x9204, 10, 1, directory + 206),
    ]  # fmt: skip
    data = b"II*\0" + struct.pack("<I", directory) + block + struct.pack("<H", len(entries))
    data += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    data = data.ljust(directory + 200, b"\0") + struct.pack("<HHHII", 8, 8, 8, 1, 0)
    found = decode(io.BytesIO(data.ljust(directory + 220, b"\0") + pixels), "photo")
    np.testing.assert_array_equal(np.asarray(found), np.rot90(PIXELS, -1))


# Damage


def cut(kind: str, keep: float = 0.6) -> bytes:
    data = files.encoded(files.pixels(60, 80), kind)
    return data[: int(keep * len(data))]


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize(
    "kind", ["PNG", "JPEG", "GIF", "BMP", "TGA", "TIFF", "PPM", "WEBP", "JPEG2000", "PCX", "SGI"]
)
def test_truncated_images_are_errors_and_the_global_stays(
    kind: str, silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``silent``: as GluonCV sets it when it is imported."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", silent)
    whole = files.encoded(files.pixels(60, 80), kind)
    wanted = np.asarray(Image.open(io.BytesIO(whole)).convert("RGB"))
    np.testing.assert_array_equal(np.asarray(decode(io.BytesIO(whole), "photo")), wanted)
    for keep in (0.9, 0.6):
        with pytest.raises(DataError, match="photo is damaged or not an image"):
            decode(io.BytesIO(cut(kind, keep)), "photo")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is silent


@pytest.mark.parametrize("silent", [False, True])
def test_damaged_pixels_are_errors(silent: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", silent)
    for kind in ("PNG", "TIFF"):
        file = io.BytesIO()
        compressed = {"compression": "tiff_adobe_deflate"} if kind == "TIFF" else {}
        Image.fromarray(files.pixels(60, 80)).save(file, kind, **compressed)
        data = file.getvalue()
        middle = len(data) // 2
        (tmp_path / "photo").write_bytes(data[:middle] + b"\0" * 20 + data[middle + 20 :])
        with pytest.raises(DataError, match="photo is damaged or not an image"):
            decode(tmp_path / "photo", tmp_path / "photo")


def test_a_large_image_is_called_large_and_not_damaged(tmp_path: Path, monkeypatch: Any) -> None:
    png = files.encoded(PIXELS)
    for width, height in ((20000, 10000), (179000, 1000), (983040, 983040)):
        head = png[:16] + struct.pack(">II", width, height) + png[24:29]
        data = head + struct.pack(">I", zlib.crc32(head[12:29])) + png[33:]
        (tmp_path / "large.png").write_bytes(data)
        with pytest.raises(DataError, match="large.png: the image is too large: .* up to 178956970"):
            decode(tmp_path / "large.png", tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    (tmp_path / "small.png").write_bytes(png)
    with pytest.raises(DataError, match="the image is too large: .* up to 40 pixels; scale it down"):
        decode(tmp_path / "small.png", tmp_path / "small.png")
