"""Supported image formats and the endings of their files.

The content of a file decides which of these formats it is read as, not its name. Other formats of Pillow are
left out: for PostScript it starts Ghostscript, which an untrusted file must not do.
"""

from __future__ import annotations

import os
from typing import Optional, Tuple

from PIL import Image

#: Pillow's name of each format and the endings of its files, in the order in which they are tried.
#: TGA is last: it has no magic number, so almost any file could be one.
FORMATS = {
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "GIF": (".gif",),
    "JPEG": (".jfif", ".jpe", ".jpeg", ".jpg", ".mpo"),
    "PPM": (".pbm", ".pgm", ".pnm", ".ppm"),
    "PNG": (".apng", ".png"),
    "AVIF": (".avif", ".avifs"),
    "JPEG2000": (".j2c", ".j2k", ".jp2", ".jpc", ".jpf", ".jpx"),
    "PCX": (".pcx",),
    "PSD": (".psd",),
    "QOI": (".qoi",),
    "SGI": (".bw", ".rgb", ".rgba", ".sgi"),
    "SUN": (".ras",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "TGA": (".icb", ".tga", ".vda", ".vst"),
}

_FORMAT_OF = {ending: name for name, endings in FORMATS.items() for ending in endings}
#: Endings of photos of phones and cameras that Pillow does not read.
_PHONES = (".heic", ".heif", ".dng", ".cr2", ".nef", ".arw")
#: Endings of all formats, for messages.
ENDINGS = tuple(sorted(_FORMAT_OF))


def installed_formats() -> Tuple[str, ...]:
    """Return the formats that the installed Pillow reads; older versions lack AVIF and QOI."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def is_image_name(name: str) -> bool:
    """Return True if the ending of a file name is that of an image."""
    return left_out(name) is None


def left_out(name: str) -> Optional[str]:
    """Return the reason why a file of this name is no image; None if it is one."""
    ending = os.path.splitext(name)[1].lower()
    if not ending:
        return "its name has no ending"
    if ending in _PHONES:
        return f"Pillow does not read {ending}: convert it to JPEG or PNG"
    if ending not in _FORMAT_OF:
        return f"{ending} is not an ending of an image"
    Image.init()
    if _FORMAT_OF[ending] not in Image.OPEN:
        return f"the installed Pillow does not read {ending}; a newer one may"
    return None
