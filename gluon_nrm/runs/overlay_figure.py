"""Curves of several runs in one figure."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence

from gluon_nrm.runs.figures import (
    figure_text,
    finish_axes,
    plot_series,
    save,
    scale_errors,
    scale_losses,
    two_panels,
)
from gluon_nrm.runs.metrics import Row
from gluon_nrm.runs.run_folder import RunFolder, network_names

_COLOURS = (
    "#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#e377c2", "#17becf", "#bcbd22",
    "#7f7f7f",
)  # fmt: skip
_STYLES = ("-", "--", ":", "-.")
#: Most runs that the legend lists one by one; of more it lists the recipes.
MOST_LISTED = 12
LETTERS = 44


class RunCurves(NamedTuple):
    """Metrics of one run."""

    #: its name in the legend
    name: str
    #: recipe and number of labels: runs of one group have one colour
    group: str
    rows: Sequence[Row]
    #: the network that is evaluated: "teacher" where there is one, else "student"
    network: str


def read_curves(runs: Sequence[RunFolder]) -> List[RunCurves]:
    """Read the metrics of some runs, finished or not.

    Raises:
        NRMError: a file of a run is missing or damaged.
    """
    names = Counter(run.path.name for run in runs)
    found = []
    for run in runs:
        recipe = run.settings
        labels = "all labels" if recipe.data.labels is None else f"{recipe.data.labels} labels"
        name = run.path.name if names[run.path.name] == 1 else str(run.path)
        group = f"{recipe.name}, {labels}"
        found.append(RunCurves(name, group, run.read_metrics(), network_names(recipe)[-1]))
    return found


def plot_runs(curves: Sequence[RunCurves], path: Path, title: str = "") -> None:
    """Draw the total loss (left) and the error (right) of several runs over their epochs.

    Runs of one recipe and number of labels have one colour. The error is the teacher's where there is one.

    Args:
        curves: of each run.
        path: the PNG file to write.
        title: heading.

    Raises:
        RunError: the file cannot be written.
    """
    figure, losses, errors = two_panels(title)
    groups = list(dict.fromkeys(each.group for each in curves))
    members: Dict[str, int] = dict.fromkeys(groups, 0)
    counts = Counter(each.group for each in curves)
    for each in curves:
        number, place = members[each.group], groups.index(each.group)
        members[each.group] += 1
        look: Dict[str, Any] = {
            "color": _COLOURS[place % len(_COLOURS)],
            "linestyle": _STYLES[(place // len(_COLOURS)) % len(_STYLES)],
            "linewidth": 1.3,
            "alpha": 1.0 if counts[each.group] == 1 else 0.65,
        }
        label = each.name
        if len(curves) > MOST_LISTED:
            several = f" ({counts[each.group]} runs)" if counts[each.group] > 1 else ""
            label = "" if number else each.group + several
        for axes, key in ((losses, "loss/total"), (errors, f"error/{each.network}")):
            plot_series(axes, each.rows, key, label=figure_text(label, LETTERS) or "_nolegend_", **look)
    scale_losses(losses)
    scale_errors(errors)
    finish_axes(losses, "Total loss, mean over each epoch", "loss", legend_columns=0)
    finish_axes(
        errors, "Classification error, of the teacher where there is one", "error (%)", legend_columns=0
    )
    lines = [line for line in losses.lines or errors.lines if not line.get_label().startswith("_")]
    figure.legend(
        handles=lines, loc="lower center", ncol=min(max(len(lines), 1), 3), fontsize=8, frameon=False
    )
    save(figure, path)
