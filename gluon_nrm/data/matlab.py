"""Numeric arrays of a MATLAB file of version 5, whose size is known before anything of it is unpacked."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Dict, Sequence, Tuple

import numpy as np

from gluon_nrm.data.reading import reading
from gluon_nrm.files import open_file

HEADER = 128
CHUNK = 1 << 16
MATRIX, COMPRESSED = 14, 15
#: Bytes of an element that tell its kind: two tags of 8 bytes, then flags with the class.
BEGINNING = 20
#: Classes of arrays of numbers; cells, structures, objects, strings and sparse arrays come before them.
NUMERIC = range(6, 16)
COMPLEX = 0x0800


def read_arrays(path: Path, names: Sequence[str], most: int) -> Dict[str, np.ndarray]:
    """Return those of the arrays called ``names`` that are there.

    Parameters
    ----------
    most  Bytes to which all of the file may unpack.

    Raises
    ------
    DataError  The file cannot be read, is damaged, or holds more or anything but arrays of numbers.
    """
    # Imported here, so that no other data set needs it; it is slow to import.
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    damage = (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, MatReadError, struct.error)
    with reading(path, "a MATLAB file", *damage), open_file(path) as file:
        _check_elements(file, most)
        file.seek(0)
        found = loadmat(file, variable_names=list(names))
    return {name: np.asarray(found[name]) for name in names if name in found}


def _check_elements(file: BinaryIO, most: int) -> None:
    """Check every element of the file.

    Raises
    ------
    ValueError, zlib.error, struct.error  It is damaged, unpacks to too much, or is no array of numbers.
    """
    version = file.read(HEADER)[-4:]
    order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}.get(version)
    if order is None:
        raise ValueError("it is not of MATLAB's version 5")
    total = 0
    for tag in iter(lambda: file.read(8), b""):
        kind, length = struct.unpack(f"{order}II", tag)
        if kind == COMPRESSED:
            beginning, size = _unpacked(file, length, most - total)
        else:
            place = file.tell()
            beginning, size = tag + file.read(BEGINNING - 8), length
            file.seek(place + length)
        total += size
        if total > most:
            raise ValueError(f"it unpacks to more than the {most} bytes that are expected")
        kind, _, _, _, flags = struct.unpack(f"{order}5I", beginning[:BEGINNING])
        if kind != MATRIX or flags & 0xFF not in NUMERIC or flags & COMPLEX:
            raise ValueError("it holds something else than arrays of numbers")


def _unpacked(file: BinaryIO, length: int, most: int) -> Tuple[bytes, int]:
    """Beginning of a compressed element, and the bytes it unpacks to; counting ends above ``most``."""
    unpack, beginning, size = zlib.decompressobj(), b"", 0
    while length > 0 and size <= most:
        packed = file.read(min(length, CHUNK))
        if not packed:
            raise ValueError("it ends too early")
        length -= len(packed)
        while packed and size <= most:
            data = unpack.decompress(packed, CHUNK)
            packed = unpack.unconsumed_tail
            beginning, size = (beginning + data)[:BEGINNING], size + len(data)
    return beginning, size
