"""The comparison of the forms of path normalisation: its file and its table."""

from __future__ import annotations

from pathlib import Path

from benchmarks.comparison import read_lines, write_lines
from benchmarks.prior.compare_forms import Line, table


def test_lines_survive_the_file_and_the_table_has_means_and_spreads(tmp_path: Path) -> None:
    """Mean and sample standard deviation by hand; a form without runs has no row."""
    lines = [Line("none", 50, 0, 4.0, 0.5, 10.0), Line("none", 50, 1, 6.0, 0.7, 20.0)]
    lines.append(Line("sampled", 100, 0, 2.5, 0.25, 55.0))
    write_lines(tmp_path / "lines.csv", Line, lines)
    assert read_lines(tmp_path / "lines.csv", Line) == lines
    assert read_lines(tmp_path / "other.csv", Line) == []
    rows = table(lines).splitlines()
    assert rows[2] == "| none | 50 | 2 | 5.00 ± 1.41 | 0.600 ± 0.141 | 15.0 ± 7.1 |"
    assert rows[3] == "| sampled | 100 | 1 | 2.50 ± 0.00 | 0.250 ± 0.000 | 55.0 ± 0.0 |" and len(rows) == 4
