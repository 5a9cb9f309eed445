"""Random translation, mirroring and Cutout of a batch of images, without a loop over images."""

from __future__ import annotations

from typing import Any, List, Protocol, Sequence, Tuple

import numpy as np

from gluon_nrm.errors import DataError


class Augmentation(Protocol):
    """A random change of raw images, before they are normalised: ``Augment`` or ``crops.RandomCrops``."""

    def __call__(self, images: Any, rng: np.random.Generator) -> Any:
        """Return changed ``images`` (B, C, H, W), an array or streamed as they came; draw from ``rng``."""

    def draw(self, count: int, rng: np.random.Generator) -> List[np.ndarray]:
        """Draw what is random in the change of so many images: arrays with an entry for each image."""

    def apply(self, images: Any, drawn: Sequence[np.ndarray]) -> Any:
        """Change ``images`` as was drawn for them, or for the part of a batch that they are."""

    def check(self, input_shape: Tuple[int, ...]) -> None:
        """Raise DataError where images of ``input_shape`` (C, H, W) cannot be changed so."""


class Augment:
    """Translate each image by random whole numbers of pixels, and mirror half of them left to right.

    Rows and columns move independently, each uniformly from ``-shift`` to ``shift`` pixels; what comes in at
    the border is raw 0 (black), as in a crop from an image padded before normalisation. Each image is
    mirrored or not by a toss of a coin.

    Parameters
    ----------
    shift   Largest translation in pixels; 0: none. Smaller than the images.
    mirror  Whether to mirror.

    Raises
    ------
    DataError  ``shift`` is negative.
    """

    def __init__(self, shift: int, mirror: bool) -> None:
        if shift < 0:
            raise DataError(f"data.shift: {shift} pixels; give 0 (no translation) or more")
        self.shift = shift
        self.mirror = mirror

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return augmented ``images`` (B, C, H, W), of the same type; the argument itself is not changed.

        With nothing to do, the argument is returned as it is and ``rng`` is not used.

        Raises
        ------
        DataError  As ``check``.
        """
        return self.apply(images, self.draw(len(images), rng))

    def draw(self, count: int, rng: np.random.Generator) -> List[np.ndarray]:
        """Draw offsets (count, 2) where images are translated, then who is mirrored (count,)."""
        drawn = []
        if self.shift:
            drawn.append(rng.integers(-self.shift, self.shift, size=(count, 2), endpoint=True))
        if self.mirror:
            drawn.append(rng.random(count) < 0.5)
        return drawn

    def apply(self, images: np.ndarray, drawn: Sequence[np.ndarray]) -> np.ndarray:
        """Augment ``images`` (B, C, H, W) as was drawn; else as ``__call__``."""
        self.check(images.shape[1:])
        if self.shift:
            images = translate(images, drawn[0], self.shift)
        if self.mirror:
            flipped = drawn[-1]
            images = images if self.shift else images.copy()  # translate has made a copy already
            images[flipped] = images[flipped][..., ::-1]
        return images

    def check(self, input_shape: Tuple[int, ...]) -> None:
        """Raise DataError where an image of ``input_shape`` (C, H, W) could be moved out of its frame."""
        height, width = input_shape[1:]
        if self.shift >= min(height, width):
            raise DataError(
                f"data.shift: {self.shift} pixels; it must be smaller than the {height} x {width} images"
            )


def translate(images: np.ndarray, offsets: np.ndarray, largest: int) -> np.ndarray:
    """Move image b of ``images`` (B, C, H, W) down by ``offsets[b, 0]``, right by ``offsets[b, 1]`` pixels.

    ``offsets`` (B, 2) are whole numbers from ``-largest`` to ``largest``; what comes in at the border is 0.
    """
    count, channels, height, width = images.shape
    padded = np.zeros((count, channels, height + 2 * largest, width + 2 * largest), dtype=images.dtype)
    padded[:, :, largest : largest + height, largest : largest + width] = images
    # Every H x W window of the padded image, as a view; choosing one window per image is the only other copy.
    windows = np.lib.stride_tricks.sliding_window_view(padded, (1, 1, height, width))
    start = largest - offsets
    return np.ascontiguousarray(windows[np.arange(count), :, start[:, 0], start[:, 1], 0, 0])


class Cutout:
    """Cutout (DeVries & Taylor 2017, section 3.2): set a square of each image to 0.

    The square's centre is uniform over the image, so parts of the square may fall outside. As in the paper it
    is for normalised images: 0 is then the mean of the training images in each channel. It comes after
    ``Augment`` and draws from a generator of its own, so that shifts and mirrors are the same without it.

    Parameters
    ----------
    side  Side of the square in pixels; 0: none. No larger than the images.

    Raises
    ------
    DataError  ``side`` is negative.
    """

    def __init__(self, side: int) -> None:
        if side < 0:
            raise DataError(f"data.cutout: {side} pixels; give 0 (none) or more")
        self.side = side

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Cut a square out of each of the normalised ``images`` (B, C, H, W), in place, and return them.

        With nothing to do, ``rng`` is not used.

        Raises
        ------
        DataError  As ``check``.
        """
        return self.apply(images, self.draw(len(images), images.shape[2:], rng))

    def apply(self, images: np.ndarray, centres: np.ndarray) -> np.ndarray:
        """Cut squares around ``centres`` (B, 2), rows and columns; else as ``__call__``."""
        self.check(images.shape[1:])
        if self.side:
            size = images.shape[2:]
            first = centres - self.side // 2
            rows, columns = (
                (np.arange(size[axis]) >= first[:, axis, None])
                & (np.arange(size[axis]) < first[:, axis, None] + self.side)
                for axis in (0, 1)
            )
            np.copyto(images, 0, where=(rows[:, :, None] & columns[:, None, :])[:, None])
        return images

    def draw(self, count: int, size: Tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw rows and columns (count, 2) of the squares' centres in images of ``size`` (H, W)."""
        return rng.integers(size, size=(count, 2)) if self.side else np.zeros((count, 2), dtype=int)

    def check(self, input_shape: Tuple[int, ...]) -> None:
        """Raise DataError where the square is larger than an image of ``input_shape`` (C, H, W)."""
        height, width = input_shape[1:]
        if self.side > min(height, width):
            raise DataError(
                f"data.cutout: {self.side} pixels; it must not be larger than the {height} x {width} images"
            )
