"""Evaluate the newest checkpoint of a run: errors, the worst classes, and what they are taken for.

gluon-nrm evaluate runs/digits_maxmin_mt-s0
gluon-nrm evaluate runs/digits_maxmin_mt-s0 --part test --devices cpu

Writes evaluation.json, predictions.csv, figures/confusion.png and figures/mistakes.png into the run's folder.
"""

from __future__ import annotations

import argparse
from typing import Sequence

from gluon_nrm.console.tool import ToolParser, add_data_dir, place
from gluon_nrm.runs.run_data import TEST, VALIDATION
from gluon_nrm.training.describe_evaluation import evaluation_text
from gluon_nrm.training.evaluate_run import evaluate_run, write_files


def main(arguments: Sequence[str]) -> int:
    """Print errors of networks, branches and classes, and write them into the run."""
    options = _parser().parse_args(arguments)
    found = evaluate_run(options.run, devices=options.devices, part=options.part, data_dir=options.data_dir)
    print(evaluation_text(found), flush=True)
    written = write_files(found)
    print("\nwritten  " + "\n         ".join(map(str, written)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser("evaluate", __doc__)
    parser.add_argument("run", type=place, metavar="RUN", help="a run folder, as training made it")
    parser.add_argument(
        "--devices", help="cpu or gpu(0); of several the first is used; default: a GPU, or the CPU"
    )
    add_data_dir(parser)
    parser.add_argument(
        "--part",
        choices=(TEST, VALIDATION),
        help="of the images; default: what the run was evaluated on, the validation part where it has one",
    )
    return parser
