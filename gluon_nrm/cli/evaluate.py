"""Evaluate a run's newest checkpoint or a pretrained network: errors, worst classes, what they are taken for.

gluon-nrm evaluate runs/digits_maxmin_mt-s0
gluon-nrm evaluate runs/digits_maxmin_mt-s0 --part test --devices cpu
gluon-nrm evaluate digits_maxmin_mt_50           a pretrained network; nothing is written

Of a run it writes evaluation.json, predictions.csv, figures/confusion.png and figures/mistakes.png into the
run's folder.
"""

from __future__ import annotations

import argparse
from typing import Sequence

from gluon_nrm.console.tool import ToolParser, add_data_dir, place
from gluon_nrm.pretrained.names import pretrained_name
from gluon_nrm.runs.run_data import TEST, VALIDATION
from gluon_nrm.training.describe_evaluation import evaluation_text
from gluon_nrm.training.evaluate_pretrained import evaluate_pretrained, pretrained_text
from gluon_nrm.training.evaluate_run import evaluate_run, write_files


def main(arguments: Sequence[str]) -> int:
    """Print errors of networks, branches and classes, and write them into the run."""
    options = _parser().parse_args(arguments)
    name = pretrained_name(options.run)
    if name is not None:
        found = evaluate_pretrained(
            name, devices=options.devices, part=options.part, data_dir=options.data_dir
        )
        print(pretrained_text(found), flush=True)
        return 0
    evaluation = evaluate_run(
        options.run, devices=options.devices, part=options.part, data_dir=options.data_dir
    )
    print(evaluation_text(evaluation), flush=True)
    written = write_files(evaluation)
    print("\nwritten  " + "\n         ".join(map(str, written)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser("evaluate", __doc__)
    parser.add_argument("run", type=place, metavar="RUN", help="a run folder, or a pretrained network")
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
