"""Figures that others report, from one file: ``results/published.csv``."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import List, NamedTuple, Optional

from gluon_nrm.errors import RunError
from gluon_nrm.files import os_errors, read_file


class Published(NamedTuple):
    """One cell of a table as its source gives it."""

    method: str  # the row
    source: str
    table: str
    column: str
    value: Optional[float]  # test error in per cent; None where it is not available
    std: Optional[float]
    #: "seen": read in a copy of the source; "cited": as usually cited, not read again; "": not available
    status: str
    run: bool  # whether this package runs the method


def read_published(path: Path) -> List[Published]:
    """Read all cells, in the order of the file, which is that of the tables' rows.

    Raises:
        RunError: the file cannot be read, or a line of it is damaged.
    """
    with os_errors(RunError, "read", path):
        reader = csv.DictReader(io.StringIO(read_file(path).decode("utf-8")))
    cells = []
    for number, row in enumerate(reader, start=2):
        try:
            value, std = (float(row[name]) if row[name] else None for name in ("value", "std"))
            if (row["status"] in ("seen", "cited")) != (value is not None) or row["run"] not in ("yes", "no"):
                raise ValueError
            texts = (row["method"], row["source"], row["table"], row["column"])
            cells.append(Published(*texts, value, std, row["status"], row["run"] == "yes"))
        except (KeyError, TypeError, ValueError):
            raise RunError(f"{path}:{number}: no published figure ({dict(row)}); put the file back") from None
    return cells
