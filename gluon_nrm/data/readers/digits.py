"""Reader of the 1,797 handwritten 8x8 digits of scikit-learn, which need no download."""

from __future__ import annotations

from typing import Tuple

import numpy as np

from gluon_nrm.data.pipeline.splits import take_per_class
from gluon_nrm.data.sets.dataset import Dataset, ImageSet, channel_statistics
from gluon_nrm.data.sets.registry import DatasetSpec, DataSource, register_dataset
from gluon_nrm.errors import DataError

TEST_PER_CLASS = 50
CLASSES = 10
# Seed of the test images; changing it makes published results incomparable.
TEST_SEED = 20180101


SPEC = DatasetSpec(
    "digits",
    class_names=tuple(str(digit) for digit in range(CLASSES)),
    input_shape=(1, 8, 8),
    train=1297,
    test=CLASSES * TEST_PER_CLASS,
    mean=(4.894661,),
    std=(6.020876,),
)


@register_dataset("digits", SPEC)
def load_digits(source: DataSource) -> Dataset:
    """Load the digits: 1,297 training and 500 test images (1, 8, 8) float32, pixel values 0 to 16.

    The test set holds 50 images of each class and never changes. The arrays are read-only.

    Raises:
        DataError: scikit-learn is missing, or a folder was given.
    """
    images, labels = _read()
    if source.path is not None:
        raise DataError("data.path: 'digits' come with scikit-learn, not from a folder; leave it out")
    order = np.random.RandomState(TEST_SEED).permutation(len(labels))
    is_test = np.zeros(len(labels), dtype=bool)
    is_test[take_per_class(labels, order, np.full(CLASSES, TEST_PER_CLASS))] = True
    train = ImageSet(images[~is_test], labels[~is_test])
    test = ImageSet(images[is_test], labels[is_test])
    for array in (*train, *test):
        np.asarray(array).setflags(write=False)
    mean, std = channel_statistics(train.images)
    return Dataset("digits", SPEC.class_names, train, test, mean, std)


def _read() -> Tuple[np.ndarray, np.ndarray]:
    """Return all images (1797, 1, 8, 8) float32 and labels (1797,) int64 from scikit-learn."""
    try:
        # Imported here: only this data set needs scikit-learn.
        from sklearn import datasets
    except ImportError as error:
        raise DataError(
            f"data.name: 'digits' comes with scikit-learn, which cannot be imported ({error}); "
            "run: pip install scikit-learn"
        ) from error
    bunch = datasets.load_digits()
    return bunch.images[:, None].astype(np.float32), bunch.target.astype(np.int64)
