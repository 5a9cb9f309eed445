"""A run folder with a small recipe, opened as a trainer opens it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

from gluon_nrm.runs.open_run import RunFolder, open_run

RECIPE = """\
name: toy
data: {name: digits, labels: 50}
optimiser:
  phases:
  - {name: adam, lr: 0.001}
train: {epochs: 3, seed: 0}
"""
ENV = {"commit": "abc", "python": "3.11"}


def opened(root: Path, **changes: Any) -> RunFolder:
    arguments: Dict[str, Any] = {"name": "toy-s0", "recipe_yaml": RECIPE, "env": ENV, **changes}
    return open_run(root, **arguments)


def names(folder: Path) -> List[str]:
    return sorted(path.name for path in folder.iterdir())


def contents(folder: Path) -> Dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
