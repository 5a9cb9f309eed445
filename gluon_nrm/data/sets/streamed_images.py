"""Images that are decoded whenever they are needed, so that memory does not grow with their number.

``StreamedImages`` takes the place of the array of images in an ``ImageSet``: indices select, and
``numpy.asarray`` decodes what was selected, in several threads (Pillow works outside Python's lock, and
nothing has to be sent between processes). An image's augmentation depends on a seed of its own alone, so that
the number of threads does not matter.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Optional, Protocol, Tuple, Union

import numpy as np
from PIL import Image

from gluon_nrm.data.images.decoding import centre_square, to_array

#: For evaluation, the side of the square that is kept, as a share of the shorter side: 224 of 256.
KEPT = 0.875


class Pictures(Protocol):
    """Where images come from; asked by several threads at once."""

    def __len__(self) -> int:
        """Number of images."""

    def where(self, index: int) -> str:
        """How messages name image ``index``."""

    def picture(self, index: int, mode: str = "RGB") -> Image.Image:
        """Return image ``index``, of any size, or raise DataError; ``mode`` as in ``pictures.decode``."""


class Transform(Protocol):
    """A random change of one image."""

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """Return the image that the network is to see, of the size asked for."""


class StreamedImages:
    """A selection of images (N, 3, side, side) uint8, not yet decoded.

    Parameters
    ----------
    pictures   Where they come from.
    side       Height and width in pixels.
    indices    Which of them, (N,) int64; None: all.
    transform  Random change of each; None: shorter side resized to ``side / 0.875``, centre cut out.
    seeds      What the change of each depends on, (N,) integers of 0 or more.
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
        """Number of images selected."""
        return len(self.indices)

    @property
    def shape(self) -> Tuple[int, int, int, int]:
        """Shape of the array that decoding gives."""
        return len(self), 3, self.side, self.side

    @property
    def size(self) -> int:
        """Number of values in that array."""
        return int(np.prod(self.shape))

    def __getitem__(self, chosen: Union[np.ndarray, slice]) -> StreamedImages:
        """Select; nothing is decoded."""
        seeds = None if self.seeds is None else self.seeds[chosen]
        return StreamedImages(self.pictures, self.side, self.indices[chosen], self.transform, seeds)

    def changed(self, transform: Transform, seeds: np.ndarray) -> StreamedImages:
        """The same images, to be changed by ``transform``; nothing is decoded."""
        return StreamedImages(self.pictures, self.side, self.indices, transform, seeds)

    def __array__(self, dtype: Any = None) -> np.ndarray:
        """Decode (N, 3, side, side).

        Raises
        ------
        DataError  An image cannot be read; the message names it.
        """
        result = np.empty(self.shape, dtype=np.uint8)

        def fill(place: int) -> None:
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
    """Return threads that decode: as many as there are processors for this process, or images.

    They live as long as their ``with`` block. A forked process has no threads but the one that forked it, and
    would wait for kept ones for ever.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ThreadPoolExecutor(max(1, min(usable, images)), thread_name_prefix="decode")
