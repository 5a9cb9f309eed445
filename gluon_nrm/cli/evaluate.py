"""Evaluate the newest checkpoint of a run, from its folder alone.

gluon-nrm evaluate runs/digits_maxmin_mt-s0
gluon-nrm evaluate runs/digits_maxmin_mt-s0 --part test --devices cpu
"""

from __future__ import annotations

import argparse
from typing import Mapping, Sequence

from gluon_nrm.console.tool import ToolParser, add_data_dir, place
from gluon_nrm.runs.run_data import TEST, VALIDATION
from gluon_nrm.training.evaluate_run import evaluate_run


def main(arguments: Sequence[str]) -> int:
    """Print the error of student and teacher, by the weighted logits and by each branch."""
    options = _parser().parse_args(arguments)
    found = evaluate_run(options.run, devices=options.devices, part=options.part, data_dir=options.data_dir)
    print(f"run      {found.run} ({found.recipe}), after epoch {found.epoch} of {found.epochs}")
    print(f"data     {found.dataset}, {found.images} {found.part} images")
    if found.skipped.number:
        print(f"skipped  {found.skipped}")
    for name, errors in found.errors.items():
        print(f"{name}  error {_readable(errors)}")
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


def _readable(errors: Mapping[str, float]) -> str:
    """``4.20 % (max 4.60, min 5.00)``; the branches where there are two."""
    branches = ", ".join(f"{suffix[1:]} {value:.2f}" for suffix, value in errors.items() if suffix)
    return f"{errors['']:.2f} %" + (f" ({branches})" if branches else "")
