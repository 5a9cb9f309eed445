"""Run a command of the ``gluon_nrm`` in this checkout, whether the package is installed or not.

Python searches the folder of a script for modules, not the checkout above it, so the checkout is added here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def run(name: str) -> NoReturn:
    """Run ``gluon-nrm NAME`` with the arguments of this script, and exit."""
    from gluon_nrm.cli.main import run_command

    run_command(name, sys.argv[1:])
