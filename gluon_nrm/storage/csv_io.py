"""The one reader of CSV: every row as long as the header, every typed column read or named."""

from __future__ import annotations

import csv
import io
import math
import re
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NoReturn, Optional, Tuple, Type

from gluon_nrm.errors import NRMError
from gluon_nrm.storage.files import read_bounded
from gluon_nrm.storage.json_io import PUT_BACK, Source

#: Largest file in bytes.
LARGEST = 16 * 2**20

Kind = Callable[[str], Any]
"""Converts a cell, or raises ValueError with what it must be."""


def read_csv(
    path: Path, error: Type[NRMError], kinds: Mapping[str, Kind], *, remedy: str = PUT_BACK
) -> List[Tuple[int, Dict[str, Any]]]:
    """Read a CSV file in UTF-8 whose first line names the columns.

    Args:
        path: the file.
        error: class of the error to raise.
        kinds: how to convert the cells of the columns that must be there; other columns stay strings.
        remedy: what the error says to do.

    Returns:
        Each row with the number of its line.

    Raises:
        NRMError: of the given class; the file is missing, unreadable, too large or damaged. The message names
            the line and the column.
    """
    source = Source(str(path), error, remedy)
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
        source.damaged(f"it is no CSV ({str(problem)[:80]})")


def _check_header(header: List[str], kinds: Mapping[str, Kind], source: Source) -> None:
    """Check that all columns are there, each once."""
    for name in kinds:
        if name not in header:
            source.damaged(f"column {name!r} is missing in its first line")
    repeated = next((name for name in header if header.count(name) > 1), None)
    if repeated is not None:
        source.damaged(f"column {repeated[:40]!r} is there twice")


def _row(cells: List[str], header: List[str], kinds: Mapping[str, Kind], source: Source) -> Dict[str, Any]:
    """The cells of a line by column, converted."""
    if len(cells) != len(header):
        _refuse(source, f"{len(cells)} cells in place of {len(header)}")
    row: Dict[str, Any] = dict(zip(header, cells))
    for name, kind in kinds.items():
        try:
            row[name] = kind(row[name])
        except ValueError as problem:
            _refuse(source, f"column {name!r} must be {problem}, found {row[name][:40]!r}")
    return row


def _refuse(source: Source, what: str) -> NoReturn:
    raise source.error(f"{source.where}: {what}; {source.remedy}")


def integer(text: str) -> int:
    """An integer of no more digits than 64 bits have."""
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError("an integer")
    return int(text)


def number(text: str) -> float:
    """A finite number in decimal."""
    if not re.fullmatch(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", text[:400]):
        raise ValueError("a number")
    value = float(text[:400])
    if not math.isfinite(value):
        raise ValueError("a finite number")
    return value


def optional_number(text: str) -> Optional[float]:
    """A finite number; None where the cell is empty."""
    return number(text) if text else None


def choice(values: Mapping[str, Any]) -> Kind:
    """Make a kind of a few words."""

    def convert(text: str) -> Any:
        if text not in values:
            raise ValueError(" or ".join(word or "empty" for word in values))
        return values[text]

    return convert
