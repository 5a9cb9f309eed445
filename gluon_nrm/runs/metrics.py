"""Metrics file of a run, ``metrics.jsonl``: one JSON object per line, one line per epoch.

A line is on the disk before ``append`` returns. A process killed within ``append`` leaves an incomplete last
line, which is ignored when the file is read and cut off by ``mend``. Other damage is an error.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

from gluon_nrm.errors import RunError
from gluon_nrm.storage.files import open_file, os_errors, read_bounded, read_file, write_bytes
from gluon_nrm.storage.json_io import SourceFile, parse_json

Row = Dict[str, Any]

#: Prefixes of the keys whose values are numbers.
NUMBERS = ("error/", "loss/", "clustering/")
#: Most bytes of a file: many years of epochs.
LARGEST = 2**28


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Append one row and wait until it is on the disk; numbers that are not finite are stored as null.

    Raises:
        RunError: the line cannot be written; the file is then as it was before.
    """
    text = json.dumps({key: plain(value) for key, value in row.items()}, allow_nan=False)
    line = f"{text}\n".encode("utf-8")
    with os_errors(RunError, "write to", path), open_file(path, "ab", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            rest = memoryview(line)
            while rest:
                # an unbuffered write may write a part only; the next one raises the reason
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except BaseException:
            os.ftruncate(file.fileno(), size)
            raise


def plain(value: Any) -> Any:
    """Convert a NumPy scalar to a Python number, and NaN and infinities to None; return others unchanged."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read(path: Path) -> List[Row]:
    """Read all complete rows, oldest first.

    Raises:
        RunError: the file is missing or unreadable, or a line other than an incomplete last one is no row.
    """
    return [row for row, _ in _read_lines(path)]


def truncate(path: Path, epochs: int) -> None:
    """Keep the rows of the first ``epochs`` epochs and cut off an incomplete last line, atomically.

    Raises:
        RunError: as ``read``, or the file cannot be replaced.
    """
    kept = b"".join(line + b"\n" for row, line in _read_lines(path) if row["epoch"] <= epochs)
    _replace_if_different(path, kept)


def mend(path: Path) -> None:
    """Cut off an incomplete last line, so that the next append starts a new line.

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
        # the last line may be complete but for its line end
        epoch = found[-1][0]["epoch"] if found else 0
        return [*found, (_parse(last, path, len(lines) + 1, epoch), last)]
    except RunError:
        return found


def _parse(line: bytes, path: Path, number: int, before: int) -> Row:
    """Parse one row: an object with an epoch greater than ``before``."""
    source = SourceFile(f"{path}:{number}: this line", RunError, "mend or remove it")
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
