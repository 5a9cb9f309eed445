"""Read ``.npz`` files; headers are checked before memory is allocated.

numpy trusts the shape in an array's header, and a compressed entry may unpack to a thousand times its size.
This reader accepts uncompressed entries alone, as this package writes them. Each entry must have the size
that its header states, and all entries together must fit into the file.
"""

from __future__ import annotations

import ast
import math
import re
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, Dict, NamedTuple, Tuple, Type, Union

import numpy as np

from gluon_nrm.errors import NRMError
from gluon_nrm.storage.files import os_errors

#: Longest header in bytes; usual ones have 128.
LONGEST_HEADER = 4096
#: Most entries in a file, and most dimensions of an array.
MOST_ENTRIES, MOST_DIMENSIONS = 100_000, 32

#: Numbers, booleans and strings of fixed length; not objects, which are stored as pickles.
_DTYPE = re.compile(r"[<>|=]?(?:[biufc](?:1|2|4|8|16)|[SU][0-9]{1,6})\Z")


class Header(NamedTuple):
    """Type and shape of an array, from its header."""

    dtype: "np.dtype[Any]"
    shape: Tuple[int, ...]
    column_major: bool


def read_npz(
    path: Union[Path, IO[bytes]], error: Type[NRMError], where: str = ""
) -> Dict[str, "np.ndarray[Any, Any]"]:
    """Read all arrays of a ``.npz`` file by name.

    Args:
        path: the file, or an open one.
        error: class of the error to raise.
        where: name of the file in messages; empty: its path.

    Raises:
        NRMError: of the given class; the file cannot be read or holds anything but plain arrays.
    """
    where = where or str(path)
    try:
        with os_errors(error, "read", Path(where)), zipfile.ZipFile(path) as archive:
            return _read_entries(archive)
    except (
        ValueError, TypeError, SyntaxError, LookupError, RecursionError, MemoryError, OverflowError,
        NotImplementedError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error,
    ) as problem:  # fmt: skip
        reason = str(problem).splitlines()[0][:120] if str(problem) else "it is too large"
        raise error(f"{where} holds no arrays: {reason}") from problem


def _read_entries(archive: zipfile.ZipFile) -> Dict[str, "np.ndarray[Any, Any]"]:
    """Check the list of entries against the length of the file, then read each entry.

    Raises:
        ValueError: the list or an entry is damaged.
    """
    entries = archive.infolist()
    assert archive.fp is not None
    length = archive.fp.seek(0, 2)
    if len(entries) > MOST_ENTRIES or len({info.filename for info in entries}) < len(entries):
        raise ValueError("entries have the same name, or are too many")
    for info in entries:
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise ValueError(f"{info.filename[:60]!r} is compressed or encrypted")
        if not info.filename.endswith(".npy"):
            raise ValueError(f"{info.filename[:60]!r} is no array")
    if sum(info.file_size for info in entries) > length:
        raise ValueError("its entries are longer than the file")
    found = {}
    for info in entries:
        with archive.open(info) as file:
            found[info.filename[: -len(".npy")]] = _read_array(file, info.file_size)
    return found


def _read_array(file: IO[bytes], size: int) -> "np.ndarray[Any, Any]":
    """Read an array of ``size`` bytes with its header.

    Raises:
        ValueError: the header is damaged or does not fit the size.
    """
    start, header = read_header(file)
    expected = header.dtype.itemsize * math.prod(header.shape)
    if size - start != expected:
        raise ValueError(f"an array of {expected} bytes in {size - start}")
    data = file.read(expected)
    # The checksum of the entry is compared when its end is read.
    if len(data) != expected or file.read(1):
        raise ValueError("an array is cut off")
    array = np.frombuffer(data, header.dtype).copy()
    return array.reshape(header.shape, order="F" if header.column_major else "C")


def read_header(file: IO[bytes]) -> Tuple[int, Header]:
    """Read the header of a ``.npy`` stream; return its length in bytes and its contents.

    Raises:
        ValueError: it is no header of a plain array.
    """
    magic = file.read(8)
    if magic[:6] != b"\x93NUMPY" or magic[6:] not in (b"\x01\x00", b"\x02\x00", b"\x03\x00"):
        raise ValueError("an entry is no array")
    width = 2 if magic[6] == 1 else 4
    length = int.from_bytes(file.read(width), "little")
    if length > LONGEST_HEADER:
        raise ValueError("the header of an array is too long")
    fields = ast.literal_eval(file.read(length).decode("utf-8").strip())
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise ValueError("the header of an array has other keys")
    name, shape, column_major = fields["descr"], fields["shape"], fields["fortran_order"]
    if not isinstance(name, str) or not _DTYPE.match(name):
        raise ValueError(f"an array of {str(name)[:40]!r}, not of numbers or strings")
    whole = isinstance(shape, tuple) and all(type(side) is int and 0 <= side < 2**48 for side in shape)
    if not whole or len(shape) > MOST_DIMENSIONS or type(column_major) is not bool:
        raise ValueError("the shape of an array is none")
    return 8 + width + length, Header(np.dtype(name), shape, column_major)
