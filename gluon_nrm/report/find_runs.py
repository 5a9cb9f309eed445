"""Search for the runs of a table, anywhere under a folder."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Iterator, List, Optional, Sequence, Set

from gluon_nrm.errors import RunError
from gluon_nrm.report.paper_tables import Table
from gluon_nrm.runs.open_run import RunFolder, load_run
from gluon_nrm.runs.tables import Row, summarise
from gluon_nrm.storage.files import is_dir, os_errors

_NAME = re.compile(r"^name: +['\"]?([^'\"\n]+?)['\"]?\s*$", re.MULTILINE)


def find_runs(table: Table, root: Path, seeds: Optional[Sequence[int]] = None) -> List[Row]:
    """Summarise the runs of a table's recipes that lie anywhere under a folder.

    Runs without an evaluation are left out. ``row["path"]`` is the folder.

    Args:
        table: the table.
        root: folder of all runs.
        seeds: seeds of the runs to take; None: all.

    Raises:
        RunError: a run is damaged.
    """
    recipes = {cell.recipe for cell in table.cells}
    found: List[Row] = []
    for path in _run_folders(root):
        run = load_run(path) if _recipe_name(path) in recipes else None
        if run is None or not any(key.startswith("error/") for row in run.read_metrics() for key in row):
            continue
        row = {**summarise(run), "path": str(path)}
        if seeds is None or row["seed"] in seeds:
            found.append(row)
    return found


def _run_folders(root: Path) -> Iterator[Path]:
    """Walk through the run folders under ``root``, in alphabetical order; a run holds no other runs.

    Links are followed; a folder that several links lead to is visited once.
    """

    def refuse(problem: OSError) -> None:
        """Raise what keeps a folder from being listed."""
        raise problem

    if not is_dir(root, RunError):
        return
    seen: Set[str] = set()
    with os_errors(RunError, "list", root):
        for folder, names, files in os.walk(root, onerror=refuse, followlinks=True):
            real = os.path.realpath(folder)
            is_run = "recipe.yaml" in files and "metrics.jsonl" in files
            names[:] = [] if is_run or real in seen else sorted(n for n in names if not n.startswith("."))
            if is_run and real not in seen:
                yield Path(folder)
            seen.add(real)


def _recipe_name(path: Path) -> str:
    """Read the name in a run's recipe without parsing the rest: a folder may hold hundreds of runs."""
    found = _NAME.search(RunFolder(path).recipe_text())
    return found[1] if found else ""
