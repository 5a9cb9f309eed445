"""Detect damaged images even if Pillow is set to accept them.

Importing GluonCV sets ``ImageFile.LOAD_TRUNCATED_IMAGES`` for the whole process; Pillow then fills missing
pixels with black. Other threads may depend on this switch, so it is only read here. If it is set, the
decoders of each image are wrapped to report damage.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Tuple

from PIL import Image, ImageFile

_PREFIX = "gluon_nrm watches "
#: Reports damage itself, and is not looked up by its name in the image's list.
_STRICT = "libtiff"


def watch(image: Any) -> None:
    """Make ``load()`` of an opened image raise OSError for damaged or missing data."""
    tiles = getattr(image, "tile", None)
    if not ImageFile.LOAD_TRUNCATED_IMAGES or not tiles:
        return
    for tile in tiles:
        # adds names of our own to Pillow's table of decoders and changes no other
        if tile[0] != _STRICT:
            watched: Any = partial(_WatchedDecoder, tile[0])
            Image.register_decoder(_PREFIX + tile[0], watched)
    image.tile = [_renamed(tile) for tile in tiles]
    if image.format in ("JPEG", "MPO"):
        # Pillow's own method would append a missing end
        image.load_read = image.fp.read


def _renamed(tile: Tuple[Any, ...]) -> Tuple[Any, ...]:
    """Put the watched decoder's name into an entry of the image's list (a named tuple in new Pillows)."""
    if tile[0] == _STRICT:
        return tile
    values = (_PREFIX + tile[0], *tile[1:])
    return values if type(tile) is tuple else type(tile)(*values)


class _WatchedDecoder:
    """A decoder of Pillow that always reports damage."""

    def __init__(self, name: str, mode: str, *args: Any) -> None:
        self._decoder: Any = Image._getdecoder(mode, name, args)
        self._ended = False

    def __getattr__(self, name: str) -> Any:
        """Pass on all other attributes: ``setimage``, ``setfd``, ``pulls_fd``."""
        return getattr(self._decoder, name)

    def decode(self, data: bytes) -> Tuple[int, int]:
        """Decode some data; return the number of bytes used (below 0: the image is complete) and 0.

        Raises:
            OSError: the data is damaged.
        """
        used, code = self._decoder.decode(data)
        self._ended = used < 0 or self._decoder.pulls_fd or code < 0
        if code < 0:
            raise OSError(f"the decoder stopped with error {code}")
        return used, code

    def cleanup(self) -> None:
        """Release the decoder after the last data.

        Raises:
            OSError: the image is not complete.
        """
        self._decoder.cleanup()
        if not self._ended:
            raise OSError("image file is truncated")
