"""Cutout: the square, where it lies, what fills it, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from gluon_nrm.data import Augment, Cutout, Dataset, ImageSet, Split, Streams
from gluon_nrm.errors import DataError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def holes(side: int, count: int, height: int = 9, width: int = 9, seed: int = 0) -> np.ndarray:
    """Which pixels (count, H, W) are cut out of images without a 0, the same ones in each channel."""
    images = rng(9).uniform(1, 2, (count, 3, height, width)).astype(np.float32)
    kept = images.copy()
    result = Cutout(side)(images, rng(seed))
    cut = result == 0
    assert result is images and result.dtype == np.float32
    assert (cut == cut[:, :1]).all()
    np.testing.assert_array_equal(result[~cut], kept[~cut])
    return cut[:, 0]


def square(height: int, width: int, row: int, column: int, side: int) -> np.ndarray:
    """The definition, pixel by pixel: ``side`` rows and columns around a centre, within the image."""
    first_row, first_column = row - side // 2, column - side // 2
    inside = np.zeros((height, width), dtype=bool)
    for i in range(first_row, first_row + side):
        for j in range(first_column, first_column + side):
            if 0 <= i < height and 0 <= j < width:
                inside[i, j] = True
    return inside


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5])
def test_every_hole_is_a_square_around_a_pixel(side: int) -> None:
    possible = {
        square(5, 7, row, column, side).tobytes(): (row, column) for row in range(5) for column in range(7)
    }
    found = [possible[hole.tobytes()] for hole in holes(side, 600, 5, 7)]
    assert len(possible) == 35 and set(found) == set(possible.values())


def test_centres_are_uniform_and_rows_independent_of_columns() -> None:
    count = 81 * 200
    _, rows, columns = np.nonzero(holes(1, count))
    table = np.zeros((9, 9))
    np.add.at(table, (rows, columns), 1)
    # 81 equally likely cells of 200: chi-square with 80 degrees of freedom, 0.999 quantile 124.8.
    assert table.sum() == count
    assert ((table - 200) ** 2 / 200).sum() < 124.8


def test_the_share_cut_out_is_that_of_squares_partly_outside() -> None:
    lengths = [min(32, centre + 8) - max(0, centre - 8) for centre in range(32)]
    cut = holes(16, 4000, 32, 32).sum(axis=(1, 2))
    expected = np.mean(lengths) ** 2
    spread = np.sqrt(np.mean(np.square(lengths)) ** 2 - expected**2)
    assert abs(cut.mean() - expected) < 4 * spread / np.sqrt(4000)
    assert cut.max() == 256 and cut.min() == 64


def test_nothing_to_do_and_the_generator_decides() -> None:
    generator = rng(6)
    assert not holes(0, 3).any()
    Cutout(0)(np.ones((2, 1, 3, 3)), generator)
    assert generator.random() == rng(6).random()
    np.testing.assert_array_equal(holes(3, 50, seed=4), holes(3, 50, seed=4))
    assert not np.array_equal(holes(3, 50, seed=4), holes(3, 50, seed=5))


def test_sides_out_of_range() -> None:
    with pytest.raises(DataError, match="data.cutout: -1 pixels"):
        Cutout(-1)
    assert holes(5, 2, 5, 7).shape == (2, 5, 7)
    with pytest.raises(DataError, match="data.cutout: 6 pixels; .* larger than the 5 x 7 images"):
        holes(6, 2, 5, 7)


# In the streams


def streams(cutout: int, independent: bool = False) -> Streams:
    images = rng(3).integers(1, 256, (40, 2, 6, 6), dtype=np.uint8)
    part = ImageSet(images, np.arange(40) % 2)
    data = Dataset("noise", ("a", "b"), part, part, mean=np.array([90.0, 33.5]), std=np.array([50.0, 7.0]))
    return Streams(
        data,
        Split(np.arange(20), np.arange(20, 40), np.arange(0)),
        augment=Augment(2, True),
        batch_labelled=10,
        batch_unlabelled=10,
        seed=1,
        independent_teacher=independent,
        cutout=Cutout(cutout),
    )


@pytest.mark.parametrize("independent", [False, True])
def test_shifts_and_mirrors_are_the_same_with_cutout(independent: bool) -> None:
    for step, plain in zip(streams(3, independent).epoch(2), streams(0, independent).epoch(2)):
        for batch, other in ((step.labelled, plain.labelled), (step.unlabelled, plain.unlabelled)):
            for images, whole in ((batch.images, other.images), (batch.teacher_images, other.teacher_images)):
                if images is None:
                    assert not independent
                    continue
                cut = images != whole
                # 0 after normalisation: the mean, and not the black that a shift brings in
                assert (images[cut] == 0).all() and (cut.sum(axis=(1, 2, 3)) >= 2 * 4).all()
                assert (cut.sum(axis=(1, 2, 3)) <= 2 * 9).all()


def test_streams_and_teacher_are_cut_differently() -> None:
    step, plain = next(iter(streams(3, True).epoch(0))), next(iter(streams(0, True).epoch(0)))
    cuts = [
        getattr(batch, name) != getattr(other, name)
        for batch, other in zip(step, plain)
        for name in ("images", "teacher_images")
    ]
    assert len({cut.tobytes() for cut in cuts}) == 4
    again = next(iter(streams(3, True).epoch(0)))
    np.testing.assert_array_equal(step.labelled.images, again.labelled.images)


def test_a_square_larger_than_the_images_is_refused_at_once() -> None:
    with pytest.raises(DataError, match="data.cutout: 7 pixels"):
        streams(7)
