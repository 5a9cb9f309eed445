"""Facts of a run's data, taken once when the run starts.

Images may be added, classes renamed and folders moved after that. Class names, mean and standard deviation,
the draw of the labelled images and the names of all images are therefore stored in the run (``data.json``)
and used from there. ``changes`` compares them with the files.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Iterable, List, Optional, Tuple

import numpy as np

from gluon_nrm.data.facts.unlabelled_facts import UnlabelledFacts, describe_unlabelled
from gluon_nrm.data.pipeline.splits import Split, add_unlabelled_images
from gluon_nrm.data.sets.dataset import Dataset, ImageSet
from gluon_nrm.data.sets.identities import MOST_LISTED, Identified
from gluon_nrm.data.sets.registry import DataSource

TRAIN, TEST = "train", "test"
PARTS = (TRAIN, TEST)
#: Bytes of pixels hashed at once.
_BLOCK = 2**26


@dataclass(frozen=True)
class PartFacts:
    """Facts of the training or the test images."""

    images: int
    per_class: List[int]
    #: digest of names, sizes and check sums; of the pixels if the images have no names; "" without either
    identities: str
    #: digest of the labels
    labels: str
    #: folder or file of the part, relative to the folder of the data set; "." if one folder holds both parts
    place: str
    #: name of each image, its size in bytes and the check sum of its contents (see ``Identities``); None if
    #: the images have no names or are too many
    names: Optional[List[str]] = None
    sizes: Optional[List[int]] = None
    sums: Optional[List[int]] = None


@dataclass(frozen=True)
class Facts:
    """Facts of a run's data that need no files."""

    name: str
    #: absolute data.path; None if the recipe has none
    path: Optional[str]
    #: absolute folder of all data sets
    data_dir: str
    class_names: List[str]
    input_shape: List[int]
    mean: List[float]
    std: List[float]
    #: smallest and largest pixel value
    pixels: List[float]
    streamed: bool
    #: positions of the validation images in the training set
    validation: List[int]
    #: positions of the labelled images; None: all but the validation images
    labelled: Optional[List[int]]
    train: PartFacts
    test: PartFacts
    #: images without a class; None if the run uses none
    unlabelled: Optional[UnlabelledFacts] = None

    @property
    def unlabelled_images(self) -> int:
        """Number of images without a class."""
        return 0 if self.unlabelled is None else self.unlabelled.images

    @property
    def targets_of(self) -> str:
        """Digest of the images that a checkpoint's targets belong to: training and unlabelled ones."""
        apart = self.unlabelled
        return self.train.identities if apart is None else digest([self.train.identities, apart.contents])

    def part(self, name: str) -> PartFacts:
        """Return the facts of the training (``train``) or the test images (``test``)."""
        return self.train if name == TRAIN else self.test

    def split(self, include_labelled: bool) -> Split:
        """Return the split of the run; ``include_labelled`` as in ``draw_split``."""
        validation = np.array(self.validation, dtype=np.int64)
        rest = np.setdiff1d(np.arange(self.train.images), validation)
        labelled = rest if self.labelled is None else np.array(self.labelled, dtype=np.int64)
        unlabelled = rest if include_labelled else np.setdiff1d(rest, labelled)
        split = Split(labelled, unlabelled, validation)
        return add_unlabelled_images(split, self.train.images, self.unlabelled_images)

    def placed_as(self, other: Facts) -> Facts:
        """Return these facts with the places of the files of ``other``."""
        apart = self.unlabelled
        if apart is not None and other.unlabelled is not None:
            apart = replace(apart, place=other.unlabelled.place)
        return replace(self, path=other.path, data_dir=other.data_dir, unlabelled=apart)

    def problem(self) -> Optional[str]:
        """Describe the first contradiction between the facts; None without one."""
        classes, channels = len(self.class_names), self.input_shape[:1]
        positions = [*self.validation, *(self.labelled or [])]
        if not self.class_names or len(self.input_shape) != 3 or min(self.input_shape) < 1:
            return "class_names and input_shape must not be empty"
        if [len(self.mean)] != channels or [len(self.std)] != channels or min(self.std) <= 0:
            return "mean and std need a value for each channel, and std must be above 0"
        if len(self.pixels) != 2:
            return "pixels must be two numbers"
        if positions and not 0 <= min(positions) <= max(positions) < self.train.images:
            return "a position is not one of a training image"
        for part in (self.train, self.test):
            lists = [each for each in (part.names, part.sizes) if each is not None] + (
                [part.sums] if part.sums else []
            )
            if len(part.per_class) != classes or sum(part.per_class) != part.images:
                return "per_class does not add up to the number of images"
            if any(len(each) != part.images for each in lists):
                return "there must be as many names, sizes and sums as images"
        return None if self.unlabelled is None else self.unlabelled.problem()


def describe_data(dataset: Dataset, split: Split, source: DataSource, everything_labelled: bool) -> Facts:
    """Take the facts of a data set and a split.

    Args:
        dataset: the data set.
        split: positions of the labelled, unlabelled and validation images.
        source: folder and settings that the data set was loaded with.
        everything_labelled: True if every image but the validation images is labelled
            (``data.labels: null``).
    """
    folder = absolute(source.folder(dataset.name))
    named = dataset.identified or (None, None)
    train, test = (
        describe_part(image_set.labels, dataset.classes, each, image_set, folder)
        for image_set, each in zip((dataset.train, dataset.test), named)
    )
    return Facts(
        name=dataset.name,
        path=None if source.path is None else str(folder),
        data_dir=str(absolute(source.data_dir)),
        class_names=list(dataset.class_names),
        input_shape=list(dataset.input_shape),
        mean=[float(value) for value in dataset.mean],
        std=[float(value) for value in dataset.std],
        pixels=list(dataset.pixel_range),
        streamed=dataset.streamed,
        validation=split.validation.tolist(),
        labelled=None if everything_labelled else split.labelled.tolist(),
        train=train,
        test=test,
        unlabelled=describe_unlabelled(dataset, folder),
    )


def describe_part(
    labels: np.ndarray,
    classes: int,
    identified: Optional[Identified],
    images: Optional[ImageSet],
    folder: Path,
) -> PartFacts:
    """Take the facts of one part, from the names of the images or else from their pixels.

    Args:
        labels: (N,) int64.
        classes: number of classes.
        identified: files of the images; None: they have none.
        images: the images, for a data set without files.
        folder: folder of the data set.
    """
    per_class = np.bincount(labels, minlength=classes).tolist()
    label_digest = _digest([labels.astype("<i8").tobytes()])
    if identified is None:
        return PartFacts(len(labels), per_class, _pixel_digest(images), label_digest, "")
    found = identified.identities()
    numbers = [np.array(each, dtype="<i8").tobytes() for each in (found.sizes, found.sums)]
    identity = _digest(["\0".join(found.names).encode("utf-8", errors="surrogatepass"), *numbers])
    place = os.path.relpath(absolute(found.where), folder)
    if len(labels) > MOST_LISTED:
        return PartFacts(len(labels), per_class, identity, label_digest, place)
    names, sizes, sums = list(found.names), list(found.sizes), list(found.sums)
    return PartFacts(len(labels), per_class, identity, label_digest, place, names, sizes, sums)


def absolute(path: Path) -> Path:
    """Make a path absolute; symbolic links are kept."""
    return Path(os.path.abspath(path))


def digest(strings: Iterable[str]) -> str:
    """Hash some strings."""
    return _digest(string.encode("utf-8", errors="surrogatepass") for string in strings)


def split_digest(facts: Facts) -> str:
    """Hash the labelled and the validation positions."""
    labelled = [-1] if facts.labelled is None else facts.labelled
    return _digest(np.array(each, dtype="<i8").tobytes() for each in (labelled, facts.validation))


def _pixel_digest(images: Optional[ImageSet]) -> str:
    if images is None or not isinstance(images.images, np.ndarray):
        return ""
    pixels = images.images
    step = max(1, _BLOCK // max(1, pixels[:1].nbytes))
    blocks = (
        np.ascontiguousarray(pixels[start : start + step]).tobytes() for start in range(0, len(pixels), step)
    )
    return _digest(blocks)


def _digest(parts: Iterable[bytes]) -> str:
    """Hash parts, each after its length, so that different parts never give the same bytes."""
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.hexdigest()


def input_shape(facts: Facts) -> Tuple[int, int, int]:
    """Return channels, height and width of an image."""
    channels, height, width = facts.input_shape
    return channels, height, width
