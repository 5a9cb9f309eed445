"""Hashes of the contents of images, which tell equal images from different ones without their names."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple, Tuple

import numpy as np

from gluon_nrm.errors import DataError
from gluon_nrm.storage.files import os_errors
from gluon_nrm.storage.hashes import blake2b_of_file

#: Bytes of a hash.
_SIZE = 16


class Contents(NamedTuple):
    """Contents of images, in the order in which a data set holds them."""

    place: str
    """Folder or list of the files; empty if the images come from no file."""
    hashes: Tuple[str, ...]
    """Hash of each image, in hexadecimal digits."""
    names: Tuple[str, ...] = ()
    """Name of each image; empty if the images come from no file."""

    @property
    def digest(self) -> str:
        """Hash of all hashes, in order."""
        return hash_bytes("".join(self.hashes).encode("ascii"))


def hash_bytes(data: bytes) -> str:
    """Hash some bytes."""
    return hashlib.blake2b(data, digest_size=_SIZE).hexdigest()


def hash_file(path: Path) -> str:
    """Hash the contents of a file.

    Raises:
        DataError: it cannot be read.
    """
    with os_errors(DataError, "read", path):
        return blake2b_of_file(path, _SIZE)


def hash_pixels(images: np.ndarray) -> Tuple[str, ...]:
    """Hash the pixels of each image of ``images`` (N, C, H, W)."""
    return tuple(hash_bytes(np.ascontiguousarray(image).tobytes()) for image in images)
