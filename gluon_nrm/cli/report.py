"""Write the report of one run or several as one HTML file: settings, curves, errors by class, pictures.

gluon-nrm report runs/digits_maxmin_mt-s0
gluon-nrm report runs/digits_* --out digits.html
"""

from __future__ import annotations

import argparse
from typing import Sequence

from gluon_nrm.console.tool import ToolParser, place
from gluon_nrm.report.run_report import write_report


def main(arguments: Sequence[str]) -> int:
    """Write the report and print its path."""
    options = _parser().parse_args(arguments)
    print(write_report(options.runs, options.out))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser("report", __doc__)
    parser.add_argument("runs", nargs="+", type=place, metavar="RUN", help="a run folder, finished or not")
    default = "report.html in the run's folder, or of several runs in this one"
    parser.add_argument("--out", type=place, metavar="FILE", help=f"HTML file (default: {default})")
    return parser
