"""What every benchmark's command line does: measure in a child process, write the figures to a file."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import Any


def command_line(description: str) -> argparse.ArgumentParser:
    """Return a parser with the arguments that all benchmarks have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", metavar="FILE", help="also write the figures to a file")
    return parser


def measure_in_child(file: str, *arguments: str, **environment: str) -> Any:
    """Run ``file --measure ARGUMENTS`` in a process of its own and read the JSON it prints last.

    Peak memory never falls, so what it is measured of needs a process each. All cores are used unless
    OMP_NUM_THREADS says otherwise (MXNet by itself takes half of them).
    """
    command = [sys.executable, file, "--measure", *arguments]
    variables = {"OMP_NUM_THREADS": str(os.cpu_count()), **environment, **os.environ}
    child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=variables)
    return json.loads(child.stdout.splitlines()[-1])


def write_json(path: Any, figures: Any) -> None:
    """Write what was measured to ``path``; None: nowhere."""
    if path:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2)
