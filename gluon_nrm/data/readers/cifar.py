"""Reader of CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in their official binary or python files."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, List, NamedTuple, Sequence, Tuple

import numpy as np

from gluon_nrm.data.images.read_errors import UNREADABLE
from gluon_nrm.data.readers.archives import read_files
from gluon_nrm.data.readers.cifar_classes import CIFAR10_CLASSES, CIFAR100_CLASSES
from gluon_nrm.data.readers.cifar_pickles import read_dictionary
from gluon_nrm.data.readers.find_files import find_file, missing_file
from gluon_nrm.data.sets.dataset import Dataset, ImageSet, channel_statistics
from gluon_nrm.data.sets.registry import DatasetSpec, DataSource, register_dataset
from gluon_nrm.errors import DataError
from gluon_nrm.storage.files import is_dir

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32

#: Decodes contents, name and number of images of a file to pixels (n, 3072) and labels (n,).
Decode = Callable[[bytes, str, int], Tuple[np.ndarray, np.ndarray]]


class Form(NamedTuple):
    """Published form of a data set; all files of a part hold the same number of images."""

    archive: str
    folder: str  # in the archive, or unpacked beside it
    train: Tuple[str, ...]
    test: Tuple[str, ...]
    decode: Decode


def decode_binary(label_bytes: int) -> Decode:
    """Make the decoder of records: label bytes, the last of them the class, and 3,072 bytes of an image."""

    def decode(data: bytes, where: str, images: int) -> Tuple[np.ndarray, np.ndarray]:
        """Return the images (N, 3072) and labels (N,) of a file."""
        record = label_bytes + PIXELS
        if len(data) != images * record:
            raise DataError(
                f"{where}: {len(data)} bytes; {images} images of {record} bytes are {images * record}; "
                f"{UNREADABLE}"
            )
        records = np.frombuffer(data, dtype=np.uint8).reshape(images, record)
        return records[:, label_bytes:], records[:, label_bytes - 1]

    return decode


def decode_python(labels_key: str) -> Decode:
    """Make the decoder of a pickled dictionary: images in ``data``, classes in ``labels_key``."""

    def decode(data: bytes, where: str, images: int) -> Tuple[np.ndarray, np.ndarray]:
        """Return the images (N, 3072) and labels (N,) of a file."""
        entries = read_dictionary(data, where)
        pixels, labels = entries.get("data"), entries.get(labels_key)
        if not isinstance(pixels, np.ndarray) or pixels.shape != (images, PIXELS):
            found = f"of shape {pixels.shape}" if isinstance(pixels, np.ndarray) else "missing"
            raise DataError(f"{where}: 'data' is {found}; expected {(images, PIXELS)}; {UNREADABLE}")
        if not isinstance(labels, list) or [type(label) for label in labels] != [int] * images:
            raise DataError(f"{where}: '{labels_key}' is no list of {images} integers; {UNREADABLE}")
        return pixels, np.array(labels)

    return decode


_TRAIN10 = tuple(f"data_batch_{number}" for number in range(1, 6))
CIFAR10_FORMS = (
    Form(
        "cifar-10-binary.tar.gz",
        "cifar-10-batches-bin",
        tuple(f"{name}.bin" for name in _TRAIN10),
        ("test_batch.bin",),
        decode_binary(1),
    ),
    Form("cifar-10-python.tar.gz", "cifar-10-batches-py", _TRAIN10, ("test_batch",), decode_python("labels")),
)
CIFAR100_FORMS = (
    Form("cifar-100-binary.tar.gz", "cifar-100-binary", ("train.bin",), ("test.bin",), decode_binary(2)),
    Form("cifar-100-python.tar.gz", "cifar-100-python", ("train",), ("test",), decode_python("fine_labels")),
)
CIFAR10 = DatasetSpec(
    "cifar10",
    class_names=CIFAR10_CLASSES,
    input_shape=SHAPE,
    train=50000,
    test=10000,
    mean=(125.307, 122.950, 113.865),
    std=(62.993, 62.089, 66.705),
)
CIFAR100 = DatasetSpec(
    "cifar100",
    class_names=CIFAR100_CLASSES,
    input_shape=SHAPE,
    train=50000,
    test=10000,
    mean=(129.304, 124.070, 112.434),
    std=(68.170, 65.392, 70.418),
)


@register_dataset("cifar10", CIFAR10)
def load_cifar10(source: DataSource) -> Dataset:
    """Load CIFAR-10: 50,000 training and 10,000 test images (3, 32, 32) uint8; see ``read_cifar``."""
    return read_cifar(CIFAR10, CIFAR10_FORMS, source)


@register_dataset("cifar100", CIFAR100)
def load_cifar100(source: DataSource) -> Dataset:
    """Load CIFAR-100: 100 fine classes, numbers and shapes of CIFAR-10; see ``read_cifar``."""
    return read_cifar(CIFAR100, CIFAR100_FORMS, source)


def read_cifar(spec: DatasetSpec, forms: Sequence[Form], source: DataSource) -> Dataset:
    """Read the first form that exists: archives before folders, binary before python.

    Args:
        spec: expected numbers of images and classes.
        forms: published forms of the data set.
        source: folder of the files.

    Raises:
        MissingData: no form exists.
        DataError: the files are damaged, incomplete or of another data set.
    """
    for attribute in ("archive", "folder"):
        for form in forms:
            place = find_file(source, spec.name, [getattr(form, attribute)])
            if place is not None:
                return _read(spec, form, place)
    raise missing_file(source, spec.name, forms[0].archive)


def _read(spec: DatasetSpec, form: Form, place: Path) -> Dataset:
    """Read one form."""
    # A python file also holds label and name of each image.
    largest = max(spec.train // len(form.train), spec.test) * (PIXELS + 128) + 4096
    files = read_files(place, form.folder, form.train + form.test, largest)
    parts = []
    for names, images in ((form.train, spec.train), (form.test, spec.test)):
        each = images // len(names)
        where = [str(place / name) if is_dir(place, DataError) else f"{place}: {name}" for name in names]
        decoded = [form.decode(files.pop(name), at, each) for name, at in zip(names, where)]
        parts.append(_image_set(decoded, where, spec.classes))
    train, test = parts
    return Dataset(spec.name, spec.class_names, train, test, *channel_statistics(train.images))


def _image_set(decoded: List[Tuple[np.ndarray, np.ndarray]], where: List[str], classes: int) -> ImageSet:
    """Join the pixels (n, 3072) and labels (n,) of a part's files."""
    for (_, labels), at in zip(decoded, where):
        if labels.min() < 0 or labels.max() >= classes:
            raise DataError(
                f"{at}: labels from {labels.min()} to {labels.max()}; expected 0 to {classes - 1}; "
                f"{UNREADABLE}"
            )
    images = np.concatenate([pixels for pixels, _ in decoded]).reshape(-1, *SHAPE)
    return ImageSet(images, np.concatenate([labels for _, labels in decoded]).astype(np.int64))
