"""The digits data set, the checks every data set passes, and the registry."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import subprocess
import sys
from typing import Any, Dict, Sequence, Set, Tuple

import numpy as np
import pytest

from gluon_nrm.data import Dataset, ImageSet, list_datasets, load_dataset, register_dataset
from gluon_nrm.data.sets import dataset, registry
from gluon_nrm.errors import DataError


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


def hashes(images: np.ndarray) -> Set[str]:
    return {hashlib.sha256(image.tobytes()).hexdigest() for image in images}


def test_sizes_and_types(digits: Dataset) -> None:
    assert digits.train.images.shape == (1297, 1, 8, 8)
    assert digits.test.images.shape == (500, 1, 8, 8)
    assert digits.train.images.dtype == digits.test.images.dtype == np.float32
    assert digits.train.labels.dtype == digits.test.labels.dtype == np.int64
    assert digits.input_shape == (1, 8, 8)
    assert digits.classes == 10
    assert digits.class_names == tuple("0123456789")


def test_pixels_are_raw(digits: Dataset) -> None:
    for part in (digits.train, digits.test):
        assert np.asarray(part.images).min() == 0
        assert np.asarray(part.images).max() == 16


def test_test_set_is_stratified(digits: Dataset) -> None:
    assert np.bincount(digits.test.labels).tolist() == [50] * 10
    assert np.bincount(digits.train.labels).tolist() == [128, 132, 127, 133, 131, 132, 131, 129, 124, 130]


def test_no_image_is_in_both_sets_and_none_is_lost(digits: Dataset) -> None:
    train, test = hashes(np.asarray(digits.train.images)), hashes(np.asarray(digits.test.images))
    assert not train & test
    # All 1,797 images differ, so distinct hashes count images.
    assert len(train) == 1297
    assert len(test) == 500


def test_labels_stay_with_their_images(digits: Dataset) -> None:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    truth = {image.astype(np.float32).tobytes(): label for image, label in zip(bunch.images, bunch.target)}
    for part in (digits.train, digits.test):
        assert [truth[image.tobytes()] for image in np.asarray(part.images)] == part.labels.tolist()


def test_the_test_set_never_changes(digits: Dataset) -> None:
    """Published numbers hold for these 500 images only: another digest is another benchmark."""
    digest = hashlib.sha256(
        np.asarray(digits.test.images).tobytes() + digits.test.labels.tobytes()
    ).hexdigest()
    assert digest == "9b27652d3fd58afbcd5779cc03362a97859ab10cbf9fb1af6a813f0fc87173c7"


def test_constants_come_from_the_training_images(digits: Dataset) -> None:
    pixels = np.asarray(digits.train.images).astype(np.float64)
    np.testing.assert_allclose(digits.mean, [pixels.mean()], rtol=1e-6)
    np.testing.assert_allclose(digits.std, [pixels.std()], rtol=1e-6)
    everything = np.concatenate([pixels, digits.test.images])
    assert abs(everything.mean() - digits.mean[0]) > 1e-4


def test_normalise(digits: Dataset) -> None:
    raw = np.asarray(digits.train.images).copy()
    result = digits.normalise(raw)
    assert result.dtype == np.float32
    assert abs(result.mean(dtype=np.float64)) < 1e-5
    assert abs(result.std(dtype=np.float64) - 1) < 1e-5
    np.testing.assert_array_equal(raw, digits.train.images)


def test_arrays_are_read_only(digits: Dataset) -> None:
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(digits.train.images)[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        digits.test.labels[0] = 0


def test_missing_scikit_learn_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(DataError, match="pip install scikit-learn"):
        load_dataset("digits")


def test_importing_data_imports_neither_mxnet_nor_scikit_learn() -> None:
    code = "import sys, gluon_nrm.data; print([m for m in ('mxnet', 'sklearn') if m in sys.modules])"
    # ``python -c`` finds modules in its folder: the test needs no installed package.
    folder = pathlib.Path(dataset.__file__).parents[3]
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


# Any data set


def tiny(**changes: Any) -> Dataset:
    """Two classes, RGB uint8 images of 4 x 6 pixels."""
    rng = np.random.default_rng(0)
    train = ImageSet(rng.integers(0, 256, (6, 3, 4, 6), dtype=np.uint8), np.array([0, 1] * 3))
    test = ImageSet(train.images[:2], train.labels[:2])
    mean, std = dataset.channel_statistics(train.images)
    settings: Dict[str, Any] = dict(
        name="tiny", class_names=("a", "b"), train=train, test=test, mean=mean, std=std
    )
    return Dataset(**{**settings, **changes})


def test_bytes_are_normalised_per_channel() -> None:
    data = tiny()
    expected = np.empty((6, 3, 4, 6))
    for channel in range(3):
        pixels = np.asarray(data.train.images)[:, channel].astype(np.float64)
        expected[:, channel] = (pixels - pixels.mean()) / pixels.std()
    result = data.normalise(data.train.images)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_subset_keeps_images_and_labels_together() -> None:
    train = tiny().train
    part = train.subset(np.array([3, 0]))
    np.testing.assert_array_equal(part.images, np.asarray(train.images)[[3, 0]])
    assert part.labels.tolist() == [1, 0]


def images(
    shape: Tuple[int, ...] = (2, 3, 4, 6),
    dtype: type = np.uint8,
    labels: Sequence[int] = (0, 1),
    label_dtype: type = np.int64,
) -> ImageSet:
    return ImageSet(np.zeros(shape, dtype), np.array(labels, label_dtype))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": images(shape=(2, 4, 6))}, "train images: shape"),
        ({"test": images(shape=(0, 3, 4, 6), labels=())}, "test images: shape"),
        ({"train": images(dtype=np.float64)}, "convert them to uint8 or float32"),
        ({"train": images(labels=(0,))}, "one for each of the 2 images"),
        ({"train": images(label_dtype=np.int32)}, "int32 labels"),
        ({"train": images(labels=(0, 2))}, "labels from 0 to 2; expected 0 to 1"),
        ({"train": images(labels=(-1, 1))}, "labels from -1 to 1"),
        ({"test": images(shape=(2, 3, 4, 4))}, "both must be the same"),
        ({"mean": np.zeros(1)}, "one per channel"),
        ({"std": np.ones((3, 1))}, "one per channel"),
        ({"std": np.array([1.0, 0.0, 1.0])}, "channel 2 of 3 is .* in every pixel"),
        ({"mean": np.array([1.0, np.nan, 1.0])}, "finite"),
    ],
)
def test_inconsistent_data_sets_are_refused(changes: Dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        tiny(**changes)
    assert "'tiny'" in str(caught.value)


def test_a_dataset_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        tiny().name = "other"  # type: ignore[misc]


# The registry


def test_registering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_LOADERS", dict(registry._LOADERS))
    register_dataset("another")(lambda source: tiny())
    assert list_datasets() == sorted([*list_datasets()])
    assert {"another", "digits"} <= set(list_datasets())
    assert load_dataset("another").name == "tiny"


def test_a_name_is_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_LOADERS", dict(registry._LOADERS))
    with pytest.raises(DataError, match="'digits' is registered already"):
        register_dataset("digits")(lambda source: tiny())
    assert load_dataset("digits").name == "digits"


def test_unknown_names_suggest_the_closest() -> None:
    with pytest.raises(DataError, match="data.name: no data set called 'digit'; did you mean 'digits'?"):
        load_dataset("digit")
    with pytest.raises(DataError, match="there are: .*digits"):
        load_dataset("zzz")
