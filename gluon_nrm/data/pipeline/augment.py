"""Random translation, horizontal flip and Cutout of a batch of images, without a loop over images."""

from __future__ import annotations

from typing import Any, List, Protocol, Sequence, Tuple

import numpy as np

from gluon_nrm.errors import DataError


class Augmentation(Protocol):
    """Random change of raw images before normalisation: ``Augment`` or ``crops.RandomCrops``."""

    def __call__(self, images: Any, rng: np.random.Generator) -> Any:
        """Return changed ``images`` (B, C, H, W), of the type given; draw from ``rng``."""

    def draw(self, count: int, rng: np.random.Generator) -> List[np.ndarray]:
        """Draw the random numbers that change ``count`` images: arrays with an entry for each image."""

    def apply(self, images: Any, drawn: Sequence[np.ndarray]) -> Any:
        """Change ``images`` by the drawn numbers."""

    def check(self, input_shape: Tuple[int, ...]) -> None:
        """Raise DataError if images of ``input_shape`` (C, H, W) cannot be changed."""


class Augment:
    """Translate each image by a random number of pixels, and flip half of them horizontally.

    Rows and columns move independently, each uniformly from ``-shift`` to ``shift`` pixels. The border is
    filled with raw 0 (black), as in a crop of an image that was padded before normalisation. Each image is
    flipped with probability 1/2.

    Args:
        shift: largest translation in pixels; 0: none. Smaller than the images.
        mirror: flip half of the images.

    Raises:
        DataError: ``shift`` is negative.
    """

    def __init__(self, shift: int, mirror: bool) -> None:
        if shift < 0:
            raise DataError(f"data.shift: {shift} pixels; give 0 (no translation) or more")
        self.shift = shift
        self.mirror = mirror

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return augmented ``images`` (B, C, H, W) of the same type; the argument is not changed.

        Without translation and flip, the argument itself is returned and ``rng`` is not used.

        Raises:
            DataError: as ``check``.
        """
        return self.apply(images, self.draw(len(images), rng))

    def draw(self, count: int, rng: np.random.Generator) -> List[np.ndarray]:
        """Draw offsets (count, 2) if images are translated, then flips (count,) if images are flipped."""
        drawn = []
        if self.shift:
            drawn.append(rng.integers(-self.shift, self.shift, size=(count, 2), endpoint=True))
        if self.mirror:
            drawn.append(rng.random(count) < 0.5)
        return drawn

    def apply(self, images: np.ndarray, drawn: Sequence[np.ndarray]) -> np.ndarray:
        """Augment ``images`` (B, C, H, W) by the drawn numbers; otherwise as ``__call__``."""
        self.check(images.shape[1:])
        if self.shift:
            images = translate(images, drawn[0], self.shift)
        if self.mirror:
            flipped = drawn[-1]
            images = images if self.shift else images.copy()  # translate has made a copy already
            images[flipped] = images[flipped][..., ::-1]
        return images

    def check(self, input_shape: Tuple[int, ...]) -> None:
        """Raise DataError if ``shift`` is as large as images of ``input_shape`` (C, H, W)."""
        height, width = input_shape[1:]
        if self.shift >= min(height, width):
            raise DataError(
                f"data.shift: {self.shift} pixels; it must be smaller than the {height} x {width} images"
            )


def translate(images: np.ndarray, offsets: np.ndarray, largest: int) -> np.ndarray:
    """Move image b of ``images`` (B, C, H, W) down by ``offsets[b, 0]``, right by ``offsets[b, 1]`` pixels.

    ``offsets`` (B, 2) are integers from ``-largest`` to ``largest``; the border is filled with 0.
    """
    count, channels, height, width = images.shape
    padded = np.zeros((count, channels, height + 2 * largest, width + 2 * largest), dtype=images.dtype)
    padded[:, :, largest : largest + height, largest : largest + width] = images
    # All H x W windows of the padded image, as a view; choosing one window per image copies once more.
    windows = np.lib.stride_tricks.sliding_window_view(padded, (1, 1, height, width))
    start = largest - offsets
    return np.ascontiguousarray(windows[np.arange(count), :, start[:, 0], start[:, 1], 0, 0])


class Cutout:
    """Cutout (DeVries & Taylor 2017, section 3.2): set a square of each image to 0.

    The square's centre is uniform over the image; parts of the square may fall outside. As in the paper, the
    images are normalised, so 0 is the mean of the training images in each channel. Cutout follows ``Augment``
    and has its own generator, so translations and flips are the same without it.

    Args:
        side: side of the square in pixels; 0: none. No larger than the images.

    Raises:
        DataError: ``side`` is negative.
    """

    def __init__(self, side: int) -> None:
        if side < 0:
            raise DataError(f"data.cutout: {side} pixels; give 0 (none) or more")
        self.side = side

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Cut a square out of each of the normalised ``images`` (B, C, H, W), in place, and return them.

        With side 0, ``rng`` is not used.

        Raises:
            DataError: as ``check``.
        """
        return self.apply(images, self.draw(len(images), images.shape[2:], rng))

    def apply(self, images: np.ndarray, centres: np.ndarray) -> np.ndarray:
        """Cut squares around ``centres`` (B, 2), rows and columns; otherwise as ``__call__``."""
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
        """Raise DataError if the square is larger than images of ``input_shape`` (C, H, W)."""
        height, width = input_shape[1:]
        if self.side > min(height, width):
            raise DataError(
                f"data.cutout: {self.side} pixels; it must not be larger than the {height} x {width} images"
            )
