"""Training curves of all methods of a table in one figure, one panel per number of labels."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gluon_nrm.report.method_curves import Curve
from gluon_nrm.report.paper_tables import METHODS, OWN_NETWORKS
from gluon_nrm.runs.figures import add_title, finish_axes, new_figure, save, scale_errors

_COLOURS = (
    "#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#e377c2",
    "#7f7f7f", "#bcbd22",
)  # fmt: skip
#: Inches: width and height of a panel, and the space left of, above and below them.
_PANEL, _LEFT, _ABOVE, _BELOW = (3.9, 4.0), 0.75, 0.75, 1.75


def mean_and_spread(curves: Sequence[Curve]) -> List[Tuple[int, float, float]]:
    """Average some curves over their seeds: (epoch, mean, standard deviation; 0 for one run).

    Epochs that one of them lacks, as those of an unfinished run, are left out.
    """
    by_epoch: Dict[int, List[float]] = {}
    for curve in curves:
        for epoch, error in curve.points:
            by_epoch.setdefault(epoch, []).append(error)
    whole = sorted((epoch, errors) for epoch, errors in by_epoch.items() if len(errors) == len(curves))
    return [
        (epoch, statistics.mean(errors), statistics.stdev(errors) if len(errors) > 1 else 0.0)
        for epoch, errors in whole
    ]


def plot_method_curves(curves: Sequence[Curve], columns: Sequence[str], path: Path, title: str = "") -> None:
    """Draw the mean error of each method over the epochs, with a band of one standard deviation.

    NRM and what is added to it have solid lines, the other methods dashed ones. A column without a curve has
    no panel.

    Args:
        curves: of all runs.
        columns: names of the columns, from left to right.
        path: the PNG file to write.
        title: heading.

    Raises:
        RunError: the file cannot be written.
        ValueError: no curve is of one of the columns.
    """
    shown = [column for column in columns if any(curve.column == column for curve in curves)]
    if not shown:
        raise ValueError("no curves to draw")
    width, height = _LEFT + (_PANEL[0] + _LEFT) * len(shown), _ABOVE + _PANEL[1] + _BELOW
    figure = new_figure(width, height, arranged=False)
    names: Dict[str, Line2D] = {}
    for place, column in enumerate(shown):
        left = _LEFT + (_PANEL[0] + _LEFT) * place
        axes = figure.add_axes((left / width, _BELOW / height, _PANEL[0] / width, _PANEL[1] / height))
        for method in METHODS:
            mine = [curve for curve in curves if (curve.method, curve.column) == (method, column)]
            if mine:
                names[method] = _draw(axes, method, mean_and_spread(mine))
        scale_errors(axes)
        finish_axes(axes, f"{column} labels", "test error (%)", legend_columns=0)
    ordered = [method for method in METHODS if method in names]
    lines = [names[method] for method in ordered]
    figure.legend(
        lines, ordered, loc="lower center", ncol=2 if len(shown) < 2 else 3, fontsize=8, frameon=False
    )
    add_title(figure, title)
    save(figure, path)


def _draw(axes: Axes, method: str, points: Sequence[Tuple[int, float, float]]) -> Line2D:
    """Draw one method and return its line."""
    ours = method.startswith("NRM")
    family = [each for each in METHODS if each.startswith("NRM") == ours and each not in OWN_NETWORKS]
    family += OWN_NETWORKS  # last, so that they leave the others their colours
    look: Dict[str, Any] = {
        "color": _COLOURS[family.index(method) % len(_COLOURS)],
        "linestyle": "-" if ours else "--",
    }
    epochs, means = [each[0] for each in points], [each[1] for each in points]
    (line,) = axes.plot(
        epochs, means, linewidth=1.3, marker="o" if len(points) < 10 else None, markersize=3, **look
    )
    low, high = [mean - spread for _, mean, spread in points], [mean + spread for _, mean, spread in points]
    axes.fill_between(epochs, low, high, color=look["color"], alpha=0.12, linewidth=0)
    return line
