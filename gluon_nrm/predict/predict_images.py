"""ImagePrediction of the classes of image files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from gluon_nrm.data.pipeline.prefetch import prefetch
from gluon_nrm.errors import DataError, DeployError
from gluon_nrm.predict.classifier import FileClassifier
from gluon_nrm.predict.images import read_pixels
from gluon_nrm.predict.manifest import Input


@dataclass(frozen=True)
class Guess:
    """A class and its probability."""

    index: int
    name: str
    probability: float


@dataclass(frozen=True, eq=False)
class ImagePrediction:
    """The prediction for one image file."""

    file: Path
    #: the most probable classes, best first
    top: List[Guess]
    #: the image as the network took it, (C, H, W) in pixels, and the rendering of each branch; empty unless
    #: asked for
    pictures: List[np.ndarray]


def predict(
    classifier: FileClassifier,
    files: Sequence[Path],
    *,
    top: int = 5,
    batch: int = 64,
    resize: bool = False,
    pictures: bool = False,
    progress: Optional[Callable[[int, int], None]] = None,
    refuse: Optional[Callable[[Path, DataError], None]] = None,
) -> Iterator[ImagePrediction]:
    """Classify image files, in order; images are decoded in a thread while the network runs.

    Args:
        classifier: of ``open_classifier``.
        files: of ``find_images``.
        top: number of classes per image, at least 1.
        batch: batch size, at least 1.
        resize: as for ``read_pixels``.
        pictures: keep the images and their renderings.
        progress: called with the number of images done and the number of all.
        refuse: called for each image that cannot be read or does not fit; the image is left out. None: the
            first such image is an error.

    Raises:
        DataError: without ``refuse``, an image cannot be read or does not fit; the message names it.
        DeployError: ``top`` or ``batch`` is below 1.
    """
    for name, value in (("top", top), ("batch", batch)):
        if value < 1:
            raise DeployError(f"--{name}: {value}; at least 1 is needed")
    tell = progress or (lambda done, total: None)
    batches = prefetch(_batches(classifier.given, files, batch, resize))
    return _predict(classifier, files, top, batches, pictures, tell, refuse)


class _Read(NamedTuple):
    """Files of one batch, and for each its pixels (C, H, W) or the error of reading it."""

    files: Sequence[Path]
    found: List[Union[np.ndarray, DataError]]


def _predict(
    classifier: FileClassifier,
    files: Sequence[Path],
    top: int,
    batches: Iterator[_Read],
    keep: bool,
    progress: Callable[[int, int], None],
    refuse: Optional[Callable[[Path, DataError], None]],
) -> Iterator[ImagePrediction]:
    done = 0
    for read in batches:
        names, images = _sort_out(read, refuse)
        if images:
            pixels = np.stack(images)
            predicted = classifier.predict(pixels)
            for place, file in enumerate(names):
                found = best(predicted.probabilities[place], classifier.class_names, top)
                pictures = [pixels[place], *(each[place] for each in predicted.renderings)]
                yield ImagePrediction(file, found, pictures if keep else [])
        done += len(read.files)
        progress(done, len(files))


def _sort_out(
    read: _Read, refuse: Optional[Callable[[Path, DataError], None]]
) -> Tuple[List[Path], List[np.ndarray]]:
    """Return the files that were read and their pixels; report the others."""
    names, images = [], []
    for file, image in zip(read.files, read.found):
        if not isinstance(image, DataError):
            names.append(file)
            images.append(image)
        elif refuse is None:
            raise image
        else:
            refuse(file, image)
    return names, images


def _batches(given: Input, files: Sequence[Path], batch: int, resize: bool) -> Iterator[_Read]:
    """Read images batch by batch."""
    for start in range(0, len(files), batch):
        chosen = files[start : start + batch]
        yield _Read(chosen, [_read(path, given, resize) for path in chosen])


def _read(path: Path, given: Input, resize: bool) -> Union[np.ndarray, DataError]:
    try:
        return read_pixels(path, given, resize)
    except DataError as problem:
        return problem


def best(probabilities: np.ndarray, names: Sequence[str], count: int) -> List[Guess]:
    """Return the most probable classes of one image (K,); ties in the order of the classes."""
    order = np.argsort(-probabilities, kind="stable")[:count]
    return [Guess(int(index), names[index], float(probabilities[index])) for index in order]
