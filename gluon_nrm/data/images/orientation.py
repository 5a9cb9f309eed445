"""Orientation of an image in its EXIF block; the rest of the block is ignored."""

from __future__ import annotations

import struct
from typing import Optional

from PIL import Image

#: Number of the EXIF tag.
ORIENTATION = 0x0112
#: Transposition that turns an image upright, for each value of the tag.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

JPEG_BEGINS, _EXIF_SEGMENT, _EXIF = b"\xff\xd8", b"\xff\xe1", b"Exif\0"


def upright(image: Image.Image) -> Optional[Image.Transpose]:
    """Return the transposition that turns an image upright; None if none is needed or the block is damaged.

    Pillow converts a tag when it is read, so damage in other tags does not matter.
    """
    try:
        return _UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # a damaged block raises many kinds of exceptions; the pixels are intact
        return None


def without_exif(data: bytes) -> Optional[bytes]:
    """Remove the EXIF blocks of a JPEG file, which old Pillows read when they open it; None without one."""
    if not data.startswith(JPEG_BEGINS):
        return None
    kept, place = [JPEG_BEGINS], 2
    while data[place : place + 1] == b"\xff" and b"\xe0" <= data[place + 1 : place + 2] <= b"\xef":
        if len(data) < place + 4:
            return None
        end = place + 2 + struct.unpack_from(">H", data, place + 2)[0]
        if data[place : place + 2] != _EXIF_SEGMENT or not data.startswith(_EXIF, place + 4):
            kept.append(data[place:end])
        place = end
    result = b"".join([*kept, data[place:]])
    return result if len(result) < len(data) else None
