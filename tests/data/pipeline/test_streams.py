"""The labelled and unlabelled streams of training, and evaluation batches."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any, Dict, List, Optional, Set, Tuple

import numpy as np
import pytest

from gluon_nrm.data import (
    Augment,
    Batch,
    Dataset,
    ImageSet,
    Split,
    Step,
    Streams,
    draw_split,
    evaluation_batches,
    load_dataset,
)
from gluon_nrm.errors import DataError

COUNT = 70


def numbered() -> Dataset:
    """70 images of 3 classes whose every pixel is the image's number, not changed by normalisation."""
    images = np.broadcast_to(np.arange(COUNT, dtype=np.float32)[:, None, None, None], (COUNT, 2, 5, 5)).copy()
    train = ImageSet(images, np.arange(COUNT) % 3)
    return Dataset("numbered", tuple("abc"), train, train, mean=np.zeros(2), std=np.ones(2))


DATA = numbered()
SPLIT = draw_split(DATA.train.labels, labelled=12, split_seed=0, validation=10, classes=3)


def streams(data: Dataset = DATA, split: Split = SPLIT, **settings: Any) -> Streams:
    defaults: Dict[str, Any] = dict(augment=Augment(0, False), batch_labelled=8, batch_unlabelled=10, seed=0)
    return Streams(data, split, **{**defaults, **settings})


def numbers(batch: Batch) -> List[int]:
    """Which images of ``DATA`` a batch shows, when they are not augmented."""
    return batch.images[:, 0, 0, 0].astype(int).tolist()


def shown(steps: List[Step], stream: str) -> List[int]:
    return [number for step in steps for number in numbers(getattr(step, stream))]


def assert_equal(first: List[Step], second: List[Step]) -> None:
    assert len(first) == len(second)
    for a, b in zip(first, second):
        for x, y in zip((*a.labelled, *(a.unlabelled or ())), (*b.labelled, *(b.unlabelled or ()))):
            np.testing.assert_array_equal(x, y)


def generator_state() -> np.ndarray:
    """State of numpy's global generator."""
    state: Any = np.random.get_state()
    return state[1].copy()


AUGMENTED: Dict[str, Any] = dict(augment=Augment(2, True), independent_teacher=True)


def test_shapes_and_types() -> None:
    for step in streams(**AUGMENTED).epoch(0):
        for batch, size in ((step.labelled, 8), (step.unlabelled, 10)):
            assert batch.images.shape == batch.teacher_images.shape == (size, 2, 5, 5)
            assert batch.labels.shape == batch.indices.shape == (size,)
            assert {array.dtype for array in batch[:3]} == {np.dtype(np.float32)}
            assert batch.indices.dtype == np.int64


def test_an_epoch_is_a_function_of_seed_and_epoch() -> None:
    first = streams(**AUGMENTED)
    list(first.epoch(0))
    np.random.seed(7)
    assert_equal(list(first.epoch(3)), list(streams(**AUGMENTED).epoch(3)))


def test_interleaved_epochs_do_not_disturb_each_other() -> None:
    both = streams(**AUGMENTED)
    pairs = list(zip(both.epoch(0), both.epoch(1)))
    assert_equal([pair[0] for pair in pairs], list(streams(**AUGMENTED).epoch(0)))
    assert_equal([pair[1] for pair in pairs], list(streams(**AUGMENTED).epoch(1)))


def test_the_global_random_state_is_not_changed() -> None:
    np.random.seed(1)
    before = generator_state()
    list(streams(**AUGMENTED).epoch(0))
    np.testing.assert_array_equal(generator_state(), before)


@pytest.mark.parametrize("stream", ["labelled", "unlabelled"])
def test_epochs_and_seeds_differ(stream: str) -> None:
    orders = [tuple(shown(list(streams(seed=s).epoch(e)), stream)) for s in range(4) for e in range(4)]
    assert len(set(orders)) == 16


def test_augmentation_differs_between_epochs_and_between_the_streams() -> None:
    """The same constant image is moved differently in another epoch and in the other stream."""
    white = DATA.train._replace(images=np.ones_like(DATA.train.images))
    data = Dataset("white", tuple("abc"), white, white, mean=np.zeros(2), std=np.ones(2))
    settings: Dict[str, Any] = dict(augment=Augment(2, False), batch_labelled=10, batch_unlabelled=10)
    first, second = (next(iter(streams(data, **settings).epoch(epoch))) for epoch in (0, 1))
    images = [
        step_batch.images for step in (first, second) for step_batch in (step.labelled, step.unlabelled)
    ]
    assert len({image.tobytes() for image in images}) == 4


@pytest.mark.parametrize("epoch", [0, 5])
@pytest.mark.parametrize("sizes", [(8, 10), (5, 7), (12, 48), (1, 1)])
def test_every_image_is_shown_equally_often_within_one(epoch: int, sizes: Tuple[int, int]) -> None:
    steps = list(streams(batch_labelled=sizes[0], batch_unlabelled=sizes[1], epoch_steps=29).epoch(epoch))
    assert len(steps) == 29
    for stream, indices in (("labelled", SPLIT.labelled), ("unlabelled", SPLIT.unlabelled)):
        counts = Counter(shown(steps, stream))
        assert set(counts) <= set(indices.tolist())
        times = [counts[index] for index in indices.tolist()]
        assert max(times) - min(times) <= 1


def test_every_pass_of_the_labelled_stream_is_a_fresh_balanced_permutation() -> None:
    order = shown(list(streams(epoch_steps=9).epoch(0)), "labelled")
    passes = [order[start : start + 12] for start in range(0, 72, 12)]
    for one in passes:
        assert sorted(one) == SPLIT.labelled.tolist()
        assert np.bincount(DATA.train.labels[one]).tolist() == [4, 4, 4]
    assert len(set(map(tuple, passes))) == 6


def test_a_batch_larger_than_its_stream() -> None:
    (step,) = streams(batch_labelled=30, batch_unlabelled=100).epoch(0)
    assert sorted(Counter(numbers(step.labelled)).values()) == [2] * 6 + [3] * 6
    assert sorted(Counter(numbers(step.unlabelled)).values()) == [2] * 44 + [3] * 4


def test_labels() -> None:
    labelled = set()
    for step in streams(epoch_steps=20).epoch(0):
        np.testing.assert_array_equal(step.labelled.labels, DATA.train.labels[numbers(step.labelled)])
        assert (step.unlabelled.labels == -1).all()
        labelled |= set(numbers(step.labelled))
        assert not set(numbers(step.unlabelled)) & set(SPLIT.labelled.tolist())
    assert labelled == set(SPLIT.labelled.tolist())


def test_unlabelled_labels_are_hidden_even_where_the_stream_holds_labelled_images() -> None:
    split = draw_split(DATA.train.labels, labelled=12, split_seed=0, include_labelled=True, classes=3)
    steps = list(streams(split=split, epoch_steps=7).epoch(0))
    assert set(split.labelled.tolist()) <= set(shown(steps, "unlabelled"))
    assert all((step.unlabelled.labels == -1).all() for step in steps)


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({}, 4),  # 48 unlabelled by 10
        ({"batch_unlabelled": 12}, 4),
        ({"batch_unlabelled": 13}, 3),
        ({"batch_unlabelled": 0}, 1),  # 12 labelled by 8
        ({"batch_unlabelled": 0, "batch_labelled": 3}, 4),
        ({"batch_unlabelled": 0, "batch_labelled": 13}, 1),
        ({"batch_unlabelled": 49}, 1),
        ({"batch_labelled": 1, "batch_unlabelled": 24}, 2),
        ({"epoch_steps": 11}, 11),
    ],
)
def test_steps_per_epoch(settings: Dict[str, Any], steps: int) -> None:
    made = streams(**settings)
    assert made.steps_per_epoch == steps
    assert len(list(made.epoch(0))) == steps


def test_steps_per_epoch_where_most_images_are_labelled() -> None:
    split = draw_split(DATA.train.labels, labelled=60, split_seed=0, classes=3)
    assert streams(split=split, batch_labelled=20, batch_unlabelled=1).steps_per_epoch == 3


def test_steps_per_epoch_where_both_streams_are_equally_long() -> None:
    split = draw_split(DATA.train.labels, labelled=None, split_seed=0, include_labelled=True, classes=3)
    assert streams(split=split, batch_labelled=7, batch_unlabelled=35).steps_per_epoch == 10
    assert streams(split=split, batch_labelled=35, batch_unlabelled=7).steps_per_epoch == 10


def test_no_unlabelled_stream() -> None:
    with_partner = streams(epoch_steps=5)
    alone = list(streams(batch_unlabelled=0, epoch_steps=5).epoch(0))
    assert all(step.unlabelled is None for step in alone)
    for step, other in zip(alone, with_partner.epoch(0)):
        np.testing.assert_array_equal(step.labelled.images, other.labelled.images)


def test_the_teacher_sees_the_same_images_in_an_augmentation_of_its_own() -> None:
    steps = list(streams(**AUGMENTED).epoch(0))
    for step in steps:
        for batch in step:
            # Each image is one number on a black border.
            np.testing.assert_array_equal(batch.images.max((1, 2, 3)), batch.teacher_images.max((1, 2, 3)))
            assert not np.array_equal(batch.images, batch.teacher_images)


def test_the_student_sees_the_same_with_and_without_an_independent_teacher() -> None:
    without = list(streams(augment=Augment(2, True)).epoch(0))
    for step, other in zip(streams(**AUGMENTED).epoch(0), without):
        for batch, plain in zip(step, other):
            assert plain.teacher_images is None
            np.testing.assert_array_equal(batch.images, plain.images)


def test_the_border_is_black_before_normalisation() -> None:
    data = Dataset(
        "shifted", tuple("abc"), DATA.train, DATA.train, mean=np.array([3.0, 5.0]), std=np.array([2.0, 4.0])
    )
    step = next(iter(streams(data, augment=Augment(2, False), batch_labelled=32).epoch(0)))
    raw = (
        step.labelled.images * np.array([2, 4], np.float32)[:, None, None]
        + np.array([3, 5], np.float32)[:, None, None]
    )
    for image in raw:
        assert len(set(np.unique(image.round(3))) - {0.0}) <= 1
    assert (raw == 0).any()


# Nothing of the test set or of the validation part may ever be trained on


def hashes(images: np.ndarray) -> Set[str]:
    return {hashlib.sha256(image.tobytes()).hexdigest() for image in images}


@pytest.mark.parametrize("include_labelled", [False, True])
@pytest.mark.parametrize("labelled", [50, None])
def test_no_leak_of_digits(labelled: Optional[int], include_labelled: bool) -> None:
    data = load_dataset("digits")
    split = draw_split(
        data.train.labels,
        labelled=labelled,
        split_seed=1,
        validation=200,
        include_labelled=include_labelled,
        classes=10,
    )
    unlabelled = 32 if len(split.unlabelled) else 0
    made = streams(data, split, batch_labelled=32, batch_unlabelled=unlabelled, epoch_steps=40)
    seen: Set[str] = set()
    for step in made.epoch(0):
        for batch in filter(None, step):
            seen |= hashes(batch.images)
    held_out = data.train.images[split.validation]
    allowed = np.union1d(split.labelled, split.unlabelled)
    assert seen == hashes(data.normalise(data.train.images[allowed]))
    assert not seen & hashes(data.normalise(held_out))
    assert not seen & hashes(data.normalise(data.test.images))


def test_without_a_labelled_stream() -> None:
    """Its batches are empty, and the unlabelled ones are what they are beside it."""
    both = streams(epoch_steps=4).epoch(2)
    alone = streams(split=SPLIT._replace(labelled=SPLIT.labelled[:0]), batch_labelled=0, epoch_steps=4)
    found = list(alone.epoch(2))
    assert [step.labelled.images.shape for step in found] == [(0, *DATA.input_shape)] * 4
    for step, other in zip(found, both):
        assert step.unlabelled is not None and other.unlabelled is not None
        np.testing.assert_array_equal(step.unlabelled.images, other.unlabelled.images)
    assert streams(batch_labelled=0).steps_per_epoch == len(SPLIT.unlabelled) // 10


# Mistakes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_labelled": -1}, "train.batch_labelled: -1; it must be at least 0"),
        ({"batch_labelled": 0, "batch_unlabelled": 0}, "train.batch_unlabelled: 0; it must be at least 1"),
        ({"batch_unlabelled": -1}, "train.batch_unlabelled: -1; it must be at least 0"),
        ({"seed": -1}, "train.seed: -1"),
        ({"epoch_steps": 0}, "train.epoch_steps: 0; it must be at least 1"),
        ({"augment": Augment(5, False)}, "data.shift: 5 pixels"),
        ({"split": SPLIT._replace(labelled=SPLIT.labelled[:0])}, "no labelled image"),
        ({"split": SPLIT._replace(unlabelled=SPLIT.unlabelled[:0])}, "every training image is labelled"),
    ],
)
def test_what_cannot_be_streamed(settings: Dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        streams(**settings)


def test_a_negative_epoch_is_refused_at_once() -> None:
    with pytest.raises(DataError, match="epoch: -1"):
        streams().epoch(-1)


# Evaluation


@pytest.mark.parametrize("size", [1, 7, 35, 69, 70, 71, 500])
def test_evaluation_shows_every_image_once_in_order(size: int) -> None:
    batches = list(evaluation_batches(DATA, DATA.test, size))
    assert [len(batch.labels) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert 0 < len(batches[-1].labels) <= size
    assert [number for batch in batches for number in numbers(batch)] == list(range(COUNT))
    labels = np.concatenate([batch.labels for batch in batches])
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels, DATA.test.labels)


def test_evaluation_normalises_and_does_not_augment() -> None:
    data = load_dataset("digits")
    images = np.concatenate([batch.images for batch in evaluation_batches(data, data.test, 64)])
    np.testing.assert_array_equal(images, data.normalise(data.test.images))


def test_evaluation_of_a_validation_part() -> None:
    part = DATA.train.subset(SPLIT.validation)
    found = [number for batch in evaluation_batches(DATA, part, 4) for number in numbers(batch)]
    assert found == SPLIT.validation.tolist()


def test_an_empty_evaluation_batch_is_refused_at_once() -> None:
    with pytest.raises(DataError, match="train.eval_batch: 0"):
        evaluation_batches(DATA, DATA.test, 0)
