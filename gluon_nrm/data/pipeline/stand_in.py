"""Random images in place of a data set whose files are missing, for dry runs and tests."""

from __future__ import annotations

import io
import zlib
from typing import Optional

import numpy as np
from PIL import Image

from gluon_nrm.data.images.decoding import decode
from gluon_nrm.data.sets.dataset import Dataset, ImageSet
from gluon_nrm.data.sets.registry import DatasetSpec, dataset_spec
from gluon_nrm.data.sets.streamed_images import StreamedImages

PER_CLASS = 4
#: Width and height of streamed random images, in pixels; most images of ImageNet have this size.
PICTURE = (500, 375)


def stand_in(
    name: str, *, train: Optional[int] = None, test: Optional[int] = None, size: Optional[int] = None
) -> Dataset:
    """Make a data set of random images with the shape, classes and constants of ``name``.

    Args:
        name: a data set whose properties are known without its files.
        train: number of training images, 1 or more; None: four of each class.
        test: number of test images, likewise.
        size: side in pixels of the images of a streamed data set; None: the default.

    Raises:
        DataError: as ``dataset_spec``.
    """
    spec = dataset_spec(name)
    rng = np.random.default_rng(zlib.crc32(name.encode("utf-8")))
    parts = [
        _noise(spec, PER_CLASS * spec.classes if number is None else number, size, rng)
        for number in (train, test)
    ]
    mean, std = (np.array(constants, dtype=np.float32) for constants in (spec.mean, spec.std))
    return Dataset(name, spec.class_names, parts[0], parts[1], mean, std)


def _noise(spec: DatasetSpec, number: int, size: Optional[int], rng: np.random.Generator) -> ImageSet:
    """Make random images with the labels 0, 1, 2, ..., 0, 1, 2, ..."""
    labels = np.arange(number, dtype=np.int64) % spec.classes
    if spec.streamed:
        return ImageSet(StreamedImages(NoisePictures(number, rng), size or spec.input_shape[1]), labels)
    return ImageSet(rng.integers(0, 256, (number, *spec.input_shape), dtype=np.uint8), labels)


class NoisePictures:
    """One random JPEG image, ``number`` times, decoded at each access."""

    def __init__(self, number: int, rng: np.random.Generator) -> None:
        coarse = rng.integers(0, 256, (PICTURE[1] // 8, PICTURE[0] // 8, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(coarse).resize(PICTURE, Image.Resampling.BICUBIC).save(file, "JPEG", quality=95)
        self._number, self._encoded = number, file.getvalue()

    def __len__(self) -> int:
        """Number of images."""
        return self._number

    def where(self, index: int) -> str:
        """Name an image in messages."""
        return f"random image {index}"

    def picture(self, index: int, mode: str = "RGB") -> Image.Image:
        """Return the image."""
        return decode(io.BytesIO(self._encoded), self.where(index), mode)
