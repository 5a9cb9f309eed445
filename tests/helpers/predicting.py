"""Runs tools/predict.py, in this process, on images in a folder."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from linear_export import Linear
from picture_files import encoded, pixels

from gluon_nrm.console.tool import run_tool

NET = Linear()
COUNT = 7
#: (N, C, H, W); what ``images/N.png`` holds.
IMAGES = np.stack([pixels(4, 5, seed=seed).transpose(2, 0, 1) for seed in range(COUNT)])


def work_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put images into a folder and make it the current one."""
    (folder / "images").mkdir()
    for number in range(COUNT):
        (folder / "images" / f"{number}.png").write_bytes(encoded(pixels(4, 5, seed=number)))
    monkeypatch.chdir(folder)
    return folder


def call(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> int:
    """Run the tool and return its exit code."""
    monkeypatch.setattr("sys.argv", ["predict.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        run_tool(importlib.import_module("gluon_nrm.cli.predict").main)
    return int(left.value.code or 0)
