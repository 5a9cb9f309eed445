"""Figures of runs: training curves, renderings layer by layer (Figure 4), comparison of methods."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence, Tuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from gluon_nrm.errors import RunError
from gluon_nrm.recipe.terms import TERMS
from gluon_nrm.storage.files import atomic_path, os_errors

_TERMS = {
    "total": ("total", "#222222"),
    **{name: (term.title, term.colour) for name, term in TERMS.items()},
}
_NETWORKS = {"student": "#1f77b4", "teacher": "#d62728"}
_BRANCHES = {"": ("", "-", 1.8), "_max": (", Max", "--", 1.0), "_min": (", Min", ":", 1.2)}
#: A panel of ``plot_comparison``.
Group = Tuple[str, Sequence[Tuple[str, float, float, bool]]]
#: Side of a picture in the grid, and width of a letter of a row's label, in inches.
_CELL, _LETTER = 1.1, 0.085


def plot_curves(rows: Sequence[Mapping[str, Any]], path: Path, title: str = "") -> None:
    """Draw loss terms (left) and errors (right) over the epochs of a run.

    Terms that are always zero are left out. The axes are logarithmic, with a linear part around zero if a
    loss is negative; the axis of errors is linear if an error is zero.

    Args:
        rows: rows of metrics.jsonl.
        path: the PNG file to write.
        title: heading, such as the name of the run.

    Raises:
        RunError: the file cannot be written.
    """
    figure = new_figure(11.0, 5.0)
    losses, errors = figure.subplots(1, 2)
    for key, (label, colour) in _TERMS.items():
        width = 1.8 if key == "total" else 1.2
        _plot(losses, rows, f"loss/{key}", label=label, color=colour, linewidth=width)
    for network, colour in _NETWORKS.items():
        for ending, (branch, style, width) in _BRANCHES.items():
            look = {"label": f"{network}{branch}", "color": colour, "linewidth": width, "linestyle": style}
            _plot(errors, rows, f"error/{network}{ending}", **look)
    _scale_losses(losses)
    _scale_errors(errors)
    _finish_axes(losses, "Loss terms, mean over each epoch", "loss", legend_columns=4)
    _finish_axes(errors, "Classification error", "error (%)", legend_columns=2)
    _title(figure, title)
    save(figure, path)


def plot_rendering_grid(
    columns: Sequence[Tuple[str, np.ndarray]], path: Path, labels: Sequence[str], title: str = ""
) -> None:
    """Draw one row per test image: the image, its renderings from the top layer down, the reconstruction.

    Every cell is scaled to its own range. Maps with other than 1 or 3 channels are averaged over channels.

    Args:
        columns: (name, maps of shape (N, C, H, W)), left to right.
        path: the PNG file to write.
        labels: N strings, one per row, such as the class.
        title: heading.

    Raises:
        RunError: the file cannot be written.
        ValueError: there are no images, or not as many in every column as there are labels.
    """
    if not labels or any(len(maps) != len(labels) for _, maps in columns):
        raise ValueError(f"{len(labels)} labels for columns of {[len(maps) for _, maps in columns]} images")
    margin = 0.2 + _LETTER * max(len(line) for label in labels for line in label.split("\n"))
    figure = new_figure(
        max(_CELL * len(columns) + margin, 5.0), _CELL * len(labels) + (1.0 if title else 0.75)
    )
    axes = figure.subplots(len(labels), len(columns), squeeze=False)
    for column, (name, maps) in enumerate(columns):
        _, channels, height, width = maps.shape
        axes[0, column].set_title(f"{name}\n{channels}×{height}×{width}", fontsize=8)
        for row, image in enumerate(maps):
            _draw_cell(axes[row, column], image)
    for row, label in enumerate(labels):
        axes[row, 0].set_ylabel(label, fontsize=9, rotation=0, ha="right", va="center", labelpad=6)
    note = "each picture scaled to its own range; more than three channels: their mean"
    figure.supxlabel(note, fontsize=8, color="#666666")
    _title(figure, title)
    save(figure, path)


def plot_comparison(groups: Sequence[Group], path: Path, names: Sequence[str], title: str = "") -> None:
    """Draw one panel per group: means with standard deviations, filled dots ours, hollow dots reported.

    Args:
        groups: (name, dots); a dot is (name of its row, mean, standard deviation, ours).
        path: the PNG file to write.
        names: of the rows, from the top down; rows without a dot are left out.
        title: heading.

    Raises:
        RunError: the file cannot be written.
        ValueError: there is no group.
    """
    if not groups:
        raise ValueError("no groups to draw")
    drawn = {name for _, rows in groups for name, *_ in rows}
    names = [name for name in names if name in drawn]
    figure = new_figure(2.6 + 2.6 * len(groups), 1.4 + 0.28 * max(len(names), 3))
    for axes, (group, rows) in zip(figure.subplots(1, len(groups), sharey=True, squeeze=False)[0], groups):
        for name, mean, std, ours in rows:
            face, colour = ("#1f77b4", "#1f77b4") if ours else ("white", "#666666")
            place = names.index(name) + (0.0 if ours else 0.25)
            look = {"fmt": "o", "color": colour, "markerfacecolor": face, "markersize": 5, "capsize": 2}
            axes.errorbar(mean, place, xerr=std, linewidth=1.0, **look)
        axes.set_title(group, fontsize=10)
        axes.set_xlabel("test error (%)", fontsize=9)
        axes.set_xlim(left=0)
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.grid(True, axis="x", alpha=0.3, linewidth=0.6)
    if names:
        figure.axes[0].set_ylim(len(names) - 0.4, -0.6)  # shared by all panels; the first row is on top
    _title(figure, title)
    save(figure, path)


def new_figure(width: float, height: float) -> Figure:
    """Make a figure of a size in inches that shares no state with pyplot."""
    figure = Figure(figsize=(width, height), dpi=130, constrained_layout=True)
    FigureCanvasAgg(figure)
    return figure


def _title(figure: Figure, title: str) -> None:
    if title:
        figure.suptitle(title, fontsize=11)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, atomically.

    Raises:
        RunError: the file cannot be written.
    """
    # equal figures give equal bytes: the version of Matplotlib stays out of the file
    with os_errors(RunError, "draw", path), atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _plot(axes: Axes, rows: Sequence[Mapping[str, Any]], key: str, **style: Any) -> None:
    points = [(row["epoch"], row[key]) for row in rows if row.get(key) is not None]
    if not points or (key.startswith("loss/") and not any(value for _, value in points)):
        return
    # a single point makes no line
    marker = "o" if len(points) < 10 else None
    axes.plot([x for x, _ in points], [y for _, y in points], marker=marker, markersize=3, **style)


def _scale_losses(axes: Axes) -> None:
    values = _values(axes)
    if (values < 0).any():
        axes.set_yscale("symlog", linthresh=float(np.abs(values).max()) * 1e-3)
    elif (values > 0).any():
        # a term that is ramped up is zero at first
        axes.set_yscale("log", nonpositive="mask")


def _scale_errors(axes: Axes) -> None:
    values = _values(axes)
    if not values.size or values.min() <= 0:
        return
    axes.set_yscale("log")
    axes.set_ylim(min(values.min() / 1.3, values.max() / 4), min(values.max() * 1.1, 100.0))
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _values(axes: Axes) -> np.ndarray:
    return np.concatenate([np.zeros(0), *(np.asarray(line.get_ydata(), dtype=float) for line in axes.lines)])


def _finish_axes(axes: Axes, title: str, unit: str, legend_columns: int) -> None:
    axes.set_title(title, fontsize=11)
    axes.set_xlabel("epoch")
    axes.set_ylabel(unit)
    axes.grid(True, which="major", alpha=0.3, linewidth=0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.lines:
        # below the axes no curve crosses it
        axes.legend(
            fontsize=8, ncol=legend_columns, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.13)
        )
    else:
        axes.text(0.5, 0.5, "nothing recorded", transform=axes.transAxes, ha="center", color="#666666")


def _draw_cell(axes: Axes, image: np.ndarray) -> None:
    """Draw one map of shape (C, H, W), scaled to its own range."""
    image = np.asarray(image, dtype=np.float64)
    if image.shape[0] not in (1, 3):
        image = image.mean(axis=0, keepdims=True)
    low, high = image.min(), image.max()
    # a constant map is grey
    scaled = (image - low) / (high - low) if high > low else np.full_like(image, 0.5)
    picture = scaled[0] if len(scaled) == 1 else scaled.transpose(1, 2, 0)
    axes.imshow(picture, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
