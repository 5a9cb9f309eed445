"""Errors that other papers report, and those in the logs of the authors, read from files beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import List, Mapping, NamedTuple, Optional

from gluon_nrm.errors import RunError
from gluon_nrm.storage import csv_io
from gluon_nrm.storage.json_io import PUT_BACK

#: What other papers report.
PUBLISHED = Path(__file__).with_name("published.csv")
#: What the authors' notebooks log.
LOGGED = Path(__file__).with_name("logged.csv")


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


def read_published(path: Path = PUBLISHED) -> List[Published]:
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


class Logged(NamedTuple):
    """The best test error in the log of one of the authors' runs, of a cell of a table."""

    method: str
    table: str
    column: str
    value: float  # per cent
    finished: bool  # False: the log ends before the last epoch


def read_logged(path: Path = LOGGED) -> List[Logged]:
    """Read all logged errors.

    Raises:
        RunError: the file cannot be read, or a line of it is damaged.
    """
    kinds: Mapping[str, csv_io.Kind] = {
        "method": str,
        "table": str,
        "column": str,
        "value": csv_io.number,
        "finished": csv_io.choice({"yes": True, "no": False}),
    }
    rows = csv_io.read_csv(path, RunError, kinds)
    return [Logged(*(row[name] for name in Logged._fields)) for _, row in rows]


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
