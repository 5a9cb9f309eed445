"""Decode all images of a part into one array."""

from __future__ import annotations

from typing import List, Optional, Tuple

import numpy as np

from gluon_nrm.data.images.decoding import centre_square, to_array
from gluon_nrm.data.sets.streamed_images import Pictures, threads
from gluon_nrm.errors import DataError

#: Largest number of bytes of pixels kept in memory.
MOST_IN_MEMORY = 4 * 2**30


def decode_all(pictures: Pictures, size: Optional[int], mode: str = "") -> List[np.ndarray]:
    """Decode every image, (C, H, W) uint8 each.

    Args:
        pictures: the image files.
        size: shorter side in pixels to which an image is resized, and side of its central crop; None: images
            keep their size.
        mode: as in ``decoding.decode``; "": 1 or 3 channels, as stored.

    Raises:
        DataError: an image cannot be read, or the images need too much memory.
    """

    def decode(index: int) -> np.ndarray:
        """Decode one image, brought to ``size`` if one is given."""
        image = pictures.picture(index, mode)
        return to_array(image if size is None else centre_square(image, size, size))

    most = decode(0).nbytes * len(pictures)
    if most > MOST_IN_MEMORY:
        raise DataError(
            f"{len(pictures)} images like {pictures.where(0)} would take {most / 2**30:.1f} GiB of memory; "
            "set data.streamed to true, or data.size to fewer pixels"
        )
    with threads(len(pictures)) as pool:
        return list(pool.map(decode, range(len(pictures))))


def stack(images: List[np.ndarray], pictures: Pictures, shape: Tuple[int, ...], channels: int) -> np.ndarray:
    """Stack images to (N, channels, H, W); grey images among coloured ones get three equal channels.

    Raises:
        DataError: an image has another height or width than ``shape``, or colours if ``channels`` is 1.
    """
    for index, image in enumerate(images):
        if image.shape[1:] != shape:
            height, width = image.shape[1:]
            raise DataError(
                f"{pictures.where(index)}: {height} x {width} pixels, and the first image has "
                f"{shape[0]} x {shape[1]}; set data.size to bring all images to one size"
            )
    result = np.empty((len(images), channels, *shape), dtype=np.uint8)
    for index, (place, image) in enumerate(zip(result, images)):
        if len(image) not in (1, channels):
            raise DataError(
                f"{pictures.where(index)} has colours, and the images of the run are grey; put it back"
            )
        place[...] = image
    return result
