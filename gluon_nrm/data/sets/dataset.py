"""A data set: labelled, unlabelled and test images, classes and normalisation constants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Optional, Tuple, Union

import numpy as np

from gluon_nrm.data.sets.contents import Contents, hash_pixels
from gluon_nrm.data.sets.identities import Identified
from gluon_nrm.data.sets.joined_images import select_arrays, select_streamed
from gluon_nrm.data.sets.skipped_files import Skipped
from gluon_nrm.data.sets.streamed_images import StreamedImages
from gluon_nrm.errors import DataError

Images = Union[np.ndarray, StreamedImages]
"""An array, or images that ``numpy.asarray`` decodes into one."""


class ImageSet(NamedTuple):
    """Images with raw pixel values, as on disk, and their labels."""

    images: Images  # (N, C, H, W) uint8 or float32, raw pixel values
    labels: np.ndarray  # (N,) int64, 0 <= label < number of classes

    def subset(self, indices: Union[np.ndarray, slice]) -> ImageSet:
        """Return the images at ``indices`` (M,), in that order; a slice gives a view; nothing is decoded."""
        return ImageSet(self.images[indices], self.labels[indices])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test set of images of one size, with the constants that normalise them.

    ``mean`` and ``std`` (C,) are per channel, in raw pixel values, of the training images alone.
    ``identified`` names the training and the test images; None: they are identified by their pixels.

    ``unlabelled`` are further training images whose classes are not known. Positions count the training
    images first and then the unlabelled ones.

    Raises:
        DataError: shapes, types, labels or constants do not fit together.
    """

    name: str
    class_names: Tuple[str, ...]
    train: ImageSet
    test: ImageSet
    mean: np.ndarray  # (C,)
    std: np.ndarray  # (C,)
    skipped: Skipped = Skipped()
    """Files in the user's folder that were left out."""
    identified: Optional[Tuple[Identified, Identified]] = None
    unlabelled: Optional[Images] = None  # (U, C, H, W), of the type of the training images
    unlabelled_contents: Optional[Contents] = None
    """Hashes of the unlabelled images; None: they are computed from the pixels."""

    def __post_init__(self) -> None:
        """Check shapes, types, labels and constants."""
        for part, image_set in (("train", self.train), ("test", self.test)):
            _check_images(f"data set '{self.name}', {part} images", image_set, self.classes)
        if self.train.images.shape[1:] != self.test.images.shape[1:]:
            raise DataError(
                f"data set '{self.name}': training images are {self.train.images.shape[1:]} and "
                f"test images {self.test.images.shape[1:]}; both must be the same (channels, height, width)"
            )
        if self.unlabelled is not None:
            _check_unlabelled(self.name, self.unlabelled, self.train.images)
        _check_constants(self.name, self.mean, self.std, self.input_shape[0])

    @property
    def input_shape(self) -> Tuple[int, int, int]:
        """Channels, height and width of one image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    @property
    def training_images(self) -> int:
        """Number of training images with a class."""
        return len(self.train.labels)

    @property
    def unlabelled_images(self) -> int:
        """Number of images without a class."""
        return 0 if self.unlabelled is None else len(self.unlabelled)

    @property
    def test_images(self) -> int:
        """Number of test images."""
        return len(self.test.labels)

    @property
    def pixel_range(self) -> Tuple[float, float]:
        """Smallest and largest pixel value: 0 and 255 for bytes, else those of the training images."""
        if self.train.images.dtype == np.uint8:
            return 0.0, 255.0
        return float(np.min(self.train.images)), float(np.max(self.train.images))

    @property
    def streamed(self) -> bool:
        """True if images are decoded when they are needed, instead of being kept in memory."""
        return isinstance(self.train.images, StreamedImages)

    def images_at(self, positions: np.ndarray) -> Images:
        """Select images to train on; nothing is decoded.

        Args:
            positions: (B,); those of the unlabelled images follow those of the training images.
        """
        train = self.train.images
        if not (positions >= len(train)).any():
            return train[positions]
        unlabelled = self.unlabelled
        if isinstance(train, StreamedImages):
            assert isinstance(unlabelled, StreamedImages)
            return select_streamed(train, unlabelled, positions)
        assert isinstance(unlabelled, np.ndarray)
        return select_arrays(train, unlabelled, positions)

    def describe_unlabelled(self) -> Optional[Contents]:
        """Return the hashes of the unlabelled images; None if there are none."""
        if self.unlabelled is None or self.unlabelled_contents is not None:
            return self.unlabelled_contents
        return Contents("", hash_pixels(np.asarray(self.unlabelled)))

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def normalise(self, images: Images) -> np.ndarray:
        """Return ``(images - mean) / std`` of raw ``images`` (B, C, H, W) as a new float32 array."""
        result = np.asarray(images).astype(np.float32)
        result -= self.mean.astype(np.float32)[:, None, None]
        result /= self.std.astype(np.float32)[:, None, None]
        return result


def channel_statistics(images: Images) -> Tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each channel of ``images`` (N, C, H, W): (C,) float32 each."""
    images = np.asarray(images)
    if images.dtype == np.uint8:
        return _byte_statistics(images)
    mean = images.mean(axis=(0, 2, 3), dtype=np.float64)
    std = images.std(axis=(0, 2, 3), dtype=np.float64)
    return mean.astype(np.float32), std.astype(np.float32)


def _byte_statistics(images: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Compute ``channel_statistics`` of bytes from histograms: exact, without an array of float64 pixels."""
    counts = np.zeros((images.shape[1], 256), dtype=np.int64)
    for start in range(0, len(images), 1000):
        for channel, pixels in enumerate(images[start : start + 1000].swapaxes(0, 1)):
            counts[channel] += np.bincount(pixels.ravel(), minlength=256)
    share, value = counts / counts.sum(axis=1, keepdims=True), np.arange(256)
    mean = share @ value
    std = np.sqrt((share * (value - mean[:, None]) ** 2).sum(axis=1))
    return mean.astype(np.float32), std.astype(np.float32)


def _check_images(where: str, image_set: ImageSet, classes: int) -> None:
    """Raise DataError unless the images are (N, C, H, W) uint8 or float32, N > 0, with labels to match."""
    images, labels = image_set
    if images.ndim != 4 or images.size == 0:
        raise DataError(f"{where}: shape {images.shape}; expected (images, channels, height, width), none 0")
    if images.dtype not in (np.uint8, np.float32):
        raise DataError(f"{where}: pixels of type {images.dtype}; convert them to uint8 or float32")
    if labels.shape != images.shape[:1] or labels.dtype != np.int64:
        raise DataError(
            f"{where}: {labels.dtype} labels of shape {labels.shape}; "
            f"expected int64, one for each of the {len(images)} images"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"{where}: labels from {labels.min()} to {labels.max()}; expected 0 to {classes - 1}")


def _check_unlabelled(name: str, images: Images, train: Images) -> None:
    """Raise DataError unless unlabelled images have the shape and type of the training images."""
    where = f"data set '{name}', unlabelled images"
    if images.ndim != 4 or images.size == 0:
        raise DataError(f"{where}: shape {images.shape}; expected (images, channels, height, width), none 0")
    if images.shape[1:] != train.shape[1:] or images.dtype != train.dtype:
        raise DataError(
            f"{where}: {images.shape[1:]} {images.dtype}, but training images are {train.shape[1:]} "
            f"{train.dtype}; both must be the same"
        )
    if isinstance(images, StreamedImages) != isinstance(train, StreamedImages):
        raise DataError(f"{where}: stream both the training and the unlabelled images, or neither")


def _check_constants(name: str, mean: np.ndarray, std: np.ndarray, channels: int) -> None:
    """Raise DataError unless ``mean`` and ``std`` are finite, one per channel, and ``std`` positive."""
    if mean.shape != (channels,) or std.shape != (channels,):
        raise DataError(
            f"data set '{name}': mean of shape {mean.shape} and std of shape {std.shape}; "
            f"expected ({channels},), one per channel"
        )
    for channel in np.flatnonzero((std == 0) & np.isfinite(mean)):
        raise DataError(
            f"data set '{name}': channel {channel + 1} of {channels} is {mean[channel]:g} in every pixel of "
            "the training images, so it cannot be normalised; leave it out (a grey image has one channel) or "
            "give images that differ"
        )
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
        raise DataError(f"data set '{name}': mean {mean}, std {std}; both must be finite and std above 0")
