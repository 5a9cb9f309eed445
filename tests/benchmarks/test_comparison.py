"""Files and figures that comparisons of recipes share."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Optional

import pytest
from fakes import ROOT

from benchmarks.comparison import mean_deviation, read_lines, shipped, write_lines
from benchmarks.photos.compare import Row
from benchmarks.photos.compare import table as photos_table
from gluon_nrm.errors import RunError


class Measurement(NamedTuple):
    name: str
    seed: int
    error: float
    share: Optional[float]


def test_lines_survive_the_file(tmp_path: Path) -> None:
    """Byte by byte, an empty cell for what was not measured; no file has no lines."""
    path, lines = tmp_path / "lines.csv", [Measurement("a", 0, 0.1, 12.5), Measurement("b", 1, 3.0, None)]
    write_lines(path, Measurement, lines)
    assert path.read_text(encoding="utf-8") == "name,seed,error,share\na,0,0.1,12.5\nb,1,3.0,\n"
    assert read_lines(path, Measurement) == lines
    assert read_lines(tmp_path / "none.csv", Measurement) == []


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lines.csv"
    path.write_text("name,seed,error,share\na,0,0.1,\nb,one,3.0,\n", encoding="utf-8")
    with pytest.raises(RunError, match=r"lines.csv:3: column 'seed' must be an integer, found 'one'"):
        read_lines(path, Measurement)
    with pytest.raises(RunError, match="write"):
        write_lines(tmp_path / "none" / "lines.csv", Measurement, [])


def test_the_kept_comparison_of_photos_is_written_as_it_was(tmp_path: Path) -> None:
    kept = ROOT / "results" / "photos.csv"
    rows = read_lines(kept, Row)
    write_lines(tmp_path / "photos.csv", Row, rows)
    assert (tmp_path / "photos.csv").read_bytes() == kept.read_bytes()
    assert photos_table(rows).count("\n") == 5


def test_mean_and_sample_deviation() -> None:
    assert mean_deviation([4.0, 6.0]) == "5.00 ± 1.41" and mean_deviation([2.5], 1) == "2.5 ± 0.0"


def test_a_shipped_recipe_with_another_key() -> None:
    assert shipped("digits_supervised", "data.labels=100").data.labels == 100
