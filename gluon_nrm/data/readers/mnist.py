"""Reader of MNIST (LeCun et al. 1998) and Fashion-MNIST (Xiao et al. 2017) in idx files, gzipped or not."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Tuple

import numpy as np

from gluon_nrm.data.images.read_errors import UNREADABLE, read_errors
from gluon_nrm.data.readers.find_files import find_file, missing_file
from gluon_nrm.data.sets.dataset import Dataset, ImageSet, channel_statistics
from gluon_nrm.data.sets.registry import DatasetSpec, DataSource, register_dataset
from gluon_nrm.errors import DataError
from gluon_nrm.storage.files import open_file

MNIST = DatasetSpec(
    "mnist",
    class_names=tuple(str(digit) for digit in range(10)),
    input_shape=(1, 28, 28),
    train=60000,
    test=10000,
    mean=(33.318,),
    std=(78.567,),
)
FASHION_MNIST = DatasetSpec(
    "fashion_mnist",
    class_names=(
        "T-shirt or top", "trouser", "pullover", "dress", "coat",
        "sandal", "shirt", "sneaker", "bag", "ankle boot",
    ),
    input_shape=(1, 28, 28),
    train=60000,
    test=10000,
    mean=(72.940,),
    std=(90.021,),
)  # fmt: skip
PARTS = ("train", "t10k")
#: First four bytes: 0, 0, 8 for bytes, and the number of dimensions.
IMAGES, LABELS = 0x0803, 0x0801


@register_dataset("mnist", MNIST)
def load_mnist(source: DataSource) -> Dataset:
    """Load MNIST: 60,000 training and 10,000 test images (1, 28, 28) uint8; see ``read_mnist``.

    The 60,000 are the training and validation images of the released experiments.
    """
    return read_mnist(MNIST, source)


@register_dataset("fashion_mnist", FASHION_MNIST)
def load_fashion_mnist(source: DataSource) -> Dataset:
    """Load Fashion-MNIST: 60,000 training and 10,000 test images (1, 28, 28) uint8; see ``read_mnist``.

    The files of Debian's package dataset-fashion-mnist are read if the data folder has none.
    """
    return read_mnist(FASHION_MNIST, source)


def read_mnist(spec: DatasetSpec, source: DataSource) -> Dataset:
    """Read the four files; ``spec`` holds the expected numbers of images.

    Raises:
        MissingData: a file is missing.
        DataError: a file is damaged or another file.
    """
    parts = []
    for part, number in zip(PARTS, (spec.train, spec.test)):
        images = _read(_path(spec, source, f"{part}-images-idx3-ubyte"), IMAGES, (number, 28, 28))
        path = _path(spec, source, f"{part}-labels-idx1-ubyte")
        labels = _read(path, LABELS, (number,))
        if labels.max() >= spec.classes:
            raise DataError(
                f"{path}: labels up to {labels.max()}; expected 0 to {spec.classes - 1}; {UNREADABLE}"
            )
        parts.append(ImageSet(images[:, None], labels.astype(np.int64)))
    train, test = parts
    return Dataset(spec.name, spec.class_names, train, test, *channel_statistics(train.images))


def _path(spec: DatasetSpec, source: DataSource, file: str) -> Path:
    """Return the path of a file, gzipped or not; some unpacking programs write a dot before ``idx``."""
    names = (f"{file}.gz", file, file.replace("-idx", ".idx"))
    path = find_file(source, spec.name, names)
    if path is None:
        raise missing_file(source, spec.name, names[0])
    return path


def _read(path: Path, magic: int, shape: Tuple[int, ...]) -> np.ndarray:
    """Read the uint8 array of an idx file: big-endian magic number and dimensions, then the values."""
    header = 4 * (1 + len(shape))
    size = header + int(np.prod(shape))
    with read_errors(path, "a .gz file"), open_file(path) as stream:
        file = gzip.GzipFile(fileobj=stream) if path.suffix == ".gz" else stream
        data = file.read(size + 1)
    if len(data) < header:
        raise DataError(f"{path}: only {len(data)} bytes; {UNREADABLE}")
    found = np.frombuffer(data, dtype=">i4", count=1 + len(shape)).tolist()
    if found != [magic, *shape]:
        raise DataError(
            f"{path}: begins with {found}; an idx file of shape {shape} begins with {[magic, *shape]}; "
            f"{UNREADABLE}"
        )
    if len(data) != size:
        amount = "more than" if len(data) > size else f"{len(data)} of"
        raise DataError(f"{path}: {amount} {size} bytes; {UNREADABLE}")
    return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(shape)
