"""How the images of a data set go into a network, in the words of ``model.json``."""

from __future__ import annotations

from typing import List, Optional

import numpy as np

from gluon_nrm.data import Dataset
from gluon_nrm.data.streamed import KEPT
from gluon_nrm.deploy.manifest import CALLER, Input


def describe_input(dataset: Dataset, size: Optional[int] = None, normalised_by: str = CALLER) -> Input:
    """Describe what evaluation does with an image of this data set.

    Args:
        dataset: as training loaded it.
        size: the recipe's ``data.size``.
        normalised_by: "caller", or "graph" where normalisation is part of it.
    """
    shorter_side = size if dataset.name == "folder" else None
    if dataset.streamed:
        shorter_side = round(dataset.input_shape[1] / KEPT)
    return Input(
        name="data",
        shape=[None, *dataset.input_shape],
        dtype="float32",
        pixels=_range(dataset),
        normalised_by=normalised_by,
        mean=[float(value) for value in dataset.mean],
        std=[float(value) for value in dataset.std],
        shorter_side=shorter_side,
    )


def _range(dataset: Dataset) -> List[float]:
    """Lowest and highest value of a pixel: of bytes 0 and 255, of all else those of the training images."""
    images = dataset.train.images
    if images.dtype == np.uint8:
        return [0.0, 255.0]
    pixels = np.asarray(images)
    return [float(min(pixels.min(), 0)), float(pixels.max())]
