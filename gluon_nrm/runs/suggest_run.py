"""Suggest the run that somebody means by a path that is none."""

from __future__ import annotations

import difflib
from contextlib import suppress
from pathlib import Path
from typing import List, Optional

from gluon_nrm.pretrained.names import list_pretrained

_NEEDED = ("recipe.yaml", "metrics.jsonl")
#: The folder of all runs by default.
_RUNS = Path("runs")


def suggest_run(path: Path) -> Optional[Path]:
    """Return the run that a path is in, or one whose name is like it; None if there is none.

    A recipe's name or file stands for its run with the lowest seed, beside it or in ``runs/``.
    """
    return enclosing_run(path) or _similar_run(path)


def missing_run_remedy(path: Path) -> str:
    """Say what to give in place of the folder of a run that does not exist."""
    meant: Optional[object] = suggest_run(path)
    if meant is None and path.parent == Path():
        if path.name in list_pretrained():
            return "it is a pretrained network, which evaluate, predict and export take"
        meant = next(iter(difflib.get_close_matches(path.name, list_pretrained(), n=1)), None)
    return f"did you mean {meant}?" if meant else "check the path"


def enclosing_run(path: Path) -> Optional[Path]:
    """Return the run that a path lies in, not deeper than a file of a checkpoint; None if there is none."""
    with suppress(OSError):  # no suggestion then
        for parent in list(path.absolute().parents)[:3]:
            if is_like_run(parent):
                return _as_given(parent)
    return None


def _similar_run(path: Path) -> Optional[Path]:
    with suppress(OSError):
        stem = path.stem if path.suffix == ".yaml" else path.name
        for folder in dict.fromkeys((path.parent, _RUNS)):
            runs = _runs(folder)
            same = [name for name in runs if name.rpartition("-s")[0] == stem]
            close = same or difflib.get_close_matches(stem, runs, n=1, cutoff=0.75)
            if close:
                return folder / close[0]
    return None


def is_like_run(path: Path) -> bool:
    """Return True if a folder holds the files by which a run is known."""
    with suppress(OSError):
        return all((path / name).is_file() for name in _NEEDED)
    return False


def _runs(folder: Path) -> List[str]:
    """List the names of the runs in a folder, sorted."""
    with suppress(OSError):
        return sorted(path.name for path in folder.iterdir() if is_like_run(path))
    return []


def _as_given(path: Path) -> Path:
    """Shorten a path to one relative to the current folder, if it is inside."""
    with suppress(ValueError):
        return path.relative_to(Path.cwd())
    return path
