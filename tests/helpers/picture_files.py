"""Writes small image files, in folders for their classes or in RecordIO files."""

from __future__ import annotations

import gc
import io
import runpy
import struct
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Dict, Iterable, List, Sequence, Tuple

import numpy as np
import pytest
from PIL import Image

MAGIC = struct.pack("<I", 0xCED7230A)


def pixels(height: int = 6, width: int = 6, seed: int = 0, channels: int = 3) -> np.ndarray:
    """Random pixels (H, W, C) uint8, or (H, W)."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(array: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind)
    return file.getvalue()


def im2rec(*arguments: object) -> None:
    """Run MXNet's tool in this process."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()):
        patch.setattr(sys, "argv", ["im2rec", *map(str, arguments)])
        patch.setattr(sys, "path", list(sys.path))  # it adds a folder
        runpy.run_module("mxnet.tools.im2rec", run_name="__main__")
    gc.collect()  # it leaves its files to be closed by Python


def class_folders(folder: Path, counts: Dict[str, int], first_seed: int = 0, **shape: int) -> None:
    """``counts`` images of each class; the image of number n over all of them has the seed n."""
    seed = first_seed
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            (folder / name / f"{number:03}.png").write_bytes(encoded(pixels(seed=seed, **shape)))
            seed += 1


def framed(content: bytes, escape: bool = True) -> bytes:
    """A record of a RecordIO file; cut in pieces where an aligned word of it is the magic number."""
    places = [i for i in range(0, len(content) - 3, 4) if content[i : i + 4] == MAGIC] if escape else []
    pieces, start = [], 0
    for place in [*places, len(content)]:
        pieces.append(content[start:place])
        start = place + 4
    kinds = [0] if len(pieces) == 1 else [1, *[2] * (len(pieces) - 2), 3]
    return b"".join(
        MAGIC + struct.pack("<I", kind << 29 | len(piece)) + piece + bytes(-len(piece) % 4)
        for kind, piece in zip(kinds, pieces)
    )


def image_record(label: float, image: bytes, key: int = 0, labels: Sequence[float] = ()) -> bytes:
    """im2rec's header and an encoded image."""
    return struct.pack("<IfQQ", len(labels), label, key, 0) + struct.pack(f"<{len(labels)}f", *labels) + image


def record_file(path: Path, records: Iterable[Tuple[float, bytes]], first_key: int = 0) -> None:
    """NAME.rec and NAME.idx of labels and encoded images."""
    data, index = bytearray(), []
    for key, (label, image) in enumerate(records, first_key):
        index.append(f"{key}\t{len(data)}\n")
        data += framed(image_record(label, image, key))
    path.write_bytes(bytes(data))
    path.with_suffix(".idx").write_text("".join(index))


def record_parts(folder: Path, train: int = 12, test: int = 4, size: Tuple[int, int] = (20, 24)) -> List[int]:
    """train.rec and val.rec of JPEG images in three classes; returns the training labels."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", train), ("val", test)):
        images = [encoded(pixels(*size, seed=i), "JPEG") for i in range(count)]
        record_file(folder / f"{part}.rec", [(i % 3, image) for i, image in enumerate(images)])
    return [i % 3 for i in range(train)]
