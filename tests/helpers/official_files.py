"""Writes small data sets in the official formats, byte by byte, from arrays of images and labels."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np

from gluon_nrm.data import DatasetSpec
from gluon_nrm.data.readers.cifar import CIFAR10, CIFAR100
from gluon_nrm.data.readers.mnist import MNIST
from gluon_nrm.data.readers.svhn import SVHN

Files = Dict[str, bytes]
TRAIN, TEST = 30, 20

#: The real specifications but for the numbers of images.
SPECS = {spec.name: replace(spec, train=TRAIN, test=TEST) for spec in (CIFAR10, CIFAR100, SVHN, MNIST)}


def a_part(spec: DatasetSpec, part: str) -> Tuple[np.ndarray, np.ndarray]:
    """Random images (n, C, H, W) uint8 and labels (n,), each class of ten as often as the others."""
    count = getattr(spec, part)
    rng = np.random.default_rng([count, len(spec.name)])
    labels = rng.permutation(np.arange(count) % min(spec.classes, 10))
    return rng.integers(0, 256, (count, *spec.input_shape), dtype=np.uint8), labels


def archive(path: Path, folder: str, files: Files, prefix: str = "") -> None:
    """A .tar.gz of a folder, with a page about the files in it as in the official ones."""
    with tarfile.open(path, "w:gz") as tar:
        for name, data in {"readme.html": b"<html>", **files}.items():
            member = tarfile.TarInfo(f"{prefix}{folder}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def unpacked(path: Path, files: Files) -> None:
    """The folder that such an archive unpacks to."""
    path.mkdir(parents=True)
    for name, data in files.items():
        (path / name).write_bytes(data)


# CIFAR's binary files


def cifar10_binary(spec: DatasetSpec) -> Files:
    files = {}
    images, labels = a_part(spec, "train")
    for number, (pixels, classes) in enumerate(zip(np.split(images, 5), np.split(labels, 5)), 1):
        files[f"data_batch_{number}.bin"] = cifar_records(pixels, classes)
    return {**files, "test_batch.bin": cifar_records(*a_part(spec, "test"))}


def cifar100_binary(spec: DatasetSpec) -> Files:
    parts = {part: a_part(spec, part) for part in ("train", "test")}
    return {f"{part}.bin": cifar_records(*data, coarse=[7]) for part, data in parts.items()}


def cifar_records(images: np.ndarray, labels: np.ndarray, coarse: List[int] = ()) -> bytes:  # type: ignore
    return b"".join(bytes([*coarse, label]) + image.tobytes() for image, label in zip(images, labels))


# CIFAR's python files: pickles of protocol 2, as Python 2 wrote them


def cifar10_python(spec: DatasetSpec) -> Files:
    files = {}
    images, labels = a_part(spec, "train")
    for number, (pixels, classes) in enumerate(zip(np.split(images, 5), np.split(labels, 5)), 1):
        files[f"data_batch_{number}"] = pickled("labels", pixels, classes)
    return {**files, "test_batch": pickled("labels", *a_part(spec, "test"))}


def cifar100_python(spec: DatasetSpec) -> Files:
    parts = {part: a_part(spec, part) for part in ("train", "test")}
    return {part: pickled("fine_labels", *data) for part, data in parts.items()}


def text(value: str) -> bytes:
    """A byte string: SHORT_BINSTRING."""
    return b"U" + bytes([len(value)]) + value.encode("latin-1")


def whole(value: int) -> bytes:
    """BININT1, BININT2 or BININT."""
    if 0 <= value < 256:
        return b"K" + bytes([value])
    return b"M" + struct.pack("<H", value) if 0 <= value < 65536 else b"J" + struct.pack("<i", value)


def pickled(labels_key: str, images: np.ndarray, labels: np.ndarray, fortran: bool = False) -> bytes:
    """{"batch_label": text, labels_key: [...], "data": array (n, 3072), "filenames": [...]}."""
    pixels = images.reshape(len(images), -1)
    data = pixels.tobytes(order="F" if fortran else "C")
    kind = b"cnumpy\ndtype\nq\n" + text("u1") + whole(0) + whole(1) + b"\x87Rq\x0b"
    kind += b"(" + whole(3) + text("|") + b"NNN" + whole(-1) + whole(-1) + whole(0) + b"tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08" + whole(0) + b"\x85"
    array += text("b") + b"\x87Rq\x09"
    shape = whole(pixels.shape[0]) + whole(pixels.shape[1]) + b"\x86"
    state = b"(" + whole(1) + shape + kind + (b"\x88" if fortran else b"\x89")
    state += b"T" + struct.pack("<i", len(data)) + data + b"tb"
    # the second list of labels is the first one again, from memory, as a pickle would write it
    return b"".join(
        [
            b"\x80\x02}q\x01(",
            text("batch_label") + b"q\x02" + text("training batch 1 of 5") + b"q\x03",
            text(labels_key) + b"q\x04]q\x05(" + b"".join(map(whole, labels.tolist())) + b"e",
            text("coarse_labels") + b"h\x05",
            text("data") + b"q\x06" + array + state,
            text("filenames") + b"r\x00\x01\x00\x00]q\x0c" + text("leptodactylus_s_000004.png") + b"a",
            b"u.",
        ]
    )


# SVHN's MATLAB files, level 5


def svhn(spec: DatasetSpec, zipped: bool = True) -> Files:
    files = {}
    for part in ("train", "test"):
        images, labels = a_part(spec, part)
        labels = np.where(labels == 0, 10, labels)
        files[f"{part}_32x32.mat"] = matlab(images.transpose(2, 3, 1, 0), labels, zipped)
    return files


def matlab(images: np.ndarray, labels: np.ndarray, zipped: bool = True) -> bytes:
    """A file of X and y, both uint8: a header of 128 bytes, and a matrix each, compressed or not."""
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
    return header + b"".join(
        matrix(name, array, zipped) for name, array in (("X", images), ("y", labels.reshape(-1, 1)))
    )


def matrix(name: str, array: np.ndarray, zipped: bool) -> bytes:
    """miMATRIX (14) of flags, dimensions, name and values, inside miCOMPRESSED (15) if ``zipped``."""
    flags = element(6, struct.pack("<II", 9, 0))  # mxUINT8_CLASS
    dimensions = element(5, struct.pack(f"<{array.ndim}i", *array.shape))
    values = element(2, array.astype(np.uint8).tobytes(order="F"))
    whole_matrix = element(14, flags + dimensions + element(1, name.encode()) + values)
    if not zipped:
        return whole_matrix
    squeezed = zlib.compress(whole_matrix)
    return struct.pack("<II", 15, len(squeezed)) + squeezed


def element(kind: int, data: bytes) -> bytes:
    """A tag and its data, filled up to a multiple of 8 bytes."""
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


# MNIST's idx files


def mnist(spec: DatasetSpec, zipped: bool = True) -> Files:
    files = {}
    for part, name in (("train", "train"), ("test", "t10k")):
        images, labels = a_part(spec, part)
        files[f"{name}-images-idx3-ubyte"] = idx(images[:, 0])
        files[f"{name}-labels-idx1-ubyte"] = idx(labels)
    return {f"{name}.gz": gzip.compress(data) for name, data in files.items()} if zipped else files


def idx(array: np.ndarray) -> bytes:
    """Two zero bytes, the type (8: bytes), the number of dimensions, each dimension, the values."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()
