"""Names by which the images of a data set are told apart, wherever it lies."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Callable, NamedTuple, Protocol, Sequence, Tuple

#: Largest number of images whose sizes are asked for and whose names are stored in a run.
MOST_LISTED = 50_000
#: Bytes up to which the contents are read for their check sums.
MOST_SUMMED = 2**28


class Identities(NamedTuple):
    """The names of some images, in the order of the images."""

    where: Path
    """The folder or file that holds them."""
    names: Tuple[str, ...]
    sizes: Tuple[int, ...] = ()
    """Bytes of each; empty where there are more than ``MOST_LISTED``, as asking would take long."""
    sums: Tuple[int, ...] = ()
    """Check sum of the contents of each; empty where there is more than ``MOST_SUMMED`` to read."""


class Identified(Protocol):
    """A list of images that knows their names."""

    def identities(self) -> Identities:
        """Name every image."""


def identify(
    where: Path, names: Tuple[str, ...], size: Callable[[int], int], read: Callable[[int], bytes]
) -> Identities:
    """Name images, with their sizes and check sums where that takes no longer than a moment.

    Parameters
    ----------
    size, read  Bytes, and contents, of the image at a position.
    """
    if len(names) > MOST_LISTED:
        return Identities(where, names)
    sizes: Sequence[int] = [size(index) for index in range(len(names))]
    if sum(sizes) > MOST_SUMMED:
        return Identities(where, names, tuple(sizes))
    sums = (zlib.crc32(read(index)) for index in range(len(names)))
    return Identities(where, names, tuple(sizes), tuple(sums))
