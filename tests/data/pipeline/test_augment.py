"""Random translation and mirroring."""

from __future__ import annotations

import numpy as np
import pytest

from gluon_nrm.data import Augment
from gluon_nrm.data.pipeline.augment import translate
from gluon_nrm.errors import DataError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def some_images(count: int, dtype: type = np.float32) -> np.ndarray:
    """Images (count, 3, 5, 7) without a zero pixel, so that whatever is 0 afterwards came from the border."""
    return rng(9).integers(1, 256, (count, 3, 5, 7)).astype(dtype)


def slow_translate(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """The definition, pixel by pixel, of one image (C, H, W)."""
    result = np.zeros_like(image)
    channels, height, width = image.shape
    for channel in range(channels):
        for row in range(height):
            for column in range(width):
                if 0 <= row - down < height and 0 <= column - right < width:
                    result[channel, row, column] = image[channel, row - down, column - right]
    return result


def dots(count: int) -> np.ndarray:
    """Images (count, 1, 9, 9), black but for the pixel in the middle."""
    images = np.zeros((count, 1, 9, 9), dtype=np.uint8)
    images[:, :, 4, 4] = 1
    return images


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("largest", [1, 2, 4])
def test_translation_is_the_slow_loop(dtype: type, largest: int) -> None:
    span = range(-largest, largest + 1)
    offsets = np.array([(down, right) for down in span for right in span])
    images = some_images(len(offsets), dtype)
    result = translate(images, offsets, largest)
    expected = np.stack([slow_translate(image, *offset) for image, offset in zip(images, offsets)])
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == dtype


def test_each_image_is_moved_as_a_whole_and_by_its_own_offset() -> None:
    """Every result is one translation of its own image, all channels alike, and not all images move alike."""
    images = some_images(40)
    found = []
    for image, moved in zip(images, Augment(2, False)(images, rng())):
        span = range(-2, 3)
        fits = [(d, r) for d in span for r in span if np.array_equal(slow_translate(image, d, r), moved)]
        assert len(fits) == 1
        found += fits
    assert len(set(found)) > 10


def test_shifts_are_uniform_and_rows_independent_of_columns() -> None:
    count = 25 * 400
    moved = Augment(2, False)(dots(count), rng(1))
    _, _, rows, columns = np.nonzero(moved)
    assert len(rows) == count
    table = np.zeros((5, 5))
    np.add.at(table, (rows - 2, columns - 2), 1)
    # 25 equally likely cells of 400: chi-square with 24 degrees of freedom, 0.999 quantile 51.2.
    assert ((table - 400) ** 2 / 400).sum() < 51.2


def test_mirroring_is_left_to_right_and_takes_half_of_the_images() -> None:
    images = some_images(1000)
    result = Augment(0, True)(images, rng(2))
    same = (result == images).all(axis=(1, 2, 3))
    mirrored = (result == images[:, :, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    # Binomial(1000, 1/2): standard deviation 15.8.
    assert abs(mirrored.sum() - 500) < 4 * 15.8


def test_mirroring_is_independent_of_the_shift() -> None:
    images = np.zeros((4000, 1, 9, 9), dtype=np.float32)
    images[:, 0, 4, 3:6] = (1, 2, 3)
    result = Augment(2, True)(images, rng(3))
    _, _, _, columns = np.nonzero(result == 2)
    first = result.max(axis=(1, 2)).argmax(axis=1)
    mirrored = first == columns - 1
    for column in range(2, 7):
        # About 800 images at each place: standard deviation of the mirrored part 0.018.
        assert abs(mirrored[columns == column].mean() - 0.5) < 4 * 0.018


def test_the_generator_decides_and_the_argument_stays() -> None:
    images = some_images(30)
    kept = images.copy()
    augment = Augment(2, True)
    first, again, other = augment(images, rng(4)), augment(images, rng(4)), augment(images, rng(5))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(images, kept)


def test_nothing_to_do() -> None:
    images = some_images(3)
    generator = rng(6)
    np.testing.assert_array_equal(Augment(0, False)(images, generator), images)
    assert generator.random() == rng(6).random()


def test_a_batch_of_one_and_a_read_only_batch() -> None:
    images = some_images(1)
    images.setflags(write=False)
    assert Augment(1, True)(images, rng()).shape == images.shape


def test_a_negative_shift_is_refused() -> None:
    with pytest.raises(DataError, match="data.shift: -1 pixels"):
        Augment(-1, False)


def test_a_shift_as_large_as_the_image_is_refused() -> None:
    Augment(4, False)(some_images(2), rng())
    for shift in (5, 100):
        with pytest.raises(DataError, match=f"data.shift: {shift} pixels; .* smaller than the 5 x 7 images"):
            Augment(shift, False)(some_images(2), rng())
