"""Reading of image files as a network's input, as training reads its own images.

``manifest.Input`` describes the input of an export and of a run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Sequence, Tuple

import numpy as np
from PIL import Image

from gluon_nrm.console.unicode_output import on_one_line
from gluon_nrm.data.images.decoding import centre_square, decode, to_array
from gluon_nrm.errors import DataError
from gluon_nrm.option_names import option
from gluon_nrm.predict.manifest import GRAPH, Input

Array = np.ndarray
#: Largest value of a channel in Pillow.
BYTE = 255

_NAMES = {1: "grey", 3: "in colour"}


def read_pixels(path: Path, expected: Input, resize: bool = False) -> Array:
    """Read an image, (C, H, W) float32, in the range of pixel values that the network was trained on.

    A grey image gets three equal channels for a network of three. Palettes are resolved, transparency is
    dropped, and the orientation of the camera is applied.

    Args:
        path: the file.
        expected: description of the network's input.
        resize: scale an image of any size until it covers the network's size, and cut out the centre. Always
            done if training scaled its test images (``shorter_side``).

    Raises:
        DataError: the file cannot be read or is no image, or its size or channels differ from those expected.
    """
    channels, height, width = _shape(expected)
    where = on_one_line(path)
    if channels not in _NAMES:
        raise DataError(f"{where}: the network takes {channels} channels, and an image file has 1 or 3")
    image = _right_channels(decode(path, where, "" if channels == 1 else "RGB"), where, channels)
    shorter = expected.shorter_side or (min(height, width) if resize else None)
    if shorter is not None:
        image = cover(image, shorter, height, width)
    elif image.size != (width, height):
        raise DataError(
            f"{where}: {image.size[0]} x {image.size[1]} pixels (width x height), and the network takes "
            f"{width} x {height}; give {option('resize', True)} to scale it and cut out the middle"
        )
    return _scale(to_array(image), expected)


def normalise(pixels: Array, expected: Input) -> Array:
    """Convert pixels (B, C, H, W) float32 to the graph's input, as ``Dataset.normalise`` does."""
    if expected.normalised_by == GRAPH:
        return pixels
    mean, std = (_columns(values) for values in (expected.mean, expected.std))
    return (pixels - mean) / std


def restore_pixels(images: Array, expected: Input) -> Array:
    """Convert renderings (B, C, H, W) of a graph to pixels."""
    if expected.normalised_by == GRAPH:
        return images
    mean, std = (_columns(values) for values in (expected.mean, expected.std))
    return images * std + mean


def cover(image: Image.Image, shorter: int, height: int, width: int) -> Image.Image:
    """Scale an image as evaluation does, and cut out its central ``height`` x ``width``.

    For a square, the image's shorter side becomes ``shorter``. For a rectangle, the image is scaled until it
    covers a rectangle of the same proportions whose shorter side is ``shorter``.
    """
    if height == width:
        return centre_square(image, shorter, height)
    margin = shorter / min(height, width)
    scale = margin * max(width / image.size[0], height / image.size[1])
    across, down = (max(round(scale * length), least) for length, least in zip(image.size, (width, height)))
    if (across, down) != image.size:
        image = image.resize((across, down), Image.Resampling.BICUBIC)
    left, top = (across - width) // 2, (down - height) // 2
    return image.crop((left, top, left + width, top + height))


def _right_channels(image: Image.Image, where: str, channels: int) -> Image.Image:
    """Convert an image to a number of channels."""
    if channels == len(image.getbands()):
        return image
    bands = image.split()
    # many programs save grey images with three equal channels or a palette
    if any(band.tobytes() != bands[0].tobytes() for band in bands[1:]):
        raise DataError(
            f"{where}: an image {_NAMES[len(bands)]}, and the network takes images that are "
            f"{_NAMES[channels]} (1 channel); convert it to grey"
        )
    return bands[0]


def _scale(pixels: Array, expected: Input) -> Array:
    """Scale bytes to the range of pixel values that the network was trained on."""
    low, high = expected.pixels
    return (low + pixels * ((high - low) / BYTE)).astype(np.float32)


def _columns(values: Sequence[float]) -> Array:
    return np.asarray(values, dtype=np.float32)[:, None, None]


def _shape(expected: Input) -> Tuple[int, int, int]:
    channels, height, width = (int(length or 0) for length in expected.shape[1:])
    return channels, height, width
