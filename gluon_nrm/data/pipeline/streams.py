"""Labelled and unlabelled stream of a training epoch, and batches of an evaluation.

Everything random in an epoch depends on (seed, epoch) alone, not on earlier epochs, the number of devices or
workers, or numpy's global state. A resumed run therefore equals an uninterrupted one, and a run of several
workers equals a run of one.
"""

from __future__ import annotations

from itertools import repeat
from typing import Iterator, List, NamedTuple, Optional

import numpy as np

from gluon_nrm.data.pipeline.augment import Augmentation, Cutout
from gluon_nrm.data.pipeline.prefetch import prefetch
from gluon_nrm.data.pipeline.splits import Split
from gluon_nrm.data.sets.dataset import Dataset, Images, ImageSet
from gluon_nrm.errors import DataError

# Numbers of an epoch's random sequences. They are independent: leaving one out does not change the others.
_LABELLED, _UNLABELLED = 0, 1
_ORDER, _AUGMENTATION, _TEACHER_AUGMENTATION, _CUTOUT, _TEACHER_CUTOUT = 0, 1, 2, 3, 4

NO_LABEL = -1.0


class Batch(NamedTuple):
    """Images ready for the network."""

    images: np.ndarray  # (B, C, H, W) float32, normalised
    labels: np.ndarray  # (B,) float32, -1 where unlabelled
    teacher_images: Optional[np.ndarray] = None  # (B, C, H, W), augmented independently; None: images
    indices: Optional[np.ndarray] = None  # (B,) positions (see ``Dataset``); None in evaluation
    all_indices: Optional[np.ndarray] = None  # (workers * B,) of the whole step; None: indices


class Step(NamedTuple):
    """Batches of one training step."""

    labelled: Batch  # without an image if there is no labelled stream
    unlabelled: Optional[Batch]  # None without an unlabelled stream


class _Drawn(NamedTuple):
    """Random numbers of a batch's augmentation."""

    augmentation: List[np.ndarray]  # (B, ...) each
    cutout: np.ndarray  # (B, 2) centres of the squares


class Streams:
    """Steps of each epoch: pairs of a labelled and an unlabelled batch.

    Each stream concatenates random permutations of its images up to the length of the epoch. The numbers of
    times that two images are seen in an epoch differ by at most one. A batch may continue in the next
    permutation, and may be larger than the stream.

    Args:
        dataset: source of the images.
        split: positions of the labelled and the unlabelled images (see ``Dataset``).
        augment: augmentation of the raw images of both streams.
        batch_labelled: labelled images in a step, over all devices; 0: no labelled stream.
        batch_unlabelled: unlabelled images in a step; 0: no unlabelled stream.
        seed: seed of order and augmentation; 0 or more.
        epoch_steps: steps in an epoch; None: one pass over the longer stream without an incomplete last
            batch, and at least one step.
        independent_teacher: augment the images a second time, independently, for the teacher.
        cutout: cutout of the normalised images of both streams; None: no cutout.
        worker: rank of this worker.
        workers: number of workers. Each reads an equal part of every batch; the batch sizes above are of all
            workers together.

    Raises:
        DataError: a batch size, seed or number of steps is out of range, both streams are left out, a
            stream has no images, or a translation or square is as large as the images.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: Split,
        *,
        augment: Augmentation,
        batch_labelled: int,
        batch_unlabelled: int,
        seed: int,
        epoch_steps: Optional[int] = None,
        independent_teacher: bool = False,
        cutout: Optional[Cutout] = None,
        worker: int = 0,
        workers: int = 1,
    ) -> None:
        _check_at_least("train.batch_labelled", batch_labelled, 0)
        _check_at_least("train.batch_unlabelled", batch_unlabelled, 0 if batch_labelled else 1)
        _check_at_least("train.seed", seed, 0)
        if epoch_steps is not None:
            _check_at_least("train.epoch_steps", epoch_steps, 1)
        _check_not_empty(split, batch_labelled, batch_unlabelled)
        cutout = cutout or Cutout(0)
        for each in (augment, cutout):
            each.check(dataset.input_shape)
        self.dataset = dataset
        self.split = split
        self.augment = augment
        self.cutout = cutout
        self.batch_labelled = batch_labelled
        self.batch_unlabelled = batch_unlabelled
        self.seed = seed
        self.independent_teacher = independent_teacher
        self.worker = worker
        self.workers = workers
        self.steps_per_epoch = epoch_steps or self._one_pass()

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Step]:
        """Return the ``steps_per_epoch`` steps of epoch ``epoch`` (0 or more); the same steps at every call.

        The first ``first`` steps are skipped, without decoding their images.
        """
        _check_at_least("epoch", epoch, 0)
        steps = self._steps(epoch, first)
        return prefetch(steps) if self.dataset.streamed else steps

    def _steps(self, epoch: int, first: int) -> Iterator[Step]:
        """Yield the steps of ``epoch`` from step ``first`` on."""
        labelled = self._labelled_batches(epoch, first)
        if not self.batch_unlabelled:
            for batch in labelled:
                yield Step(batch, None)
            return
        unlabelled = self._batches(epoch, _UNLABELLED, self.split.unlabelled, self.batch_unlabelled, first)
        for batch, partner in zip(labelled, unlabelled):
            yield Step(batch, partner)

    def _labelled_batches(self, epoch: int, first: int) -> Iterator[Batch]:
        """Return the batches of the labelled stream, or empty ones without it."""
        if self.batch_labelled:
            return self._batches(epoch, _LABELLED, self.split.labelled, self.batch_labelled, first)
        images = np.zeros((0, *self.dataset.input_shape), dtype=np.float32)
        return repeat(Batch(images, np.zeros(0, dtype=np.float32)))

    def _batches(
        self, epoch: int, stream: int, indices: np.ndarray, batch: int, first: int
    ) -> Iterator[Batch]:
        """Yield the batches of one stream, the images at ``indices``, from step ``first`` on."""
        order = _cycle(indices, self.steps_per_epoch * batch, self._rng(epoch, stream, _ORDER))
        student = [self._rng(epoch, stream, purpose) for purpose in (_AUGMENTATION, _CUTOUT)]
        teacher = [self._rng(epoch, stream, purpose) for purpose in (_TEACHER_AUGMENTATION, _TEACHER_CUTOUT)]
        share = batch // self.workers
        rows = slice(self.worker * share, (self.worker + 1) * share)
        for start in range(0, len(order), batch):
            # drawn for the whole batch, so that the number of workers does not matter
            drawn = self._draw(batch, *student)
            teacher_drawn = self._draw(batch, *teacher) if self.independent_teacher else None
            if start < first * batch:
                continue
            everyone = order[start : start + batch]
            chosen = everyone[rows]
            raw = self.dataset.images_at(chosen)
            yield Batch(
                images=self._prepare(raw, drawn, rows),
                labels=self._labels(chosen, stream),
                teacher_images=None if teacher_drawn is None else self._prepare(raw, teacher_drawn, rows),
                indices=chosen,
                all_indices=everyone,
            )

    def _labels(self, chosen: np.ndarray, stream: int) -> np.ndarray:
        """Return the labels (B,) for the losses: the true ones, or ``NO_LABEL`` in the unlabelled stream."""
        if stream == _UNLABELLED:
            return np.full(len(chosen), NO_LABEL, dtype=np.float32)
        return self.dataset.train.labels[chosen].astype(np.float32)

    def _draw(self, count: int, rng: np.random.Generator, cutout_rng: np.random.Generator) -> _Drawn:
        """Draw the random numbers that augment ``count`` images."""
        size = self.dataset.input_shape[1:]
        return _Drawn(self.augment.draw(count, rng), self.cutout.draw(count, size, cutout_rng))

    def _prepare(self, raw: Images, drawn: _Drawn, rows: slice) -> np.ndarray:
        """Augment raw images, normalise them, then apply cutout.

        ``rows`` are the positions of the images in the batch of ``drawn``. The border of a translation is raw
        0 (black); a cutout square is 0 after normalisation.
        """
        changed = self.augment.apply(raw, [each[rows] for each in drawn.augmentation])
        return self.cutout.apply(self.dataset.normalise(changed), drawn.cutout[rows])

    def _rng(self, epoch: int, stream: int, purpose: int) -> np.random.Generator:
        """Make the generator of one random sequence of one epoch."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(epoch, stream, purpose)))

    def _one_pass(self) -> int:
        """Count the full batches of the stream with more images (if equal: of the one with more batches)."""
        passes = []
        if self.batch_labelled:
            passes.append((len(self.split.labelled), len(self.split.labelled) // self.batch_labelled))
        if self.batch_unlabelled:
            passes.append((len(self.split.unlabelled), len(self.split.unlabelled) // self.batch_unlabelled))
        return max(1, max(passes)[1])


def evaluation_batches(dataset: Dataset, images: ImageSet, batch: int) -> Iterator[Batch]:
    """Return batches of all ``images`` in order, without augmentation; the last batch may be smaller.

    Raises:
        DataError: ``batch`` is below 1.
    """
    _check_at_least("train.eval_batch", batch, 1)
    starts = range(0, len(images.labels), batch)
    parts = (images.subset(slice(start, start + batch)) for start in starts)
    batches = (Batch(dataset.normalise(part.images), part.labels.astype(np.float32)) for part in parts)
    return prefetch(batches) if dataset.streamed else batches


def _cycle(indices: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """Concatenate fresh permutations of ``indices`` up to ``length`` entries."""
    passes = -(-length // len(indices))
    return np.concatenate([rng.permutation(indices) for _ in range(passes)])[:length]


def _check_not_empty(split: Split, batch_labelled: int, batch_unlabelled: int) -> None:
    """Raise DataError for a stream without images."""
    if batch_labelled and not len(split.labelled):
        raise DataError("the split has no labelled image: give data.labels a number above 0")
    if batch_unlabelled and not len(split.unlabelled):
        raise DataError(
            f"train.batch_unlabelled: {batch_unlabelled}, but every training image is labelled; "
            "give data.unlabelled a folder of images, set it to 0, lower data.labels or set "
            "data.unlabelled_includes_labelled to true"
        )


def _check_at_least(key: str, value: int, least: int) -> None:
    """Raise DataError for a ``value`` of the setting ``key`` below ``least``."""
    if value < least:
        raise DataError(f"{key}: {value}; it must be at least {least}")
