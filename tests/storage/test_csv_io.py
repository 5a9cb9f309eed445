"""CSV: every row as long as the header, every typed column read, or the line and the column named."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path
from typing import Dict

import pytest
from fakes import ROOT

from gluon_nrm.errors import DataError, RunError
from gluon_nrm.report.published import PUBLISHED, read_published
from gluon_nrm.runs.tables import read_csv as read_table
from gluon_nrm.storage.csv_io import Kind, choice, integer, number, optional_number, read_csv

KINDS: Dict[str, Kind] = {
    "name": str,
    "n": integer,
    "x": number,
    "y": optional_number,
    "done": choice({"yes": True, "no": False}),
}
HEAD = b"name,n,x,y,done,more\n"
WHOLE = HEAD + b'"a, ""b""\nc",-3,1e-3,,yes,\n\nd,4,.5,2,no,z\r\n'


def test_rows_are_typed_and_know_their_line(tmp_path: Path) -> None:
    for mark in (b"", b"\xef\xbb\xbf"):
        (tmp_path / "a.csv").write_bytes(mark + WHOLE)
        assert read_csv(tmp_path / "a.csv", RunError, KINDS) == [
            (3, {"name": 'a, "b"\nc', "n": -3, "x": 0.001, "y": None, "done": True, "more": ""}),
            (5, {"name": "d", "n": 4, "x": 0.5, "y": 2.0, "done": False, "more": "z"}),
        ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "a.csv is damaged: column 'name' is missing in its first line"),
        (b"name,n,x,y\n", "column 'done' is missing in its first line"),
        (HEAD[:-1] + b",n\n", "column 'n' is there twice"),
        (HEAD + b"a,1,1\n", "a.csv:2: 3 cells instead of 6"),
        (HEAD + b"a,1,1,1,yes,,,\n", "a.csv:2: 8 cells instead of 6"),
        (HEAD + b"a,1.0,1,1,yes,\n", "a.csv:2: column 'n' must be an integer, found '1.0'"),
        (HEAD + b"a,1_0,1,1,yes,\n", "column 'n' must be an integer, found '1_0'"),
        (HEAD + b"a," + b"9" * 5000 + b",1,1,yes,\n", "column 'n' must be an integer, found '9999"),
        (HEAD + b"a,1,nan,1,yes,\n", "column 'x' must be a number, found 'nan'"),
        (HEAD + b"a,1,inf,1,yes,\n", "column 'x' must be a number, found 'inf'"),
        (HEAD + b"a,1,1e999,1,yes,\n", "column 'x' must be a finite number, found '1e999'"),
        (HEAD + b"a,1,,1,yes,\n", "column 'x' must be a number, found ''"),
        (HEAD + b"a,1,1, ,yes,\n", "column 'y' must be a number, found ' '"),
        (HEAD + b"a,1,1,1,\x1b[2J,\n", r"column 'done' must be yes or no, found '\\x1b\[2J'"),
        (HEAD + b"\xff,1,1,1,yes,\n", "is damaged: it is not UTF-8"),
        (WHOLE.decode().encode("utf-16"), "is damaged: it is not UTF-8"),
        (HEAD + b'"a,1,1,1,yes,\n', "is damaged: it is not CSV"),
        (HEAD + b"a" * 200_000 + b",1,1,1,yes,\n", "is damaged: it is not CSV"),
    ],
)
def test_a_fault_is_named_by_line_and_column(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(DataError, match=message) as caught:
        read_csv(tmp_path / "a.csv", DataError, KINDS)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).endswith("; put it back as it was")


def test_changed_bytes_end_in_an_error_or_in_rows(tmp_path: Path) -> None:
    rng, path = random.Random(0), tmp_path / "a.csv"
    for read, source in ((read_table, ROOT / "results" / "digits.csv"), (read_published, PUBLISHED)):
        lines = source.read_bytes().splitlines(keepends=True)
        whole = b"".join(lines[:8])
        for _ in range(150):
            data = bytearray(whole)
            for _ in range(rng.randint(1, 4)):
                data[rng.randrange(len(data))] = rng.choice(b'\x00\xff,,""\n\r0123456789eE+-.\\x')
            path.write_bytes(data)
            with suppress(RunError):
                read(path)


def test_the_tables_of_the_package_are_read() -> None:
    assert read_published(PUBLISHED)
    for name in ("digits", "digits_fast", "path_norm", "skip_connections"):
        assert all(row["seed"] >= 0 for row in read_table(ROOT / "results" / f"{name}.csv"))
