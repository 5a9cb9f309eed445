"""Draw the curves of a run while it trains or afterwards, or the curves of several runs in one figure.

gluon-nrm plot runs/digits_maxmin_mt-s0                                 draws figures/curves.png of the run
gluon-nrm plot runs/digits_mt-s0 runs/digits_maxmin_mt-s0 --out both.png
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Sequence

from gluon_nrm.console.tool import ToolParser, place
from gluon_nrm.errors import RunError
from gluon_nrm.runs.curves import draw_curves
from gluon_nrm.runs.open_run import load_run
from gluon_nrm.runs.overlay_figure import plot_runs, read_curves
from gluon_nrm.storage.files import exists

#: File of several runs, if none is given.
DEFAULT = Path("curves.png")


def main(arguments: Sequence[str]) -> int:
    """Draw the figure and print its path."""
    options = _parser().parse_args(arguments)
    runs = [load_run(path) for path in options.runs]
    if len(runs) == 1:
        print(draw_curves(runs[0], options.out))
        return 0
    if options.out is None and exists(DEFAULT, RunError):
        raise RunError(f"{DEFAULT} is there already; name another file with --out, or the same to replace it")
    out = options.out or DEFAULT
    plot_runs(read_curves(runs), out)
    print(out)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser("plot", __doc__)
    parser.add_argument("runs", nargs="+", type=place, metavar="RUN", help="folder of a run, finished or not")
    parser.add_argument(
        "--out",
        type=place,
        metavar="FILE",
        help="PNG (default: figures/curves.png of the run; of several runs a new curves.png here)",
    )
    return parser
