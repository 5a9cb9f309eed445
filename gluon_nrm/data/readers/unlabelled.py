"""Add images without classes to a data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Optional, Tuple

import numpy as np

from gluon_nrm.data.readers.decode_all import decode_all, stack
from gluon_nrm.data.readers.unlabelled_files import UnlabelledFiles, list_unlabelled
from gluon_nrm.data.sets.dataset import Dataset, Images
from gluon_nrm.data.sets.skipped_files import SkippedNames
from gluon_nrm.data.sets.streamed_images import StreamedImages
from gluon_nrm.errors import DataError

#: Reason why unlabelled images are left out of a run without an unlabelled stream.
NOT_USED = "train.batch_unlabelled is 0"


def add_unlabelled(dataset: Dataset, place: Path, size: Optional[int]) -> Dataset:
    """Return the data set with the unlabelled images of ``place``, in place of its own if it has any.

    Args:
        dataset: the data set without them.
        place: folder or list; see ``list_unlabelled``.
        size: ``data.size``: side to which images are resized; None: they keep their size.

    Raises:
        DataError: as ``list_unlabelled`` and ``read_unlabelled``, or the data set does not hold bytes.
    """
    skipped = SkippedNames()
    skipped.extend(dataset.skipped)
    files = list_unlabelled(place, skipped)
    if dataset.train.images.dtype != np.uint8:
        raise DataError(
            f"data.unlabelled: {place} holds image files, whose pixels are bytes, and '{dataset.name}' has "
            f"{dataset.train.images.dtype} pixels; leave it out"
        )
    images = read_unlabelled(files, dataset.input_shape, size, dataset.streamed)
    return replace(dataset, unlabelled=images, unlabelled_contents=files.contents(), skipped=skipped.record)


def read_unlabelled(
    files: UnlabelledFiles, shape: Tuple[int, int, int], size: Optional[int], streamed: bool
) -> Images:
    """Read unlabelled images, (U, C, H, W) uint8; streamed ones are decoded later.

    Args:
        files: the image files.
        shape: channels, height and width of a training image; colours become grey if it has one channel.
        size: as for ``add_unlabelled``.
        streamed: decode images when they are needed.

    Raises:
        DataError: an image cannot be read or has another size, or they need too much memory.
    """
    if streamed:
        return StreamedImages(files, shape[1])
    channels, *sides = shape
    decoded = decode_all(files, size, "RGB" if channels == 3 else "L")
    return stack(decoded, files, tuple(sides), channels)
