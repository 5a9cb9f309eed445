"""Labelled, unlabelled and validation parts of a training set."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import numpy as np
import pytest

from gluon_nrm.data import Split, check_split, draw_split, load_dataset
from gluon_nrm.data.pipeline.splits import take_per_class
from gluon_nrm.errors import DataError

Indices = List[int]

DIGITS = load_dataset("digits").train.labels
# Three classes of very different sizes: 4, 10 and 26 images, mixed.
UNEVEN = np.random.RandomState(5).permutation(np.repeat([0, 1, 2], [4, 10, 26]))


def draw(labels: np.ndarray = DIGITS, **settings: Any) -> Split:
    classes = int(labels.max()) + 1
    return draw_split(labels, **{"labelled": 50, "split_seed": 0, "classes": classes, **settings})


def generator_state() -> np.ndarray:
    """State of numpy's global generator."""
    state: Any = np.random.get_state()
    return state[1].copy()


def same(first: Split, second: Split) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second))


@pytest.mark.parametrize("labelled", [10, 50, 100, 1000])
@pytest.mark.parametrize("validation", [0, 200])
def test_labelled_images_are_balanced_and_the_parts_make_up_the_training_set(
    labelled: int, validation: int
) -> None:
    split = draw(labelled=labelled, validation=validation)
    assert np.bincount(DIGITS[split.labelled]).tolist() == [labelled // 10] * 10
    assert len(split.validation) == validation
    everything = np.concatenate(split)
    assert sorted(everything) == list(range(len(DIGITS)))
    for part in split:
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()


def test_including_the_labelled_images() -> None:
    alone, included = draw(validation=100), draw(validation=100, include_labelled=True)
    np.testing.assert_array_equal(included.labelled, alone.labelled)
    np.testing.assert_array_equal(included.validation, alone.validation)
    assert set(included.unlabelled) == set(alone.unlabelled) | set(alone.labelled)


def test_every_image_labelled() -> None:
    split = draw(labelled=None, validation=97)
    assert len(split.labelled) == 1200
    assert not len(split.unlabelled)
    assert not set(split.labelled) & set(split.validation)
    both = draw(labelled=None, validation=97, include_labelled=True)
    np.testing.assert_array_equal(both.unlabelled, split.labelled)


def test_the_seed_decides() -> None:
    assert same(draw(split_seed=3, validation=100), draw(split_seed=3, validation=100))
    splits = [draw(split_seed=seed, validation=100) for seed in range(5)]
    assert len({split.labelled.tobytes() for split in splits}) == 5
    assert len({split.validation.tobytes() for split in splits}) == 5


def test_the_global_random_state_is_neither_used_nor_changed() -> None:
    np.random.seed(1)
    before = generator_state()
    first = draw()
    np.testing.assert_array_equal(generator_state(), before)
    np.random.seed(2)
    assert same(first, draw())


def test_seed_zero_never_changes() -> None:
    """Written down once: results of earlier runs hold for these images, whatever numpy is installed."""
    assert draw(labelled=10).labelled.tolist() == [274, 354, 375, 399, 741, 812, 863, 1108, 1128, 1198]
    assert draw(labelled=10, validation=5).validation.tolist() == [238, 295, 403, 642, 1268]


def test_every_image_is_equally_likely_to_be_labelled() -> None:
    labels = np.arange(40) % 2
    counts = np.zeros(40)
    for seed in range(400):
        counts[draw(labels, labelled=10, split_seed=seed).labelled] += 1
    # Binomial(400, 1/4): mean 100, standard deviation 8.7.
    assert abs(counts - 100).max() < 4 * 8.7


def test_validation_keeps_the_proportions_of_the_classes() -> None:
    split = draw(validation=300)
    expected = np.bincount(DIGITS) * 300 / len(DIGITS)
    assert abs(np.bincount(DIGITS[split.validation]) - expected).max() < 1
    assert np.bincount(UNEVEN[draw(UNEVEN, labelled=3, validation=20).validation]).tolist() == [2, 5, 13]


def test_validation_of_every_size_up_to_all_but_one() -> None:
    for size in range(len(UNEVEN)):
        split = draw(UNEVEN, labelled=None, validation=size)
        assert len(split.validation) == size
        assert len(split.labelled) == len(UNEVEN) - size


def test_take_per_class_follows_the_order() -> None:
    labels = np.array([0, 1, 1, 0, 1, 0])
    order = np.array([5, 4, 2, 3, 1, 0])
    assert take_per_class(labels, order, np.array([2, 1])).tolist() == [3, 4, 5]
    assert take_per_class(labels, order, np.array([9, 0])).tolist() == [0, 3, 5]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labelled": 55}, "data.labels: 55 .* such as 50 or 60"),
        ({"labelled": 5}, "data.labels: 5 .* such as 10$"),
        ({"labelled": -1}, "data.labels: -1 .* such as 10$"),
        ({"labelled": -20}, "data.labels: -20 .* such as 10$"),
        (
            {"labelled": 1250},
            "125 images of each class, but class 8 has only 124 .* give a multiple of 10 up to 1240",
        ),
        (
            {"labelled": 1000, "validation": 400},
            "data.labels: 1000 needs 100 images of each class, but class",
        ),
        ({"validation": -1}, "data.validation: -1"),
        ({"validation": 1297}, "data.validation: 1297 of 1297 training images; choose from 0 to 1296"),
        ({"split_seed": -1}, "data.split_seed: -1"),
        ({"split_seed": 2**32}, "data.split_seed: 4294967296"),
        ({"classes": 9}, "labels from 0 to 9; expected 0 to 8"),
        ({"labels": DIGITS - 1, "classes": 10}, "labels from -1 to 8"),
        ({"labels": DIGITS[:0], "classes": 10}, "vector of integers"),
        ({"labels": DIGITS.astype(np.float32), "classes": 10}, "vector of integers"),
        ({"labels": DIGITS[:, None], "classes": 10}, "vector of integers"),
    ],
)
def test_what_cannot_be_drawn(settings: Dict[str, Any], message: str) -> None:
    arguments: Dict[str, Any] = {"labels": DIGITS, "labelled": 50, "split_seed": 0, "classes": 10, **settings}
    with pytest.raises(DataError, match=message) as caught:
        draw_split(arguments.pop("labels"), **arguments)
    assert "\n" not in str(caught.value)


def test_the_largest_balanced_draw_is_possible() -> None:
    assert len(draw(labelled=1240).labelled) == 1240


# A split read from elsewhere

LABELS = np.array([0, 0, 0, 1, 1, 1])


def split_of(labelled: Indices, unlabelled: Indices, validation: Indices) -> Split:
    return Split(*(np.array(part, dtype=np.int64) for part in (labelled, unlabelled, validation)))


@pytest.mark.parametrize(
    ("parts", "settings"),
    [
        (([0, 3], [1, 4], [2, 5]), {}),
        (([0, 3], [], []), {}),
        (([0, 1, 3], [2], []), {"balanced": False}),
        (([0, 3], [0, 1, 3], [5]), {"include_labelled": True}),
    ],
)
def test_sound_splits_pass(parts: Tuple[Indices, Indices, Indices], settings: Dict[str, Any]) -> None:
    check_split(split_of(*parts), LABELS, classes=2, **settings)


@pytest.mark.parametrize(
    ("parts", "settings", "message"),
    [
        (([0, 6], [], []), {}, "labelled part points outside the 6"),
        (([0, 3], [-1], []), {}, "unlabelled part points outside"),
        (([0, 3], [], [9]), {}, "validation part points outside"),
        (([3, 0], [], []), {}, "ascending"),
        (([0, 3], [1, 1], []), {}, "ascending order, without repetition"),
        (([], [1], []), {}, "no image is labelled"),
        (([0, 3], [], [3]), {}, "1 validation images are labelled too .the first: 3"),
        (([0, 3], [1, 2], [2]), {}, "1 validation images are unlabelled too"),
        (([0, 3], [0, 2], []), {}, "1 labelled images are unlabelled too"),
        (([0, 3], [0, 2], []), {"include_labelled": True}, "holds only 1 of 2"),
        (([0, 1, 3], [], []), {}, "a class has 1 labelled images and another 2"),
        (([0, 1], [], []), {}, "a class has 0 labelled images and another 2"),
    ],
)
def test_unsound_splits_are_refused(
    parts: Tuple[Indices, Indices, Indices], settings: Dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        check_split(split_of(*parts), LABELS, classes=2, **settings)
