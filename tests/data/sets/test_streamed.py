"""Streamed images: what is decoded and when, random crops, and streams over them."""

from __future__ import annotations

import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List

import numpy as np
import picture_files as files
import pytest
from PIL import Image

from gluon_nrm.data import (
    Cutout,
    Dataset,
    ImageSet,
    RandomCrops,
    Step,
    Streams,
    draw_split,
    evaluation_batches,
    load_dataset,
    make_augmentation,
)
from gluon_nrm.data.pipeline.crops import CropSettings, jittered, random_box, relight
from gluon_nrm.data.pipeline.prefetch import prefetch
from gluon_nrm.data.pipeline.stand_in import stand_in
from gluon_nrm.data.sets import streamed_images
from gluon_nrm.data.sets.streamed_images import StreamedImages
from gluon_nrm.errors import DataError

PLAIN = CropSettings(area=1, aspect=1, jitter=0, lighting=0)


class Counted:
    """Images of one colour each, their number, that say which were decoded."""

    def __init__(self, number: int = 40, size: int = 16) -> None:
        self.number, self.extent = number, size
        self.decoded: List[int] = []

    def __len__(self) -> int:
        return self.number

    def where(self, index: int) -> str:
        return f"image {index}"

    def picture(self, index: int, mode: str = "RGB") -> Image.Image:
        self.decoded.append(index)
        return Image.new("RGB", (self.extent, self.extent), (index, index, index))


def dataset(pictures: Counted, side: int = 8) -> Dataset:
    part = ImageSet(StreamedImages(pictures, side), np.arange(len(pictures)) % 2)
    return Dataset("counted", ("a", "b"), part, part, mean=np.zeros(3), std=np.ones(3))


def streams(pictures: Counted, settings: CropSettings = PLAIN, **more: Any) -> Streams:
    data = dataset(pictures)
    split = draw_split(data.train.labels, labelled=10, split_seed=0, classes=2)
    augment = RandomCrops(8, True, settings)
    defaults: Dict[str, Any] = dict(
        augment=augment, batch_labelled=4, batch_unlabelled=6, seed=0, epoch_steps=7
    )
    return Streams(data, split, **{**defaults, **more})


def shown(steps: Iterable[Step]) -> List[List[int]]:
    """Numbers of the images in each step."""
    return [[int(v) for batch in step for v in batch.images[:, 0, 0, 0]] for step in steps]


# Decoding


def test_selecting_decodes_nothing_and_decoding_keeps_the_order() -> None:
    pictures = Counted()
    images = StreamedImages(pictures, 8)
    assert (images.shape, images.ndim, images.size) == ((40, 3, 8, 8), 4, 40 * 192)
    assert images.dtype == np.uint8
    chosen = images[np.array([7, 3, 30])][1:]
    assert len(chosen) == 2 and pictures.decoded == []
    found = np.asarray(chosen)
    assert found.shape == (2, 3, 8, 8) and found.dtype == np.uint8
    assert found[:, 0, 0, 0].tolist() == [3, 30] and sorted(pictures.decoded) == [3, 30]


def test_for_evaluation_the_shorter_side_is_resized_and_the_middle_cut(tmp_path: Path) -> None:
    files.class_folders(tmp_path / "train", {"a": 1}, height=64, width=96)
    files.class_folders(tmp_path / "test", {"a": 1}, height=64, width=96)
    data = load_dataset("folder", path=str(tmp_path), size=28, streamed=True)
    whole = Image.fromarray(files.pixels(64, 96)).resize((48, 32), Image.Resampling.BICUBIC)  # 28 of 32
    expected = np.asarray(whole)[2:30, 10:38].transpose(2, 0, 1)
    np.testing.assert_array_equal(np.asarray(data.test.images)[0], expected)


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    files.class_folders(tmp_path / "train", {"a": 3})
    files.class_folders(tmp_path / "test", {"a": 1})
    (tmp_path / "train" / "a" / "001.png").write_bytes(b"<html>")
    with pytest.raises(DataError, match="train/a/001.png is damaged or not an image"):
        load_dataset("folder", path=str(tmp_path), size=8, streamed=True)
    (tmp_path / "train" / "a" / "001.png").write_bytes(files.encoded(files.pixels()))
    data = load_dataset("folder", path=str(tmp_path), size=8, streamed=True)
    (tmp_path / "test" / "a" / "000.png").write_bytes(b"")
    with pytest.raises(DataError, match="test/a/000.png is damaged or not an image"):
        list(evaluation_batches(data, data.test, 4))


@pytest.mark.parametrize("settings", [{"streamed": True, "size": 8}, {}, {"size": 4}])
def test_a_forked_process_decodes_after_its_parent_has(tmp_path: Path, settings: Dict[str, Any]) -> None:
    """Forked while nothing is decoded and in the middle of it; what it decodes is the same."""
    files.class_folders(tmp_path, {"a": 40, "b": 40})
    before = threading.active_count()
    data = load_dataset("folder", path=str(tmp_path), **settings)
    wanted = np.asarray(data.test.images).tobytes()
    assert threading.active_count() == before
    context = multiprocessing.get_context("fork")

    def child(answers: Any) -> None:
        again = load_dataset("folder", path=str(tmp_path), **settings)
        answers.send_bytes(np.asarray(data.test.images).tobytes() + np.asarray(again.test.images).tobytes())

    decoding = threading.Thread(target=lambda: np.asarray(data.train.images))
    for busy in (False, True):
        if busy:
            decoding.start()
        receive, send = context.Pipe(duplex=False)
        process = context.Process(target=child, args=(send,))
        process.start()
        try:
            assert receive.poll(30), "the forked process hangs"
            assert receive.recv_bytes() == 2 * wanted
            process.join(30)
            assert process.exitcode == 0
        finally:
            process.kill()
    decoding.join()


# Crops


def test_boxes_lie_within_the_image_and_within_the_limits() -> None:
    rng = np.random.default_rng(0)
    settings = CropSettings(area=0.25, aspect=2)
    boxes = np.array([random_box((300, 200), settings, rng) for _ in range(3000)])
    across, down = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert boxes[:, :2].min() == 0 and boxes[:, 2].max() <= 300 and boxes[:, 3].max() <= 200
    area = across * down / 60000
    assert 0.24 < area.min() < 0.27 and 0.9 < area.max() <= 1.0
    assert 0.49 < (across / down).min() < 0.55 and 1.9 < (across / down).max() < 2.05
    # places are uniform over what is free: on average half of it
    free = 300 - across
    assert abs(boxes[free > 0, 0].sum() / free[free > 0].sum() - 0.5) < 0.03


def test_small_crops_are_uniform_in_area_and_in_the_logarithm_of_aspect() -> None:
    rng = np.random.default_rng(1)
    settings = CropSettings(area=0.02, aspect=1.5)
    boxes = np.array([random_box((4000, 4000), settings, rng) for _ in range(4000)])
    across, down = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    area, aspect = across * down / 4000**2, np.log(across / down) / np.log(1.5)
    small = area < 0.4  # no attempt of these fails
    assert abs(area[small].mean() - 0.21) < 4 * 0.11 / np.sqrt(small.sum())
    assert abs(aspect[small].mean()) < 4 * 0.58 / np.sqrt(small.sum())
    assert abs(aspect[small].std() - 1 / np.sqrt(3)) < 0.03


def test_where_no_crop_fits_the_middle_is_taken() -> None:
    rng = np.random.default_rng(0)
    assert random_box((400, 2), CropSettings(area=0.9, aspect=1.01), rng) is None
    array = np.zeros((4, 40, 3), dtype=np.uint8)
    array[:, 18:22] = 200
    changed = RandomCrops(4, False, CropSettings(0.9, 1.01, 0, 0)).change(Image.fromarray(array), rng)
    assert (np.asarray(changed) == 200).all()


def test_a_crop_is_the_resized_part_of_the_image() -> None:
    image = Image.fromarray(files.pixels(30, 40))
    settings = CropSettings(jitter=0, lighting=0)
    changed = RandomCrops(8, False, settings).change(image, np.random.default_rng(3))
    box = random_box((40, 30), settings, np.random.default_rng(3))
    expected = image.resize((8, 8), Image.Resampling.BILINEAR, box)
    np.testing.assert_array_equal(np.asarray(changed), np.asarray(expected))


def test_half_of_the_images_are_mirrored() -> None:
    image = Image.fromarray(files.pixels(8, 8))
    crops = RandomCrops(8, True, PLAIN)
    found = [np.asarray(crops.change(image, np.random.default_rng(seed))) for seed in range(1000)]
    same = sum((each == files.pixels(8, 8)).all() for each in found)
    mirrored = sum((each == files.pixels(8, 8)[:, ::-1]).all() for each in found)
    assert same + mirrored == 1000 and abs(same - 500) < 4 * 15.8


def test_jitter_changes_brightness_contrast_and_saturation() -> None:
    """Of a grey image of one value only the brightness can change, by up to the jitter."""
    grey = Image.new("RGB", (4, 4), (100, 100, 100))
    values = [np.asarray(jittered(grey, 0.4, np.random.default_rng(seed))) for seed in range(400)]
    assert all((each == each[0, 0, 0]).all() for each in values)
    levels = np.array([each[0, 0, 0] for each in values])
    assert 60 <= levels.min() < 65 and 135 < levels.max() <= 140 and abs(levels.mean() - 100) < 5
    colour = Image.fromarray(files.pixels(8, 8))
    spread = [np.asarray(jittered(colour, 0.4, np.random.default_rng(seed))).std() for seed in range(50)]
    assert np.std(spread) > 1
    assert jittered(colour, 0, np.random.default_rng(0)) is colour


def test_lighting_shifts_all_pixels_along_the_components() -> None:
    grey = Image.new("RGB", (4, 4), (128, 128, 128))
    shifts = []
    for seed in range(3000):
        found = np.asarray(relight(grey, 0.1, np.random.default_rng(seed))).astype(float) - 128
        assert (found == found[0, 0]).all()
        shifts.append(found[0, 0])
    vectors = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.814], [-0.5836, -0.6948, 0.4203]])
    expected = vectors @ np.diag((0.1 * np.array([55.46, 4.794, 1.148])) ** 2) @ vectors.T
    np.testing.assert_allclose(np.cov(np.array(shifts).T), expected + np.eye(3) / 12, rtol=0.1)
    assert relight(grey, 0, np.random.default_rng(0)) is grey


# Streams


def test_threads_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for number in (1, 5):
        monkeypatch.setattr(
            streamed_images, "threads", lambda images, number=number: ThreadPoolExecutor(number)
        )
        steps = list(streams(Counted(), CropSettings(), independent_teacher=True).epoch(1))
        batches = [batch for step in steps for batch in step]
        found.append([batch.images.tobytes() + batch.teacher_images.tobytes() for batch in batches])
    assert found[0] == found[1]
    other = list(streams(Counted(), CropSettings(), independent_teacher=True).epoch(2))
    assert other[0].labelled.images.tobytes() not in found[0][0]
    assert not np.array_equal(other[0].labelled.images, other[0].labelled.teacher_images)


@pytest.mark.parametrize("first", [1, 3, 6, 7])
def test_a_run_that_goes_on_sees_the_same_and_decodes_no_more(first: int) -> None:
    pictures = Counted()
    settings = dict(cutout=Cutout(3), independent_teacher=True)
    whole = list(streams(Counted(), CropSettings(), **settings).epoch(0))
    rest = list(streams(pictures, CropSettings(), **settings).epoch(0, first))
    assert len(rest) == 7 - first and len(pictures.decoded) == 2 * 10 * len(rest)
    for step, expected in zip(rest, whole[first:]):
        for batch, other in zip(step, expected):
            for array, same in zip(batch, other):
                np.testing.assert_array_equal(array, same)


def test_in_memory_a_run_goes_on_likewise() -> None:
    data = stand_in("mnist")
    split = draw_split(data.train.labels, labelled=10, split_seed=0, classes=10)
    augment = make_augmentation(data, shift=2, mirror=True)
    made = Streams(
        data, split, augment=augment, batch_labelled=4, batch_unlabelled=6, seed=0, cutout=Cutout(5)
    )
    for step, expected in zip(made.epoch(2, 3), list(made.epoch(2))[3:]):
        np.testing.assert_array_equal(step.unlabelled.images, expected.unlabelled.images)
        np.testing.assert_array_equal(step.labelled.images, expected.labelled.images)


def test_no_more_than_a_few_batches_are_ahead() -> None:
    pictures = Counted()
    steps = streams(pictures, epoch_steps=100).epoch(0)
    seen = [next(steps) for _ in range(3)]
    time.sleep(0.1)
    assert len(shown(seen)) == 3 and 30 <= len(pictures.decoded) <= 50
    steps.close()  # type: ignore[attr-defined]
    count = len(pictures.decoded)
    time.sleep(0.05)
    assert len(pictures.decoded) == count


def test_evaluation_shows_every_image_once_in_order() -> None:
    data = dataset(Counted())
    batches = list(evaluation_batches(data, data.test, 7))
    assert [len(batch.labels) for batch in batches] == [7] * 5 + [5]
    assert [int(v) for batch in batches for v in batch.images[:, 0, 0, 0]] == list(range(40))
    part = data.train.subset(np.array([5, 9]))
    (batch,) = evaluation_batches(data, part, 7)
    assert batch.images[:, 1, 2, 3].tolist() == [5, 9] and batch.labels.tolist() == [1, 1]


def test_settings_for_the_other_kind_of_data_set() -> None:
    held, digits = dataset(Counted()), load_dataset("digits")
    assert isinstance(make_augmentation(held, shift=0, mirror=True, area=0.5), RandomCrops)
    assert make_augmentation(held, shift=0, mirror=False, jitter=0.1).settings == CropSettings(jitter=0.1)  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="data.shift: 4 pixels, but the images of 'counted' are streamed"):
        make_augmentation(held, shift=4, mirror=False)
    for key, name in (("area", "crop_area"), ("aspect", "crop_aspect"), ("jitter",) * 2, ("lighting",) * 2):
        with pytest.raises(DataError, match=f"data.{name}: 'digits' is kept in memory"):
            make_augmentation(digits, shift=1, mirror=False, **{key: 1.0})


def test_streamed_stand_in() -> None:
    data = stand_in("imagenet", train=30, test=2, size=32)
    assert data.streamed and data.input_shape == (3, 32, 32) and data.classes == 1000
    found = np.asarray(data.train.images[:2])
    assert found.std() > 10
    assert stand_in("imagenet").input_shape == (3, 224, 224)


# Prefetching


def test_prefetch_hands_on_items_and_errors_in_order() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise DataError("broken")

    handed_on = prefetch(items())
    assert [next(handed_on) for _ in range(5)] == list(range(5))
    with pytest.raises(DataError, match="broken"):
        next(handed_on)
    assert list(prefetch(iter(()))) == [] and list(prefetch(iter("abc"), 1)) == ["a", "b", "c"]


def test_prefetch_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    for _ in range(5):
        given_up = prefetch(iter(range(100)))
        assert next(given_up) == 0
        given_up.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
