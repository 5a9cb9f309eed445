"""Check this machine's set-up: print versions and problems, the command for each, and run a convolution.

    gluon-nrm doctor [--time-limit SECONDS]

Exit code 0 if training would work, 2 if there is a problem.
"""

from __future__ import annotations

import argparse
from typing import Sequence

from gluon_nrm.console.tool import ToolParser
from gluon_nrm.system.diagnosis import PROBLEM, diagnose
from gluon_nrm.system.environment import describe_environment


def main(arguments: Sequence[str]) -> int:
    """Print the environment and the findings; return 0 without a problem, else 2."""
    options = _parser().parse_args(arguments)
    for name, value in describe_environment().items():
        print(f"{name.replace('_', ' '):>20}  {_readable(value)}")
    print()
    problems = 0
    for finding in diagnose(options.time_limit):
        problems += finding.level == PROBLEM
        print(f"{finding.level:>20}  {finding.text}", flush=True)
    print("\n" + (f"problems: {problems}"))
    return 2 if problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser("doctor", "Check this machine's set-up; print what solves each problem.")
    parser.add_argument(
        "--time-limit",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="for one convolution (default: 120)",
    )
    return parser


def _readable(value: object) -> str:
    """Format a value of the environment."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "-" if value is None else str(value)
