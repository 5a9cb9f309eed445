"""Commands in this process, where MXNet need not be imported again, and how they end."""

from __future__ import annotations

import importlib
import io
import sys
from pathlib import Path
from typing import Callable, NamedTuple, Optional, Sequence

import pytest

from gluon_nrm.console.tool import run_tool


class Ended(NamedTuple):
    """How a command ended, named as in ``subprocess.CompletedProcess``."""

    returncode: int
    stdout: str
    stderr: str


def run_here(name: str, *arguments: object, folder: Optional[Path] = None) -> Ended:
    """``gluon-nrm NAME ARGUMENTS`` in ``folder``; what Python code prints is caught, as UTF-8."""
    return end_of(importlib.import_module(f"gluon_nrm.cli.{name}").main, name, *arguments, folder=folder)


def end_of(
    main: Callable[[Sequence[str]], int], program: str, *arguments: object, folder: Optional[Path] = None
) -> Ended:
    """Run the ``main`` of a program with its arguments, as ``run_tool`` does."""
    words = [str(each) for each in arguments]
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2)]
    with pytest.MonkeyPatch.context() as patch:
        if folder is not None:
            patch.chdir(folder)
        patch.setattr(sys, "argv", [program, *words])
        patch.setattr(sys, "stdout", streams[0])
        patch.setattr(sys, "stderr", streams[1])
        with pytest.raises(SystemExit) as left:
            run_tool(main, words)
    out, err = (each.buffer.getvalue().decode("utf-8", "surrogateescape") for each in streams)  # type: ignore[attr-defined]
    return Ended(int(left.value.code or 0), out, err)
