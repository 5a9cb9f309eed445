"""Writing and reading of NAME-0000.params, MXNet's file of named arrays.

MXNet trusts such a file: a length in it may have the process reserve 23 GB or end it. So every length is
compared with what the file holds, and MXNet is given the finished arrays. Written by hand, a full disk is an
error like any other, and the folder may have any name.

The file: a number for the format, zero, the arrays, the names. Lists and strings begin with their length. An
array is a number for its version, its kind (0: dense), its shape, its device (kind, number), its type, its
values. Integers are little-endian.
"""

from __future__ import annotations

import struct
from typing import Any, Dict, List, Mapping, Tuple

import numpy as np

from gluon_nrm.errors import DeployError

Array = np.ndarray

FILE, ARRAY = 0x112, 0xF993FAC9
DENSE, CPU = 0, 1
#: Types of an export's arrays, by MXNet's number.
TYPES: Dict[int, Any] = {0: np.dtype("<f4"), 3: np.dtype("u1"), 4: np.dtype("<i4"), 5: np.dtype("i1")}
MOST_AXES = 8
PREFIXES = ("arg:", "aux:")


def to_bytes(arrays: Mapping[str, Array]) -> bytes:
    """Convert named arrays to the bytes that ``mx.nd.save`` writes."""
    numbers = {kind: number for number, kind in TYPES.items()}
    parts = [struct.pack("<QQQ", FILE, 0, len(arrays))]
    for array in arrays.values():
        values = np.ascontiguousarray(array)
        head = struct.pack(f"<Iii{values.ndim}q", ARRAY, DENSE, values.ndim, *values.shape)
        parts += [head, struct.pack("<iii", CPU, 0, numbers[values.dtype]), values.tobytes()]
    parts.append(struct.pack("<Q", len(arrays)))
    for name in arrays:
        encoded = name.encode("utf-8")
        parts += [struct.pack("<Q", len(encoded)), encoded]
    return b"".join(parts)


def from_bytes(data: bytes, where: str) -> Dict[str, Array]:
    """Read the named arrays of an export; they share the memory of ``data``.

    Args:
        data: the whole file.
        where: how messages name it.

    Raises:
        DeployError: it is no such file, is cut short or longer than it says, or holds what no export does.
    """
    try:
        arrays = read_arrays(data, TYPES)
        for name in arrays:
            if not name.startswith(PREFIXES):
                raise DamagedArraysError(f"the name {name!r} does not begin with {' or '.join(PREFIXES)}")
        return arrays
    except DamagedArraysError as problem:
        raise DeployError(f"{where}: MXNet cannot read it ({problem}); export the run again") from None


def read_arrays(data: bytes, types: Mapping[int, Any]) -> Dict[str, Array]:
    """Read named arrays; they share the memory of ``data``. Without names, the result is empty.

    Args:
        data: the whole file.
        types: accepted types of arrays, by MXNet's number.

    Raises:
        DamagedArraysError: it is no such file, or is cut short or longer than it says.
    """
    reader = _Reader(data)
    if reader.numbers("QQ") != (FILE, 0):
        raise DamagedArraysError("it does not begin like a file of arrays")
    arrays = [_array(reader, place, types) for place in range(reader.count(4 + 4 + 4))]
    names = [reader.text() for _ in range(reader.count(8))]
    reader.end()
    return _by_name(arrays, names)


class DamagedArraysError(Exception):
    """The file is damaged; the message names the reason."""


class _Reader:
    """Reads values one after the other; reading past the end is an error."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def take(self, length: int) -> int:
        """Skip a number of bytes and return the offset of the first."""
        place = self._place
        if length > len(self._data) - place:
            left = len(self._data) - place
            raise DamagedArraysError(f"{length} bytes are wanted at {place}, and {left} are left")
        self._place = place + length
        return place

    def numbers(self, kinds: str) -> Tuple[Any, ...]:
        """Read numbers in a format of ``struct``."""
        return struct.unpack_from(f"<{kinds}", self._data, self.take(struct.calcsize(f"<{kinds}")))

    def count(self, least: int) -> int:
        """Read the length of a list; each item takes at least a given number of bytes."""
        (count,) = self.numbers("Q")
        if count * least > len(self._data) - self._place:
            raise DamagedArraysError(f"a list of {count} items is longer than the file")
        return int(count)

    def text(self) -> str:
        """Read a string."""
        length = self.count(1)
        place = self.take(length)
        try:
            return self._data[place : place + length].decode("utf-8")
        except UnicodeDecodeError:
            raise DamagedArraysError("a name is not UTF-8") from None

    def values(self, kind: np.dtype, shape: Tuple[int, ...]) -> Array:
        """Read the values of an array."""
        count = 1
        for length in shape:
            count *= length
        place = self.take(count * kind.itemsize)
        return np.frombuffer(self._data, kind, count, place).reshape(shape)

    def end(self) -> None:
        """Check that the end is reached."""
        if self._place != len(self._data):
            raise DamagedArraysError(f"{len(self._data) - self._place} bytes follow its end")


def _array(reader: _Reader, place: int, types: Mapping[int, Any]) -> Array:
    version, kind, axes = reader.numbers("Iii")
    if (version, kind) != (ARRAY, DENSE) or not 1 <= axes <= MOST_AXES:
        raise DamagedArraysError(f"array {place} is no dense array of 1 to {MOST_AXES} axes")
    shape = reader.numbers(f"{axes}q")
    device, _, number = reader.numbers("iii")
    if min(shape) < 1 or device != CPU or number not in types:
        raise DamagedArraysError(f"array {place} has a shape, device or type that is not accepted")
    return reader.values(types[number], shape)


def _by_name(arrays: List[Array], names: List[str]) -> Dict[str, Array]:
    if not names:  # as MXNet writes a list
        return {}
    if len(names) != len(arrays) or len(set(names)) != len(names):
        raise DamagedArraysError(f"{len(arrays)} arrays have {len(set(names))} names")
    return dict(zip(names, arrays))
