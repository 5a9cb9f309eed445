"""Decode image files with Pillow and bring them to one size."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Union

import numpy as np
from PIL import Image, UnidentifiedImageError

from gluon_nrm.data.images.formats import installed_formats
from gluon_nrm.data.images.orientation import JPEG_BEGINS, upright, without_exif
from gluon_nrm.data.images.read_errors import UNREADABLE, read_errors
from gluon_nrm.data.images.truncation import watch
from gluon_nrm.errors import DataError
from gluon_nrm.storage.files import open_file

#: Exceptions of Pillow for damaged files, besides OSError.
DAMAGE = (
    ValueError,
    SyntaxError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    struct.error,
)


def decode(file: Union[Path, BinaryIO], where: Union[str, Path], mode: str = "RGB") -> Image.Image:
    """Decode an image and turn it upright.

    Args:
        file: a path or an open file.
        where: name of the image in messages.
        mode: Pillow's mode: "RGB" for three channels, "L" for one; "" for the number that the file has.

    Raises:
        DataError: the file cannot be read, is no image of ``FORMATS``, is damaged or truncated, or has more
            pixels than Pillow allows or more than 8 bits per channel.
    """
    if isinstance(file, Path):
        with read_errors(where, "an image"), open_file(file) as opened:
            return decode(opened, where, mode)
    try:
        with read_errors(where, "an image", *DAMAGE), _open(file, where) as image:
            watch(image)
            image.load()
            turn = upright(image)
            found = image if turn is None else image.transpose(turn)
            deep = found.mode[0] in "IF"
            if not deep:
                return found.convert(mode or ("L" if found.mode in ("1", "L", "LA") else "RGB"))
    except Image.DecompressionBombError as problem:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise DataError(
            f"{where}: the image is too large: Pillow reads up to {most} pixels; scale it down, or remove it"
        ) from problem
    raise DataError(f"{where}: an image of mode {found.mode}; save it with 8 bits a channel")


def _open(file: BinaryIO, where: Union[str, Path]) -> Image.Image:
    """Open an image by its content, without decoding it."""
    formats = installed_formats()
    try:
        return Image.open(file, formats=formats)
    except UnidentifiedImageError as problem:
        plain = without_exif(_content(file))
        if plain is not None:
            return _open(BytesIO(plain), where)
        raise DataError(
            f"{where} is damaged or not an image (its content is none of {', '.join(formats)}); {UNREADABLE}"
        ) from problem


def _content(file: BinaryIO) -> bytes:
    """Return the first two bytes of a file, or all of it if these are a JPEG file's."""
    file.seek(0)
    begins = file.read(2)
    return begins + file.read() if begins == JPEG_BEGINS else begins


def centre_square(image: Image.Image, shorter: int, side: int) -> Image.Image:
    """Resize the shorter side to ``shorter`` pixels and crop the central square of ``side`` pixels."""
    width, height = image.size
    if min(width, height) != shorter:
        scale = shorter / min(width, height)
        width, height = (max(round(scale * length), shorter) for length in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - side) // 2, (height - side) // 2
    return image.crop((left, top, left + side, top + side))


def to_array(image: Image.Image) -> np.ndarray:
    """Return the pixels, (C, H, W) uint8."""
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
