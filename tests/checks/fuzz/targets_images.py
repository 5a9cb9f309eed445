"""Image files of every format that Pillow writes, and some that it only reads."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path
from typing import Dict

import numpy as np

from fuzz.cases import Target

#: Nothing is to be started for these, whatever their names say.
PROGRAMS = {
    "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n",
    "page.png": b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n",
    "drawing.png": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
}
FORMATS = (
    "PNG",
    "JPEG",
    "GIF",
    "TIFF",
    "WEBP",
    "BMP",
    "DIB",
    "PPM",
    "TGA",
    "ICO",
    "PCX",
    "SGI",
    "JPEG2000",
    "IM",
    "MSP",
    "XBM",
    "ICNS",
    "DDS",
    "AVIF",
    "QOI",
    "SPIDER",
    "BLP",
)
MODES = ("RGB", "L", "P", "1", "RGBA", "CMYK", "I;16", "LA")


def images(folder: Path) -> None:
    for number, (name, data) in enumerate(sorted({**PROGRAMS, **_encoded(), **_odd_forms()}.items())):
        place = folder / f"{number:03d}"
        place.mkdir()
        (place / name).write_bytes(data)


def _encoded() -> Dict[str, bytes]:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    found = {}
    for kind in FORMATS:
        for mode in MODES:
            file = io.BytesIO()
            try:
                Image.fromarray(pixels).convert("L" if mode == "I;16" else mode).convert(mode).save(
                    file, kind
                )
            except Exception:  # what the installed Pillow cannot write
                continue
            found[f"{kind.lower()}-{mode.replace(';', '')}.{kind.lower()}"] = file.getvalue()
    return found


def _odd_forms() -> Dict[str, bytes]:
    """The same picture with camera data, in several frames, and packed in several ways."""
    from PIL import Image

    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (12, 10, 3), dtype=np.uint8))
    wanted = {
        "turned.jpeg": dict(format="JPEG", exif=_exif()),
        "turned.png": dict(format="PNG", exif=_exif()),
        "turned.webp": dict(format="WEBP", exif=_exif()),
        "turned.tiff": dict(format="TIFF", exif=_exif()),
        "progressive.jpeg": dict(format="JPEG", progressive=True),
        "frames.gif": dict(format="GIF", save_all=True, append_images=[image, image]),
        "frames.tiff": dict(format="TIFF", save_all=True, append_images=[image]),
        "frames.webp": dict(format="WEBP", save_all=True, append_images=[image]),
        "frames.png": dict(format="PNG", save_all=True, append_images=[image]),
        "lossless.webp": dict(format="WEBP", lossless=True),
        "two.mpo": dict(format="MPO", save_all=True, append_images=[image]),
        **{
            f"{how}.tiff": dict(format="TIFF", compression=how)
            for how in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
        },
    }
    found = {}
    for name, options in wanted.items():
        file = io.BytesIO()
        try:
            image.save(file, **options)  # type: ignore[arg-type]
        except Exception:  # as above; no Pillow writes all of these camera data into a TIFF file
            continue
        found[name] = file.getvalue()
    return found


def _exif() -> bytes:
    """Camera data: turned by a quarter, a resolution divided by zero, a text where a number belongs."""
    entries = [
        struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0),
        struct.pack("<HHII", 0x011A, 5, 1, 8 + 2 + 3 * 12 + 4),
        struct.pack("<HHI4s", 0x0128, 2, 2, b"x\0\0\0"),
    ]
    return (
        b"Exif\0\0II*\0" + struct.pack("<IH", 8, 3) + b"".join(entries) + bytes(4) + struct.pack("<II", 72, 0)
    )


def read_image(folder: Path, rng: random.Random) -> None:
    from gluon_nrm.data.images.decoding import centre_square, decode, to_array
    from gluon_nrm.predict.find_images import find_images
    from gluon_nrm.predict.images import read_pixels
    from gluon_nrm.predict.manifest import CALLER, Input

    (path,) = list(folder.iterdir()) or [folder / "gone.png"]
    choice = rng.randrange(4)
    if choice == 0:
        to_array(centre_square(decode(path, path, rng.choice(("RGB", "L", ""))), 9, 8))
    elif choice == 1 and path.is_file():
        with open(path, "rb") as file:
            decode(io.BytesIO(file.read(10_000_000)), path, "RGB")
    else:
        channels = rng.choice((1, 3))
        given = Input(
            "data", [None, channels, 8, 8], "float32", [0, 255], CALLER, [1.0] * channels, [1.0] * channels
        )
        for found in find_images([str(folder)]):
            read_pixels(found, given, resize=choice == 2)


TARGETS = [Target("image", images, read_image, share=2.0)]
