"""Training images followed by unlabelled images, selected by one position."""

from __future__ import annotations

import numpy as np
from PIL import Image

from gluon_nrm.data.sets.streamed_images import Pictures, StreamedImages


class JoinedPictures:
    """Pictures of two sources, those of the first before those of the second."""

    def __init__(self, first: Pictures, second: Pictures) -> None:
        self._first, self._second = first, second

    def __len__(self) -> int:
        """Number of images."""
        return len(self._first) + len(self._second)

    def where(self, index: int) -> str:
        """Name an image in messages."""
        beyond = index - len(self._first)
        return self._first.where(index) if beyond < 0 else self._second.where(beyond)

    def picture(self, index: int, mode: str = "RGB") -> Image.Image:
        """Decode an image in its stored size."""
        beyond = index - len(self._first)
        return self._first.picture(index, mode) if beyond < 0 else self._second.picture(beyond, mode)


def select_streamed(first: StreamedImages, second: StreamedImages, positions: np.ndarray) -> StreamedImages:
    """Select images of two sets of one size; nothing is decoded.

    Args:
        first: streamed images.
        second: streamed images.
        positions: (B,) below ``len(first) + len(second)``; those of ``second`` follow those of ``first``.
    """
    indices = np.concatenate([first.indices, len(first.pictures) + second.indices])
    return StreamedImages(JoinedPictures(first.pictures, second.pictures), first.side, indices[positions])


def select_arrays(first: np.ndarray, second: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Copy images of two arrays (N, C, H, W) and (M, C, H, W) of one type.

    Args:
        first: (N, C, H, W).
        second: (M, C, H, W).
        positions: (B,) below N + M; those of ``second`` follow those of ``first``.
    """
    result = np.empty((len(positions), *first.shape[1:]), dtype=first.dtype)
    later = positions >= len(first)
    result[~later] = first[positions[~later]]
    result[later] = second[positions[later] - len(first)]
    return result
