"""Read images in MXNet's RecordIO files of im2rec: NAME.rec with the index NAME.idx."""

from __future__ import annotations

import io
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Iterator, NamedTuple, Optional, Tuple

import numpy as np
from PIL import Image

from gluon_nrm.data.images.decoding import decode
from gluon_nrm.data.images.read_errors import UNREADABLE, read_errors
from gluon_nrm.data.readers.record_index import read_index, read_list
from gluon_nrm.data.sets.contents import hash_bytes
from gluon_nrm.data.sets.identities import Identities, identify
from gluon_nrm.errors import DataError
from gluon_nrm.storage.files import is_file, open_file

MAGIC = struct.pack("<I", 0xCED7230A)
_FRAME = struct.Struct("<4sI")  # magic number; 3 bits: part of a record, 29 bits: its length
_HEADER = struct.Struct("<IfQQ")  # number of further labels, label, key, second key
#: Beginning of a record in one part: frame, header and first further label.
_BEGINNING = np.dtype([("magic", "S4"), ("frame", "<u4"), ("further", "<u4"), ("label", "<f4"),
                       ("key", "<u8"), ("second", "<u8"), ("first", "<f4")])  # fmt: skip
#: Number of threads that read labels; disks serve many small requests at once.
READERS = 16
#: Number of records whose labels a thread reads at a time.
CHUNK = 4096
#: Number of labels compared with NAME.lst at the start; the others are compared when images are read.
COMPARED = 50_000
#: Largest image in bytes.
LARGEST = 2**28

_AGAIN = "make NAME.rec and NAME.idx again with im2rec"


class Record(NamedTuple):
    """One encoded image."""

    label: float
    image: bytes
    key: int


class RecordFile:
    """Images of NAME.rec in the order of NAME.idx; only the index is kept in memory.

    Several threads may read at once (``pread``).

    Raises:
        DataError: a file cannot be read, or the index is damaged, of another file or repeats a key.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with read_errors(path, "a RecordIO file"):
            self._file = open_file(path, buffering=0)
            self._descriptor = self._file.fileno()
            size = os.fstat(self._descriptor).st_size
        self.keys, self.starts = read_index(path.with_suffix(".idx"), size)
        ends = np.append(np.sort(self.starts), size)
        self.ends = ends[np.searchsorted(ends, self.starts, side="right")]
        self._listed: Optional[np.ndarray] = None

    def __del__(self) -> None:
        """Close the file."""
        if hasattr(self, "_file"):
            self._file.close()

    def __len__(self) -> int:
        """Number of images."""
        return len(self.starts)

    def identities(self) -> Identities:
        """Return key, size of the record and check sum of every image.

        Raises:
            DataError: a record cannot be read.
        """
        lengths = self.ends - self.starts

        def read(index: int) -> bytes:
            """Read the bytes of one record."""
            with read_errors(self.where(index), "a record"):
                return os.pread(self._descriptor, int(lengths[index]), int(self.starts[index]))

        names = tuple(map(str, self.keys.tolist()))
        return identify(self.path, names, lambda index: int(lengths[index]), read)

    def content_hashes(self) -> Tuple[str, ...]:
        """Hash the encoded images; raises as ``record``."""
        return tuple(hash_bytes(self.record(index).image) for index in range(len(self)))

    def where(self, index: int) -> str:
        """Name an image in messages."""
        return f"{self.path}, record {self.keys[index]}"

    def picture(self, index: int, mode: str = "RGB") -> Image.Image:
        """Decode an image in its stored size.

        Raises:
            DataError: it is damaged, or its label differs from NAME.lst.
        """
        record = self.record(index)
        if self._listed is not None:
            self._compare(index, record.label, record.key)
        return decode(io.BytesIO(record.image), self.where(index), mode)

    def record(self, index: int) -> Record:
        """Read a record.

        Raises:
            DataError: it is damaged, or other bytes follow before the next record of the index.
        """
        start, length = int(self.starts[index]), int(self.ends[index] - self.starts[index])
        if length > LARGEST:
            raise DataError(f"{self.where(index)}: {length} bytes to the next one in NAME.idx; {_AGAIN}")
        with read_errors(self.where(index), "a record"):
            data = os.pread(self._descriptor, length, start)
        content = MAGIC.join(_parts(data, self.where(index)))
        if len(content) < _HEADER.size:
            raise DataError(f"{self.where(index)}: only {len(content)} bytes; {UNREADABLE}")
        further, label, key, _ = _HEADER.unpack_from(content)
        if further > 1:
            raise DataError(f"{self.where(index)}: {further} labels; an image needs one class")
        if further == 1:
            if len(content) < _HEADER.size + 4:
                raise DataError(f"{self.where(index)}: only {len(content)} bytes; {UNREADABLE}")
            (label,) = struct.unpack_from("<f", content, _HEADER.size)
        return Record(label, content[_HEADER.size + 4 * further :], key)

    def labels(self) -> np.ndarray:
        """Return the class of every image, (N,) int64, from NAME.lst or else from the records.

        ``COMPARED`` labels of NAME.lst are compared with the records now, and the others as images are read.

        Raises:
            DataError: a label is no integer of 0 or more, or NAME.lst does not agree with the records.
        """
        listed = self.path.with_suffix(".lst")
        if not is_file(listed, DataError):
            return self._classes(self._headers(np.arange(len(self)))[0])
        keys, labels = read_list(listed)
        order = np.argsort(keys)
        places = np.minimum(np.searchsorted(keys, self.keys, sorter=order), max(0, len(keys) - 1))
        absent = np.ones(len(self), bool) if len(keys) == 0 else keys[order[places]] != self.keys
        if absent.any():
            raise DataError(
                f"{listed} is not the list of {self.path}: key {self.keys[absent.argmax()]} is not in it; "
                "remove it, or make both again"
            )
        self._listed = self._classes(labels[order[places]])
        some = np.unique(np.linspace(0, len(self) - 1, min(len(self), COMPARED)).astype(np.int64))
        stored, stored_keys = self._headers(some)
        for at in np.flatnonzero((stored != self._listed[some]) | (stored_keys != self.keys[some]))[:1]:
            self._compare(int(some[at]), float(stored[at]), int(stored_keys[at]))
        return self._listed

    def _compare(self, index: int, label: float, key: int) -> None:
        """Compare label and key of a record with NAME.lst and NAME.idx.

        Raises:
            DataError: they differ.
        """
        listed = self.path.with_suffix(".lst")
        if self._listed is not None and label != self._listed[index]:
            raise DataError(
                f"{listed} is not the list of {self.path}: key {self.keys[index]} has label "
                f"{self._listed[index]} in it, and the record has {label:g}; remove the list to take the "
                "labels of the records, or make both again"
            )
        if key != self.keys[index]:
            raise DataError(
                f"{self.where(index)}: the record itself has key {key}; remove {listed} to take the labels "
                "of the records, or make all three files again"
            )

    def _classes(self, labels: np.ndarray) -> np.ndarray:
        """Convert labels to int64.

        Raises:
            DataError: a label is no integer of 0 or more.
        """
        with np.errstate(invalid="ignore"):
            bad = ~((labels == np.rint(labels)) & (labels >= 0) & (labels < 2**31))
        for index in np.flatnonzero(bad)[:1]:
            raise DataError(
                f"{self.where(index)}: label {labels[index]}; expected an integer from 0 to 2147483647"
            )
        return labels.astype(np.int64)

    def _headers(self, indices: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Read labels (n,) float64 and keys (n,) int64 from the records at ``indices``."""
        chunks = [indices[start : start + CHUNK] for start in range(0, len(indices), CHUNK)]
        with ThreadPoolExecutor(READERS) as threads:
            labels, keys = zip(*threads.map(self._some_headers, chunks))
        return np.concatenate(labels), np.concatenate(keys)

    def _some_headers(self, indices: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Read labels (n,) float64 and keys (n,) int64 in one thread."""
        starts, size = self.starts[indices], _BEGINNING.itemsize
        with read_errors(self.path, "a RecordIO file"):
            data = [os.pread(self._descriptor, size, start).ljust(size, b"\0") for start in starts.tolist()]
        found = np.frombuffer(b"".join(data), dtype=_BEGINNING)
        kind, length = np.divmod(found["frame"].astype(np.int64), 1 << 29)
        ends = starts + _FRAME.size + length + -length % 4
        least = _HEADER.size + 4 * found["further"].astype(np.int64)
        plain = (found["magic"] == MAGIC) & (kind == 0) & (ends == self.ends[indices])
        plain &= (found["further"] <= 1) & (length >= least)
        labels = np.where(found["further"] == 1, found["first"], found["label"]).astype(np.float64)
        keys = found["key"].astype(np.int64)
        # records in several parts, or damaged ones, are read one by one; damage raises here
        for at in np.flatnonzero(~plain).tolist():
            record = self.record(int(indices[at]))
            labels[at], keys[at] = record.label, np.uint64(record.key).astype(np.int64)
        return labels, keys


def count_classes(labels: np.ndarray, path: Path) -> int:
    """Count the classes of the training records, which must be 0, 1, 2, ...

    Raises:
        DataError: a class between the first and the last has no record.
    """
    highest = int(labels.max())
    there = np.unique(labels)
    if len(there) <= highest:
        absent = np.flatnonzero(there != np.arange(len(there)))[0]
        raise DataError(
            f"{path}: labels go up to {highest}, and no record has label {absent}; number the classes 0, 1, "
            "2, ... without gaps"
        )
    return highest + 1


def _parts(data: bytes, where: str) -> Iterator[bytes]:
    """Yield the parts of one record; RecordIO splits a record at each magic number in its content."""
    place, kinds = 0, (0, 1)  # whole, or the first part
    while True:
        if len(data) < place + _FRAME.size or data[place : place + 4] != MAGIC:
            raise DataError(f"{where} does not begin with RecordIO's magic number; {UNREADABLE}")
        kind, length = divmod(_FRAME.unpack_from(data, place)[1], 1 << 29)
        if kind not in kinds:
            raise DataError(f"{where} begins within a record, or ends too early; {UNREADABLE}")
        place += _FRAME.size
        if len(data) < place + length:
            raise DataError(f"{where}: {len(data) - place} of {length} bytes; {UNREADABLE}")
        yield data[place : place + length]
        place += length + -length % 4
        if kind in (0, 3):  # whole, or the last part
            break
        kinds = (2, 3)
    if place != len(data):
        raise DataError(f"{where}: {len(data) - place} bytes after it are in no record of NAME.idx; {_AGAIN}")
