"""Names, sizes and check sums of the images of a data set, independent of its folder."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Callable, NamedTuple, Protocol, Sequence, Tuple

#: Largest number of images whose sizes are read and whose names are stored in a run.
MOST_LISTED = 50_000
#: Largest total size in bytes for which check sums are computed.
MOST_SUMMED = 2**28


class Identities(NamedTuple):
    """Names, sizes and check sums of images, in the order of the images."""

    where: Path
    """Folder or file that holds the images."""
    names: Tuple[str, ...]
    sizes: Tuple[int, ...] = ()
    """Bytes of each image; empty for more than ``MOST_LISTED`` images."""
    sums: Tuple[int, ...] = ()
    """CRC-32 of each image; empty for more than ``MOST_SUMMED`` bytes."""


class Identified(Protocol):
    """Images that have names."""

    def identities(self) -> Identities:
        """Return the names of all images."""

    def content_hashes(self) -> Tuple[str, ...]:
        """Hash the encoded contents of all images."""


def identify(
    where: Path, names: Tuple[str, ...], size: Callable[[int], int], read: Callable[[int], bytes]
) -> Identities:
    """Collect names, sizes and check sums, up to ``MOST_LISTED`` images and ``MOST_SUMMED`` bytes.

    Args:
        where: folder or file that holds the images.
        names: names of the images.
        size: returns the size in bytes of the image at a position.
        read: returns the contents of the image at a position.
    """
    if len(names) > MOST_LISTED:
        return Identities(where, names)
    sizes: Sequence[int] = [size(index) for index in range(len(names))]
    if sum(sizes) > MOST_SUMMED:
        return Identities(where, names, tuple(sizes))
    sums = (zlib.crc32(read(index)) for index in range(len(names)))
    return Identities(where, names, tuple(sizes), tuple(sums))
