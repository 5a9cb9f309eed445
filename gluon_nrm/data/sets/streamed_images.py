"""Images that are decoded when they are needed; memory does not grow with their number.

``StreamedImages`` replaces the array of images in an ``ImageSet``: indices select images, and
``numpy.asarray`` decodes the selected ones in several threads (Pillow releases Python's lock). The
augmentation of an image depends on a seed of this image alone, not on the number of threads.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Optional, Protocol, Tuple, Union

import numpy as np
from PIL import Image

from gluon_nrm.data.images.decoding import centre_square, to_array

#: In evaluation, side of the central crop as a share of the shorter side: 224 of 256.
KEPT = 0.875


class Pictures(Protocol):
    """Source of images, used by several threads at once."""

    def __len__(self) -> int:
        """Number of images."""

    def where(self, index: int) -> str:
        """Name image ``index`` in messages."""

    def picture(self, index: int, mode: str = "RGB") -> Image.Image:
        """Decode image ``index``, of any size, or raise DataError; ``mode`` as in ``decoding.decode``."""


class Transform(Protocol):
    """Random change of one image."""

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """Return the changed image, of the size of ``StreamedImages``."""


class StreamedImages:
    """A selection of images (N, 3, side, side) uint8, not yet decoded.

    Args:
        pictures: source of the images.
        side: height and width in pixels.
        indices: selected images, (N,) int64; None: all.
        transform: random change of each image; None: shorter side resized to ``side / 0.875``, then centre
            crop.
        seeds: seed of the change of each image, (N,) integers of 0 or more.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(
        self,
        pictures: Pictures,
        side: int,
        indices: Optional[np.ndarray] = None,
        transform: Optional[Transform] = None,
        seeds: Optional[np.ndarray] = None,
    ) -> None:
        self.pictures = pictures
        self.side = side
        self.indices = np.arange(len(pictures)) if indices is None else indices
        self.transform = transform
        self.seeds = seeds

    def __len__(self) -> int:
        """Number of selected images."""
        return len(self.indices)

    @property
    def shape(self) -> Tuple[int, int, int, int]:
        """Shape of the decoded array."""
        return len(self), 3, self.side, self.side

    @property
    def size(self) -> int:
        """Number of values in the decoded array."""
        return int(np.prod(self.shape))

    def __getitem__(self, chosen: Union[np.ndarray, slice]) -> StreamedImages:
        """Select images; nothing is decoded."""
        seeds = None if self.seeds is None else self.seeds[chosen]
        return StreamedImages(self.pictures, self.side, self.indices[chosen], self.transform, seeds)

    def changed(self, transform: Transform, seeds: np.ndarray) -> StreamedImages:
        """Return the same images with another ``transform``; nothing is decoded."""
        return StreamedImages(self.pictures, self.side, self.indices, transform, seeds)

    def __array__(self, dtype: Any = None) -> np.ndarray:
        """Decode the images, (N, 3, side, side) uint8.

        Raises:
            DataError: an image cannot be read; the message names it.
        """
        result = np.empty(self.shape, dtype=np.uint8)

        def fill(place: int) -> None:
            """Decode one image into its row of the result."""
            result[place] = self._one(place)

        with threads(len(self)) as pool:
            for _ in pool.map(fill, range(len(self))):
                pass
        return result if dtype is None else result.astype(dtype)

    def _one(self, place: int) -> np.ndarray:
        """Decode one image of the selection."""
        image = self.pictures.picture(int(self.indices[place]))
        if self.transform is None or self.seeds is None:
            return to_array(centre_square(image, round(self.side / KEPT), self.side))
        return to_array(self.transform(image, np.random.default_rng(int(self.seeds[place]))))


def threads(images: int) -> ThreadPoolExecutor:
    """Start threads for decoding: one for each processor of this process, or each image if these are fewer.

    They end with their ``with`` block. A pool that is kept would hang in a forked process, which has no copy
    of its threads.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ThreadPoolExecutor(max(1, min(usable, images)), thread_name_prefix="decode")
