"""Damaged images stay errors in a process that has asked Pillow to be silent about them.

``ImageFile.LOAD_TRUNCATED_IMAGES`` belongs to the whole process, and importing GluonCV sets it: what is
missing of an image is then black. It is read here and never written, since other threads may depend on it.
Where it is set, the decoders of an image are watched, each for itself.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Tuple

from PIL import Image, ImageFile

_PREFIX = "gluon_nrm watches "
#: Refuses damaged data itself, and is not looked up by the name in the image's list.
_STRICT = "libtiff"


def watch(image: Any) -> None:
    """Have ``load()`` of an opened image raise OSError where data is damaged or missing."""
    tiles = getattr(image, "tile", None)
    if not ImageFile.LOAD_TRUNCATED_IMAGES or not tiles:
        return
    for tile in tiles:
        # adds names of our own to Pillow's table of decoders; no other name changes its meaning
        if tile[0] != _STRICT:
            watched: Any = partial(_WatchedDecoder, tile[0])
            Image.register_decoder(_PREFIX + tile[0], watched)
    image.tile = [_renamed(tile) for tile in tiles]
    if image.format in ("JPEG", "MPO"):
        # Pillow's own would append the end that a file lacks
        image.load_read = image.fp.read


def _renamed(tile: Tuple[Any, ...]) -> Tuple[Any, ...]:
    """An entry of the image's list with the name of the watched decoder; newer Pillows name its fields."""
    if tile[0] == _STRICT:
        return tile
    values = (_PREFIX + tile[0], *tile[1:])
    return values if type(tile) is tuple else type(tile)(*values)


class _WatchedDecoder:
    """One of Pillow's decoders, with an error where Pillow may have been told to go on without one."""

    def __init__(self, name: str, mode: str, *args: Any) -> None:
        self._decoder: Any = Image._getdecoder(mode, name, args)
        self._ended = False

    def __getattr__(self, name: str) -> Any:
        """Pass on what is not watched: ``setimage``, ``setfd``, ``pulls_fd``."""
        return getattr(self._decoder, name)

    def decode(self, data: bytes) -> Tuple[int, int]:
        """Decode some data, and return how much was used (below 0: the image is complete) and 0.

        Raises
        ------
        OSError  The data is damaged.
        """
        used, code = self._decoder.decode(data)
        self._ended = used < 0 or self._decoder.pulls_fd or code < 0
        if code < 0:
            raise OSError(f"the decoder stopped with error {code}")
        return used, code

    def cleanup(self) -> None:
        """Release the decoder after the last data.

        Raises
        ------
        OSError  Data is missing: the image is not complete.
        """
        self._decoder.cleanup()
        if not self._ended:
            raise OSError("image file is truncated")
