"""Print a table of finished runs: mean and standard deviation of the test error over seeds.

python tools/table.py runs/digits_*-s? [--csv results/digits.csv]
python tools/table.py results/digits.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Sequence

import _checkout  # noqa: F401  (first: finds gluon_nrm)

from gluon_nrm.cli import run_tool
from gluon_nrm.report.tables import collect, group_mean_std, read_csv, to_markdown, write_csv


def main(arguments: Sequence[str]) -> int:
    """Print the table; 0 if every folder could be read."""
    options = _parser().parse_args(arguments)
    tables = [path for path in options.runs if path.suffix == ".csv"]
    rows = collect([path for path in options.runs if path not in tables])
    for path in tables:
        rows += read_csv(path)
    print(to_markdown(group_mean_std(rows)), end="")
    if options.csv is not None:
        write_csv(rows, options.csv)
        print(f"\n{len(rows)} runs in {options.csv}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Print the mean and standard deviation of runs over their seeds."
    )
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="a run folder, or a table written with --csv"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write one line a run to this file")
    return parser


if __name__ == "__main__":
    run_tool(main)
