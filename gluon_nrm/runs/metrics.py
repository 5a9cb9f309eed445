"""The metrics file of a run, ``metrics.jsonl``: one JSON object a line, one line an epoch.

A line is appended and flushed to the disk before anything else happens. A process killed while it appends
leaves a torn last line; it is passed over when reading and cut off by ``mend``. Other damage is reported.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

from gluon_nrm.errors import RunError
from gluon_nrm.storage.files import open_file, os_errors, read_bounded, read_file, write_bytes
from gluon_nrm.storage.json_io import Source, parse_json

Row = Dict[str, Any]

#: Beginnings of the keys whose values are numbers.
NUMBERS = ("error/", "loss/")
#: Bytes of the longest file that is read: many years of epochs.
LARGEST = 2**28


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Add one row and wait until it is on the disk; numbers that are not finite are stored as null.

    Raises:
        RunError: the line cannot be written; what was written of it is taken back.
    """
    text = json.dumps({key: plain(value) for key, value in row.items()}, allow_nan=False)
    line = f"{text}\n".encode("utf-8")
    with os_errors(RunError, "write to", path), open_file(path, "ab", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            rest = memoryview(line)
            while rest:
                # An unbuffered write may take only a part; the next one then gives the reason.
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except BaseException:
            os.ftruncate(file.fileno(), size)
            raise


def plain(value: Any) -> Any:
    """A number as JSON knows it: numpy scalars unwrapped, NaN and infinities None; others as they are."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read(path: Path) -> List[Row]:
    """All whole rows, oldest first.

    Raises:
        RunError: the file is missing or unreadable, or a line other than a torn last one is no row.
    """
    return [row for row, _ in _read_lines(path)]


def truncate(path: Path, epochs: int) -> None:
    """Keep the rows of the first ``epochs`` epochs and cut off a torn last line; one atomic replacement.

    Raises:
        RunError: as ``read``, or the file cannot be replaced.
    """
    kept = b"".join(line + b"\n" for row, line in _read_lines(path) if row["epoch"] <= epochs)
    _replace_if_different(path, kept)


def mend(path: Path) -> None:
    """Cut off a torn last line, so that the next append starts a line of its own.

    Raises:
        RunError: as ``read``, or the file cannot be replaced.
    """
    _replace_if_different(path, b"".join(line + b"\n" for _, line in _read_lines(path)))


def _replace_if_different(path: Path, data: bytes) -> None:
    with os_errors(RunError, "write", path):
        if read_file(path) != data:
            write_bytes(path, data)


def _read_lines(path: Path) -> List[Tuple[Row, bytes]]:
    *lines, last = read_bounded(path, RunError, LARGEST).split(b"\n")
    found: List[Tuple[Row, bytes]] = []
    for number, line in enumerate(lines, start=1):
        found.append((_parse(line, path, number, found[-1][0]["epoch"] if found else 0), line))
    try:
        # Without its line end the last line is torn, unless just the line end is missing.
        epoch = found[-1][0]["epoch"] if found else 0
        return [*found, (_parse(last, path, len(lines) + 1, epoch), last)]
    except RunError:
        return found


def _parse(line: bytes, path: Path, number: int, before: int) -> Row:
    """One row: an object of numbers, strings, booleans and null, with an epoch after ``before``."""
    source = Source(f"{path}:{number}: this line", RunError, "mend or remove it")
    row = parse_json(line, source)
    if not isinstance(row, dict):
        source.damaged("it holds no JSON object")
    # bool is a kind of int
    if type(row.get("epoch")) is not int or row["epoch"] < 1:
        source.damaged("epoch must be an integer of at least 1")
    if row["epoch"] <= before:
        source.damaged("epoch must rise from line to line")
    for key, value in row.items():
        if key.startswith(NUMBERS):
            # null: it was not finite
            source.expect(type(value) in (int, float, type(None)), "a number or null", key)
    return row
