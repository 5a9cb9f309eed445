"""Read numeric arrays of a MATLAB file of version 5; scipy's reader crashes on damaged files.

A file is a header of 128 bytes, followed by elements: a tag of kind and length, then the contents, compressed
or not. An array is an element of four elements: flags with its class, shape, name and values.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Dict, Iterator, Sequence, Tuple, Union

import numpy as np

from gluon_nrm.data.images.read_errors import read_errors
from gluon_nrm.storage.files import open_file

HEADER = 128
CHUNK = 1 << 16
MATRIX, COMPRESSED = 14, 15
#: Classes of numeric arrays; lower ones are cells, structures, objects, strings and sparse arrays.
NUMERIC = range(6, 16)
COMPLEX = 0x0800
#: numpy's type of each kind of values.
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}

Content = Union[bytes, bytearray, memoryview]


def read_arrays(path: Path, names: Sequence[str], most: int) -> Dict[str, np.ndarray]:
    """Return the arrays called ``names`` that exist, in their stored type.

    Args:
        path: a MATLAB file of version 5.
        names: names of arrays.
        most: largest size of the unpacked file in bytes.

    Raises:
        DataError: the file cannot be read, is damaged, is larger, or holds anything but numeric arrays.
    """
    with read_errors(path, "a MATLAB file", ValueError, struct.error), open_file(path) as file:
        return {name: array for name, array in _arrays(file, most) if name in names}


def _arrays(file: BinaryIO, most: int) -> Iterator[Tuple[str, np.ndarray]]:
    """Yield name and array of each element. Raises ValueError, zlib.error or struct.error if damaged."""
    order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}.get(file.read(HEADER)[-4:])
    if order is None:
        raise ValueError("it is not of MATLAB's version 5")
    left = most
    for tag in iter(lambda: file.read(8), b""):
        kind, length = struct.unpack(f"{order}II", tag)
        content: Content
        if kind == COMPRESSED:
            content = memoryview(_unpacked(file, length, left))
            left -= len(content)
            kind, length = struct.unpack(f"{order}II", content[:8])
            content = content[8 : 8 + length]
        else:
            content = file.read(min(length, left + 1))
            left -= len(content)
        if left < 0:
            raise ValueError(f"it unpacks to more than the {most} bytes that are expected")
        if len(content) < length:
            raise ValueError("it ends too early")
        if kind != MATRIX:
            raise ValueError("it holds something else than arrays of numbers")
        yield _array(content, order)


def _unpacked(file: BinaryIO, length: int, most: int) -> bytearray:
    """Unpack a compressed element; stop above ``most`` bytes."""
    unpack, data = zlib.decompressobj(), bytearray()
    while length > 0 and len(data) <= most:
        packed = file.read(min(length, CHUNK))
        if not packed:
            raise ValueError("it ends too early")
        length -= len(packed)
        while packed and len(data) <= most:
            data += unpack.decompress(packed, CHUNK)
            packed = unpack.unconsumed_tail
    return data


def _array(content: Content, order: str) -> Tuple[str, np.ndarray]:
    """Return name and values of a matrix."""
    place, (_, flags) = _part(content, 0, order)
    (word,) = struct.unpack(f"{order}I", flags[:4])
    if word & 0xFF not in NUMERIC or word & COMPLEX:
        raise ValueError("it holds something else than arrays of numbers")
    place, (_, dimensions) = _part(content, place, order)
    shape = np.frombuffer(dimensions, dtype=f"{order}i4").tolist()
    place, (_, name) = _part(content, place, order)
    place, (kind, values) = _part(content, place, order)
    if kind not in TYPES:
        raise ValueError(f"it holds values of the unknown kind {kind}")
    array = np.frombuffer(values, dtype=f"{order}{TYPES[kind]}")
    if min(shape, default=-1) < 0 or len(shape) > 8 or array.size != np.prod(shape, dtype=object):
        raise ValueError(f"it holds {array.size} values for an array of shape {tuple(shape)}")
    return bytes(name).decode("latin-1"), array.reshape(shape, order="F")


def _part(content: Content, place: int, order: str) -> Tuple[int, Tuple[int, Content]]:
    """Return the place of the next element, and kind and contents of the element at ``place``."""
    (kind,) = struct.unpack(f"{order}I", content[place : place + 4])
    length, start = kind >> 16, place + 4
    after = place + 8
    if length:  # up to 4 bytes are in the tag itself
        kind &= 0xFFFF
    else:
        (length,) = struct.unpack(f"{order}I", content[place + 4 : place + 8])
        start, after = place + 8, place + 8 + length + -length % 8
    if start + length > len(content):
        raise ValueError("it ends too early")
    return after, (kind, content[start : start + length])
