"""Look at this machine's set-up: what is there, what is missing, the line that mends it, one convolution.

    python tools/doctor.py [--time-limit SECONDS]

Exit code 0 where training would work, 2 where something has to be mended first.
"""

from __future__ import annotations

import os

# The doctor has to look at set-ups in which the package refuses to be imported.
os.environ["GLUON_NRM_SKIP_CHECK"] = "1"

import _checkout  # noqa: F401  (first: finds gluon_nrm)

# isort: split
import argparse
from typing import Sequence

from gluon_nrm.console.tool import ToolParser, run_tool
from gluon_nrm.system.diagnosis import PROBLEM, diagnose
from gluon_nrm.system.environment import describe_environment


def main(arguments: Sequence[str]) -> int:
    """Print the environment and the findings; 0 where there is no problem, else 2."""
    options = _parser().parse_args(arguments)
    for name, value in describe_environment().items():
        print(f"{name.replace('_', ' '):>20}  {_readable(value)}")
    print()
    problems = 0
    for finding in diagnose(options.time_limit):
        problems += finding.level == PROBLEM
        print(f"{finding.level:>20}  {finding.text}", flush=True)
    print("\n" + (f"{problems} to be mended" if problems else "healthy"))
    return 2 if problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(description="Look at this machine's set-up and say what has to be mended.")
    parser.add_argument(
        "--time-limit",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="for one convolution (default: 120)",
    )
    return parser


def _readable(value: object) -> str:
    """A value of the environment as a person would write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "-" if value is None else str(value)


if __name__ == "__main__":
    run_tool(main)
