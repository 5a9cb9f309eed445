"""Image files: decoded with Pillow, and brought to one size."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Union

import numpy as np
from PIL import Image, ImageFile, ImageOps

from gluon_nrm.data.reading import reading
from gluon_nrm.errors import DataError

ENDINGS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

#: What Pillow raises on damaged files, beside an OSError.
DAMAGE = (ValueError, SyntaxError, TypeError, LookupError, struct.error, Image.DecompressionBombError)


def decode(file: Union[Path, BinaryIO], where: Union[str, Path], mode: str = "RGB") -> Image.Image:
    """Return an image, turned as its camera was held.

    Parameters
    ----------
    file   A path or an open file.
    where  What the message names.
    mode   Pillow's: "RGB" for three channels, "L" for one; "" for whichever of them the file has.

    Raises
    ------
    DataError  The file cannot be read, is no image, or has more than 8 bits a channel.
    """
    # GluonCV sets it for the whole process when it is imported, and what a damaged file lacks would be black
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    with reading(where, "an image", *DAMAGE), Image.open(file) as image:
        image.load()
        found = ImageOps.exif_transpose(image)
    if found.mode[0] in "IF":
        raise DataError(f"{where}: an image of mode {found.mode}; save it with 8 bits a channel")
    return found.convert(mode or ("L" if found.mode in ("1", "L", "LA") else "RGB"))


def centre_square(image: Image.Image, shorter: int, side: int) -> Image.Image:
    """Resize so that the shorter side has ``shorter`` pixels, and cut the middle square of ``side``."""
    width, height = image.size
    if min(width, height) != shorter:
        scale = shorter / min(width, height)
        width, height = (max(round(scale * length), shorter) for length in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - side) // 2, (height - side) // 2
    return image.crop((left, top, left + side, top + side))


def to_array(image: Image.Image) -> np.ndarray:
    """The pixels, (C, H, W) uint8."""
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
