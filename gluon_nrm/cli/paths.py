"""Count the rendering paths of the training images in finished runs, and compare the runs.

gluon-nrm paths runs/digits_nrm-s0
gluon-nrm paths runs/digits_nrm-s? runs/digits_nrm_rpn-s? --csv paths.csv --plot paths.png
"""

from __future__ import annotations

import argparse
from typing import Sequence

from gluon_nrm.console.tool import ToolParser, add_data_dir, place
from gluon_nrm.probability.close_paths import CLOSE
from gluon_nrm.report.path_figures import plot_paths
from gluon_nrm.report.path_prior import measure_path_prior
from gluon_nrm.report.paths import comparison, run_table, study, write_paths_csv
from gluon_nrm.training.restore import restore


def main(arguments: Sequence[str]) -> int:
    """Print a table for each run and, for several runs, a comparison."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not 0 < options.close < float("inf"):
        parser.error(f"--close {options.close:g}: give a number above 0, such as {CLOSE:g}")
    if options.sweeps < 0:
        parser.error(f"--sweeps: {options.sweeps}; give at least 1, or 0 to leave log Z out")
    runs = []
    for path in options.runs:
        restored = restore(path, devices=options.devices, data_dir=options.data_dir)
        runs.append(study(restored, options.close))
        print(run_table(runs[-1]), flush=True)
        if options.sweeps:
            print(measure_path_prior(restored, options.sweeps), flush=True)
        print()
    if len(runs) > 1:
        print(comparison(runs))
    if options.csv is not None:
        write_paths_csv(runs, options.csv)
        print(f"\n{len(runs)} runs in {options.csv}")
    if options.plot is not None:
        plot_paths(runs, options.plot)
        print(options.plot)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser("paths", __doc__)
    parser.add_argument("runs", nargs="+", type=place, metavar="RUN", help="folder of a finished run")
    parser.add_argument("--csv", type=place, metavar="FILE", help="also write a row for each run and layer")
    parser.add_argument("--plot", type=place, metavar="FILE", help="also draw margins and entropies (PNG)")
    parser.add_argument(
        "--close",
        type=float,
        default=CLOSE,
        metavar="D",
        help="count a path as active whose rendering is within D times the norm of the images (root mean "
        f"square) of its image; default: {CLOSE:g}",
    )
    parser.add_argument(
        "--sweeps",
        type=int,
        default=100,
        metavar="N",
        help="Gibbs sweeps of the annealing that estimates log Z, for -log pi of the images' paths; 0: none "
        "(default: 100)",
    )
    parser.add_argument("--devices", help="cpu or gpu(0); default: a GPU, or the CPU")
    add_data_dir(parser)
    return parser
