"""Errors that other papers report, read from ``results/published.csv``."""

from __future__ import annotations

from pathlib import Path
from typing import List, Mapping, NamedTuple, Optional

from gluon_nrm.errors import RunError
from gluon_nrm.storage import csv_io
from gluon_nrm.storage.json_io import PUT_BACK


class Published(NamedTuple):
    """One reported cell of a table."""

    method: str  # the row
    source: str
    table: str
    column: str
    value: Optional[float]  # test error in per cent; None if it is not available
    std: Optional[float]
    #: "seen": read in a copy of the source; "cited": as usually cited, not read again; "": not available
    status: str
    run: bool  # this package runs the method


def read_published(path: Path) -> List[Published]:
    """Read all cells, in the order of the file and of the tables' rows.

    Raises:
        RunError: the file cannot be read, or a line of it is damaged.
    """
    cells = []
    for line, row in csv_io.read_csv(path, RunError, _KINDS):
        if (row["status"] in ("seen", "cited")) != (row["value"] is not None):
            raise RunError(f"{path}:{line}: a value and its status need each other; {PUT_BACK}")
        cells.append(Published(*(row[name] for name in Published._fields)))
    return cells


#: Types of the columns.
_KINDS: Mapping[str, csv_io.Kind] = {
    "method": str,
    "source": str,
    "table": str,
    "column": str,
    "value": csv_io.optional_number,
    "std": csv_io.optional_number,
    "status": csv_io.choice({"seen": "seen", "cited": "cited", "": ""}),
    "run": csv_io.choice({"yes": True, "no": False}),
}
