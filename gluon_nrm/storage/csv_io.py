"""Read CSV files with typed columns; an error names line and column."""

from __future__ import annotations

import csv
import io
import math
import re
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NoReturn, Optional, Tuple, Type

from gluon_nrm.errors import NRMError
from gluon_nrm.storage.files import read_bounded
from gluon_nrm.storage.json_io import PUT_BACK, SourceFile

#: Largest file in bytes.
LARGEST = 16 * 2**20

Kind = Callable[[str], Any]
"""Converts a cell, or raises ValueError with the expected kind."""


def read_csv(
    path: Path, error: Type[NRMError], kinds: Mapping[str, Kind], *, remedy: str = PUT_BACK
) -> List[Tuple[int, Dict[str, Any]]]:
    """Read a CSV file in UTF-8 whose first line names the columns.

    Args:
        path: the file.
        error: class of the error to raise.
        kinds: converters of the required columns; other columns stay strings.
        remedy: remedy for the message of an error.

    Returns:
        Each row with the number of its line.

    Raises:
        NRMError: of the given class; the file is missing, unreadable, too large or damaged. The message names
            the line and the column.
    """
    source = SourceFile(str(path), error, remedy)
    data = read_bounded(path, error, LARGEST)
    try:
        reader = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        header = next(reader, [])
        _check_header(header, kinds, source)
        return [
            (reader.line_num, _row(cells, header, kinds, source._replace(where=f"{path}:{reader.line_num}")))
            for cells in reader
            if cells
        ]
    except UnicodeDecodeError:
        source.damaged("it is not UTF-8")
    except csv.Error as problem:
        source.damaged(f"it is not CSV ({str(problem)[:80]})")


def _check_header(header: List[str], kinds: Mapping[str, Kind], source: SourceFile) -> None:
    """Check that no required column is missing and none is repeated."""
    for name in kinds:
        if name not in header:
            source.damaged(f"column {name!r} is missing in its first line")
    repeated = next((name for name in header if header.count(name) > 1), None)
    if repeated is not None:
        source.damaged(f"column {repeated[:40]!r} is there twice")


def _row(
    cells: List[str], header: List[str], kinds: Mapping[str, Kind], source: SourceFile
) -> Dict[str, Any]:
    """Convert the cells of a line."""
    if len(cells) != len(header):
        _refuse(source, f"{len(cells)} cells instead of {len(header)}")
    row: Dict[str, Any] = dict(zip(header, cells))
    for name, kind in kinds.items():
        try:
            row[name] = kind(row[name])
        except ValueError as problem:
            _refuse(source, f"column {name!r} must be {problem}, found {row[name][:40]!r}")
    return row


def _refuse(source: SourceFile, what: str) -> NoReturn:
    raise source.error(f"{source.where}: {what}; {source.remedy}")


def integer(text: str) -> int:
    """Convert a cell to an integer of 64 bits."""
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError("an integer")
    return int(text)


def number(text: str) -> float:
    """Convert a cell to a finite number."""
    if not re.fullmatch(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", text[:400]):
        raise ValueError("a number")
    value = float(text[:400])
    if not math.isfinite(value):
        raise ValueError("a finite number")
    return value


def optional_number(text: str) -> Optional[float]:
    """Convert a cell to a finite number, or None if it is empty."""
    return number(text) if text else None


def choice(values: Mapping[str, Any]) -> Kind:
    """Make a converter of a few words to their values."""

    def convert(text: str) -> Any:
        """Look a cell up in ``values``."""
        if text not in values:
            raise ValueError(" or ".join(word or "empty" for word in values))
        return values[text]

    return convert
