"""Cost of the runs of a table, from the comments in their recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

from gluon_nrm.report.paper_tables import Cell
from gluon_nrm.report.recipe_header import epoch_seconds, read_header
from gluon_nrm.system.commands import command


def describe_cost(cells: Sequence[Cell], recipes: Path) -> str:
    """Say what training some cells costs: hours of one CPU thread, or the command that forecasts one run.

    Args:
        cells: the runs; a cell of several seeds is given once for each.
        recipes: folder of the recipes.

    Raises:
        NRMError: a recipe cannot be read.
    """
    hours, dry_run = 0.0, command("train", cells[0].recipe, "--dry-run")
    for cell in dict.fromkeys(cells):
        seconds = epoch_seconds(read_header(recipes / f"{cell.recipe}.yaml"))
        if seconds is None:
            return f"to forecast the cost of a run: {dry_run}"
        hours += cells.count(cell) * seconds * cell.load(recipes).train.epochs / 3600
    each = f"{hours / len(cells):,.0f} a run"
    return f"cost: about {hours:,.0f} hours of one CPU thread, {each}; on your machine: {dry_run}"
