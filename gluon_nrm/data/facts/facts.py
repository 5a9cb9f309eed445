"""Facts about the data that belong to a run: they are taken once, when it starts, and hold for good.

Files change after a run was started: images are added, classes are renamed, folders are moved. So class
names, mean and deviation, the draw of labelled images and the names of all images are stored in the run
(``data.json``), and later used from there. ``changes`` compares them with the files.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, List, Optional, Tuple

import numpy as np

from gluon_nrm.data.pipeline.splits import Split
from gluon_nrm.data.sets.dataset import Dataset, ImageSet
from gluon_nrm.data.sets.identities import MOST_LISTED, Identified
from gluon_nrm.data.sets.registry import Source

TRAIN, TEST = "train", "test"
PARTS = (TRAIN, TEST)
#: Bytes of pixels that go into a digest at once.
_BLOCK = 2**26


@dataclass(frozen=True)
class PartFacts:
    """The training or the test images."""

    images: int
    per_class: List[int]
    #: digest of names, sizes and check sums, or, of a data set without names, of the pixels; "" where there
    #: is neither
    identities: str
    #: digest of the labels
    labels: str
    #: folder or file of the part below the folder of the data set; "." where one folder holds both
    place: str
    #: name of each image, its size in bytes and the check sum of its contents (see ``Identities``); None of
    #: a data set without names or with too many
    names: Optional[List[str]] = None
    sizes: Optional[List[int]] = None
    sums: Optional[List[int]] = None


@dataclass(frozen=True)
class Facts:
    """What a run knows of its data without their files."""

    name: str
    #: data.path, absolute; None where the recipe gives none
    path: Optional[str]
    #: folder of all data sets, absolute
    data_dir: str
    class_names: List[str]
    input_shape: List[int]
    mean: List[float]
    std: List[float]
    #: smallest and largest value of a pixel
    pixels: List[float]
    streamed: bool
    #: positions of the held-out images in the training set
    validation: List[int]
    #: positions of the labelled images; None: all that are not held out
    labelled: Optional[List[int]]
    train: PartFacts
    test: PartFacts

    def part(self, name: str) -> PartFacts:
        """The training (``train``) or the test images (``test``)."""
        return self.train if name == TRAIN else self.test

    def split(self, include_labelled: bool) -> Split:
        """The draw of the run; ``include_labelled`` as in ``draw_split``."""
        validation = np.array(self.validation, dtype=np.int64)
        rest = np.setdiff1d(np.arange(self.train.images), validation)
        labelled = rest if self.labelled is None else np.array(self.labelled, dtype=np.int64)
        return Split(labelled, rest if include_labelled else np.setdiff1d(rest, labelled), validation)

    def problem(self) -> Optional[str]:
        """Say why the facts contradict each other; None where they do not."""
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
        return None


def describe_data(dataset: Dataset, split: Split, source: Source, everything_labelled: bool) -> Facts:
    """Take the facts of a data set and a draw.

    Parameters
    ----------
    source               Where its files were found.
    everything_labelled  Whether every image that is not held out is labelled (``data.labels: null``).
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
    )


def describe_part(
    labels: np.ndarray,
    classes: int,
    identified: Optional[Identified],
    images: Optional[ImageSet],
    folder: Path,
) -> PartFacts:
    """Take the facts of some images, by their names or, without names, by their pixels.

    Parameters
    ----------
    labels   (N,) int64.
    classes  Number of classes.
    folder   That of the data set.
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
    """The path from the root of the file system, symbolic links left as they are."""
    return Path(os.path.abspath(path))


def digest(texts: Iterable[str]) -> str:
    """Digest of some strings."""
    return _digest(text.encode("utf-8", errors="surrogatepass") for text in texts)


def split_digest(facts: Facts) -> str:
    """Digest of the draw."""
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
    """Hash with the length of each part before it, so that nothing can move from one part to the next."""
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.hexdigest()


def input_shape(facts: Facts) -> Tuple[int, int, int]:
    """Channels, height and width of an image."""
    channels, height, width = facts.input_shape
    return channels, height, width
