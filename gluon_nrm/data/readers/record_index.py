"""Read and check the index and the list of a RecordIO file: NAME.idx and NAME.lst of im2rec."""

from __future__ import annotations

from array import array
from functools import partial
from pathlib import Path
from typing import Tuple

import numpy as np

from gluon_nrm.data.images.read_errors import read_errors
from gluon_nrm.errors import DataError
from gluon_nrm.storage.files import is_file, open_file, read_file

#: Smallest record in bytes: magic number and length, then the header of im2rec.
SMALLEST = 8 + 24
#: Largest line of the index in bytes: two numbers of at most 20 digits.
INDEX_LINE = 42
#: Largest line of the list in bytes; its path has at most 4096.
LIST_LINE = 10_000

RENUMBER = "number the lines of NAME.lst 0, 1, 2, ... and make NAME.rec and NAME.idx again with im2rec"


def read_index(path: Path, size: int) -> Tuple[np.ndarray, np.ndarray]:
    """Read NAME.idx (lines of key, tab, start) of a NAME.rec of ``size`` bytes.

    Returns:
        Keys and starts of the records, (N,) int64 each.

    Raises:
        DataError: it is missing, damaged or of another file, or repeats a key.
    """
    if not is_file(path, DataError):
        raise DataError(f"{path} is missing; im2rec writes it beside the .rec file; make both again")
    most = (size // SMALLEST + 1) * INDEX_LINE
    with read_errors(path, "an index of im2rec", ValueError, OverflowError):
        table = np.array(read_file(path, most).split(), dtype=np.int64).reshape(-1, 2)
    keys, starts = table.T
    sound = len(keys) and starts.min() == 0 and starts.max() <= size - SMALLEST and not (starts % 4).any()
    if not sound or len(np.unique(starts)) < len(starts):
        raise DataError(f"{path} is not the index of {path.with_suffix('.rec')}; make both again")
    check_unique(keys, path)
    return keys, np.ascontiguousarray(starts)


def read_list(path: Path) -> Tuple[np.ndarray, np.ndarray]:
    """Read NAME.lst, lines of key, label and path with tabs between; the path may have any encoding.

    Returns:
        Keys (N,) int64 and labels (N,) float64.

    Raises:
        DataError: a line is damaged, or a key is repeated.
    """
    keys, labels = array("q"), array("d")
    with read_errors(path, "a list of im2rec", ValueError, OverflowError), open_file(path) as file:
        for number, line in enumerate(iter(partial(file.readline, LIST_LINE), b""), start=1):
            fields = line.split(b"\t")
            if len(fields) != 3 and line.strip():
                raise DataError(f"{path}:{number}: {len(fields)} fields; expected a key, a label and a path")
            if len(fields) == 3:
                keys.append(int(fields[0]))
                labels.append(float(fields[1]))
    found = np.array(keys, dtype=np.int64)
    check_unique(found, path)
    return found, np.array(labels, dtype=np.float64)


def check_unique(keys: np.ndarray, path: Path) -> None:
    """Check that no key is repeated, so that each has one label.

    Raises:
        DataError: the message names the first such key.
    """
    ordered = np.sort(keys)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(repeated):
        raise DataError(f"{path}: key {repeated[0]} is repeated; {RENUMBER}")
