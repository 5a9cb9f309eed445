"""Reader of SVHN, cropped digits (Netzer et al. 2011), in its official MATLAB files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gluon_nrm.data.images.read_errors import UNREADABLE
from gluon_nrm.data.readers.find_files import find_file, missing_file
from gluon_nrm.data.readers.matlab import read_arrays
from gluon_nrm.data.sets.dataset import Dataset, ImageSet, channel_statistics
from gluon_nrm.data.sets.registry import DatasetSpec, DataSource, register_dataset
from gluon_nrm.errors import DataError

SVHN = DatasetSpec(
    "svhn",
    class_names=tuple(str(digit) for digit in range(10)),
    input_shape=(3, 32, 32),
    train=73257,
    test=26032,
    # Of the training set; the released experiments used those of the test set.
    mean=(111.61, 113.16, 120.57),
    std=(50.50, 51.26, 50.24),
)
FILES = ("train_32x32.mat", "test_32x32.mat")
LABEL_OF_ZERO = 10


@register_dataset("svhn", SVHN)
def load_svhn(source: DataSource) -> Dataset:
    """Load SVHN: 73,257 training and 26,032 test images (3, 32, 32) uint8; see ``read_svhn``."""
    return read_svhn(SVHN, source)


def read_svhn(spec: DatasetSpec, source: DataSource) -> Dataset:
    """Read both files; ``spec`` holds the expected numbers of images. The label 10 becomes class 0.

    Raises:
        MissingData: a file is missing.
        DataError: a file is damaged or another file.
    """
    parts = []
    for file, images in zip(FILES, (spec.train, spec.test)):
        path = find_file(source, spec.name, [file])
        if path is None:
            raise missing_file(source, spec.name, file)
        parts.append(_read(path, images))
    train, test = parts
    return Dataset(spec.name, spec.class_names, train, test, *channel_statistics(train.images))


def _read(path: Path, count: int) -> ImageSet:
    """Read one file: X (32, 32, 3, count) uint8, y (count, 1) from 1 to 10."""
    # A label takes up to 8 bytes; names and headers fit into the last term.
    arrays = read_arrays(path, ("X", "y"), most=count * (32 * 32 * 3 + 8) + 2**20)
    images, labels = (arrays.get(name, np.empty(0)) for name in ("X", "y"))
    if images.shape != (32, 32, 3, count) or images.dtype != np.uint8 or labels.shape != (count, 1):
        raise DataError(
            f"{path}: X of shape {images.shape} ({images.dtype}) and y of shape {labels.shape}; "
            f"expected {(32, 32, 3, count)} (uint8) and {(count, 1)}; {UNREADABLE}"
        )
    if not ((labels >= 1) & (labels <= LABEL_OF_ZERO) & (labels == np.rint(labels))).all():
        raise DataError(
            f"{path}: labels from {labels.min()} to {labels.max()}; expected 1 to {LABEL_OF_ZERO}; "
            f"{UNREADABLE}"
        )
    digits = labels.ravel().astype(np.int64) % LABEL_OF_ZERO
    return ImageSet(np.ascontiguousarray(images.transpose(3, 2, 0, 1)), digits)
