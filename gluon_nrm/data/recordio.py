"""Images in MXNet's RecordIO files, as its im2rec writes them: NAME.rec with the index NAME.idx."""

from __future__ import annotations

import io
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np
from PIL import Image

from gluon_nrm.data.pictures import decode
from gluon_nrm.data.reading import UNREADABLE, reading
from gluon_nrm.errors import DataError
from gluon_nrm.files import is_file, open_file, read_file

MAGIC = struct.pack("<I", 0xCED7230A)
_FRAME = struct.Struct("<4sI")  # magic number; 3 bits of what part of a record this is, 29 of its length
_HEADER = struct.Struct("<IfQQ")  # number of further labels, label, key, second key
#: Bytes of an index: that of ImageNet has 26 million.
LARGEST_INDEX = 2**31
#: Threads that read labels: a disk answers many small requests at once.
READERS = 16


class Record(NamedTuple):
    """One image, still encoded."""

    label: float
    image: bytes


class RecordFile:
    """The images of NAME.rec in the order of NAME.idx; only the index is kept in memory.

    Reading goes by position (``pread``), so that threads do not disturb each other.

    Raises
    ------
    DataError  A file cannot be read, or the index is damaged or of another file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path, "a RecordIO file"):
            self._file = open_file(path, buffering=0)
            self._descriptor = self._file.fileno()
            size = os.fstat(self._descriptor).st_size
        self.keys, self.starts = _read_index(path.with_suffix(".idx"), size)
        ends = np.append(np.sort(self.starts), size)
        self.ends = ends[np.searchsorted(ends, self.starts, side="right")]

    def __del__(self) -> None:
        """Close the file."""
        if hasattr(self, "_file"):
            self._file.close()

    def __len__(self) -> int:
        """Number of images."""
        return len(self.starts)

    def where(self, index: int) -> str:
        """How messages name an image."""
        return f"{self.path}, record {self.keys[index]}"

    def picture(self, index: int, mode: str = "RGB") -> Image.Image:
        """Return an image, of the size it was stored with."""
        return decode(io.BytesIO(self.record(index).image), self.where(index), mode)

    def record(self, index: int, most: Optional[int] = None) -> Record:
        """Read a record, or no more than its ``most`` first bytes.

        Raises
        ------
        DataError  It is damaged.
        """
        start, length = int(self.starts[index]), int(self.ends[index] - self.starts[index])
        with reading(self.where(index), "a record"):
            data = os.pread(self._descriptor, length if most is None else min(length, most), start)
        content = b"".join(_parts(data, self.where(index), most is not None))
        if len(content) < _HEADER.size:
            raise DataError(f"{self.where(index)}: only {len(content)} bytes; {UNREADABLE}")
        labels, label, _, _ = _HEADER.unpack_from(content)
        if labels > 1:
            raise DataError(f"{self.where(index)}: {labels} labels; an image needs one class")
        if labels == 1:
            (label,) = struct.unpack_from("<f", content, _HEADER.size)
        return Record(label, content[_HEADER.size + 4 * labels :])

    def labels(self) -> np.ndarray:
        """Class of every image, (N,) int64: from NAME.lst where im2rec left it, else from the records.

        Raises
        ------
        DataError  A label is no whole number of 0 or more, or NAME.lst is of other files.
        """
        listed = self.path.with_suffix(".lst")
        values = self._listed(listed) if is_file(listed, DataError) else self._stored()
        if not (np.isfinite(values).all() and (values == np.rint(values)).all() and (values >= 0).all()):
            bad = np.flatnonzero(~((values == np.rint(values)) & (values >= 0)))[0]
            raise DataError(f"{self.where(bad)}: label {values[bad]}; expected a whole number of 0 or more")
        return values.astype(np.int64)

    def _stored(self) -> np.ndarray:
        """The labels in the records' headers, (N,)."""
        first = _FRAME.size + _HEADER.size + 4
        with ThreadPoolExecutor(READERS) as threads:
            found = threads.map(lambda index: self.record(index, first).label, range(len(self)))
            return np.fromiter(found, dtype=np.float64, count=len(self))

    def _listed(self, path: Path) -> np.ndarray:
        """The labels in im2rec's list, lines of key, label and path with tabs between; the first is tried."""
        with reading(path, "a list of im2rec", ValueError), open_file(path) as file:
            lines = io.TextIOWrapper(file, encoding="utf-8")
            fields = (line.rstrip("\n").split("\t") for line in lines)
            by_key: Dict[int, float] = {int(each[0]): float(each[1]) for each in fields if len(each) == 3}
        absent = [key for key in self.keys.tolist() if key not in by_key]
        if absent or by_key[int(self.keys[0])] != self.record(0).label:
            raise DataError(f"{path} is not the list of {self.path}; remove it, or make both again")
        return np.array([by_key[key] for key in self.keys.tolist()])


def _parts(data: bytes, where: str, beginning: bool) -> Iterator[bytes]:
    """Yield the parts of one record: it is split where its content looks like the magic number.

    With ``beginning``, ``data`` may end within the first part.
    """
    place, kind = 0, 0
    while True:
        if len(data) < place + _FRAME.size or data[place : place + 4] != MAGIC:
            raise DataError(f"{where} does not begin with RecordIO's magic number; {UNREADABLE}")
        kind, length = divmod(_FRAME.unpack_from(data, place)[1], 1 << 29)
        place += _FRAME.size
        if len(data) < place + length and not beginning:
            raise DataError(f"{where}: {len(data) - place} of {length} bytes; {UNREADABLE}")
        yield data[place : place + length]
        if beginning or kind in (0, 3):  # whole, or the last part
            return
        yield MAGIC
        place += length + -length % 4


def _read_index(path: Path, size: int) -> Tuple[np.ndarray, np.ndarray]:
    """Keys and places of the records, (N,) int64 each, from lines of key and place with a tab between."""
    if not is_file(path, DataError):
        raise DataError(
            f"{path} is missing; im2rec writes it beside the .rec file; make both again"
        )
    with reading(path, "an index of im2rec", ValueError, OverflowError):
        words: List[bytes] = read_file(path, LARGEST_INDEX).split()
        table = np.array(words, dtype=np.int64).reshape(-1, 2)
    keys, starts = table.T
    sound = len(keys) and starts.min() >= 0 and starts.max() + _FRAME.size <= size
    if not sound or len(np.unique(starts)) < len(starts):
        raise DataError(f"{path} is not the index of {path.with_suffix('.rec')}; make both again")
    return keys, np.ascontiguousarray(starts)
