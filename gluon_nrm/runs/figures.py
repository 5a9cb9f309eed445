"""Figures of runs: training curves, renderings layer by layer (Figure 4), comparison of methods."""

from __future__ import annotations

import warnings
from pathlib import Path
from textwrap import fill
from typing import Any, Mapping, Sequence, Tuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from gluon_nrm.errors import RunError, visible
from gluon_nrm.recipe.terms import ALL_TERMS
from gluon_nrm.storage.files import atomic_path, os_errors

_TERMS = {
    "total": ("total", "#222222"),
    **{name: (term.title, term.colour) for name, term in ALL_TERMS.items()},
}
_NETWORKS = {"student": "#1f77b4", "teacher": "#d62728"}
_BRANCHES = {"": ("", "-", 1.8), "_max": (", Max branch", "--", 1.0), "_min": (", Min branch", ":", 1.2)}
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
    figure, losses, errors = two_panels(title)
    for key, (label, colour) in _TERMS.items():
        width = 1.8 if key == "total" else 1.2
        plot_series(losses, rows, f"loss/{key}", label=label, color=colour, linewidth=width)
    for network, colour in _NETWORKS.items():
        for ending, (branch, style, width) in _BRANCHES.items():
            look = {"label": f"{network}{branch}", "color": colour, "linewidth": width, "linestyle": style}
            plot_series(errors, rows, f"error/{network}{ending}", **look)
    scale_losses(losses)
    scale_errors(errors)
    finish_axes(losses, "Loss terms, mean over each epoch", "loss", legend_columns=4)
    finish_axes(errors, "Classification error", "error (%)", legend_columns=2)
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
    heads = [f"{name}\n{'×'.join(map(str, maps.shape[1:]))}" for name, maps in columns]
    left = 0.2 + _LETTER * max(len(line) for label in labels for line in label.split("\n"))
    below, above = 0.3, 0.1 + 0.16 * max(head.count("\n") + 1 for head in heads) + (0.35 if title else 0.0)
    across, down = _CELL * len(columns), _CELL * len(labels)
    width, height = max(left + across + 0.1, 5.0), below + down + above
    figure = new_figure(width, height, arranged=False)
    add_title(figure, title)
    # one pair of axes in inches: a pair for each cell takes ten times as long to draw
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    for column, (head, (_, maps)) in enumerate(zip(heads, columns)):
        x = left + _CELL * column
        axes.text(x + _CELL / 2, above - 0.06, head, fontsize=8, ha="center", va="bottom")
        for row, image in enumerate(maps):
            _draw_cell(axes, image, x, above + _CELL * row)
    for row, label in enumerate(labels):
        axes.text(left - 0.08, above + _CELL * (row + 0.5), label, fontsize=9, ha="right", va="center")
    note = "each picture scaled to its own range; more than three channels: their mean"
    axes.text(width / 2, height - 0.08, note, fontsize=8, color="#666666", ha="center", va="bottom")
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    save(figure, path)


def plot_layer_rows(
    rows: Sequence[Tuple[str, np.ndarray]], path: Path, heads: Sequence[str], title: str = ""
) -> None:
    """Draw the paper's Figure 4, a column per image: its renderings from the top layer down, the image last.

    Every cell is scaled to its own range. Maps with other than 1 or 3 channels are averaged over channels.

    Args:
        rows: (name, maps of shape (N, C, H, W)), from the top down.
        path: the PNG file to write.
        heads: N strings, one per column, such as the class.
        title: heading.

    Raises:
        RunError: the file cannot be written.
        ValueError: there are no images, or not as many in every row as there are heads.
    """
    if not heads or any(len(maps) != len(heads) for _, maps in rows):
        raise ValueError(f"{len(heads)} heads for rows of {[len(maps) for _, maps in rows]} images")
    labels = [f"{name}\n{'×'.join(map(str, maps.shape[1:]))}" for name, maps in rows]
    left = 0.2 + _LETTER * max(len(line) for label in labels for line in label.split("\n"))
    below, above = 0.3, 0.1 + 0.16 * max(head.count("\n") + 1 for head in heads) + (0.35 if title else 0.0)
    width, height = max(left + _CELL * len(heads) + 0.1, 5.0), below + _CELL * len(rows) + above
    figure = new_figure(width, height, arranged=False)
    add_title(figure, title)
    # one pair of axes in inches: a pair for each cell takes ten times as long to draw
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    for row, (label, (_, maps)) in enumerate(zip(labels, rows)):
        y = above + _CELL * row
        axes.text(left - 0.08, y + _CELL / 2, label, fontsize=9, ha="right", va="center")
        for column, image in enumerate(maps):
            _draw_cell(axes, image, left + _CELL * column, y)
    for column, head in enumerate(heads):
        x = left + _CELL * (column + 0.5)
        axes.text(x, above - 0.06, head, fontsize=9, ha="center", va="bottom")
    note = "each picture scaled to its own range; more than three channels: their mean"
    axes.text(width / 2, height - 0.08, note, fontsize=8, color="#666666", ha="center", va="bottom")
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    save(figure, path)


def plot_comparison(groups: Sequence[Group], path: Path, names: Sequence[str], title: str = "") -> None:
    """Draw one panel per group: means with standard deviations, filled dots ours, hollow dots reported.

    Args:
        groups: (name, dots); a dot is (name of its row, mean, standard deviation, ours). Groups without a dot
            are left out, unless none has one.
        path: the PNG file to write.
        names: of the rows, from the top down; rows without a dot are left out.
        title: heading.

    Raises:
        RunError: the file cannot be written.
        ValueError: there is no group.
    """
    if not groups:
        raise ValueError("no groups to draw")
    groups = [(group, rows) for group, rows in groups if rows] or groups
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
        axes.set_xlim(left=max(axes.get_xlim()[0], 0))
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.grid(True, axis="x", alpha=0.3, linewidth=0.6)
    if names:
        figure.axes[0].set_ylim(len(names) - 0.4, -0.6)  # shared by all panels; the first row is on top
    add_title(figure, title)
    save(figure, path)


def new_figure(width: float, height: float, arranged: bool = True) -> Figure:
    """Make a figure of a size in inches that shares no state with pyplot.

    ``arranged``: Matplotlib finds room for all labels, which takes it several times as long to draw.
    """
    figure = Figure(figsize=(width, height), dpi=130, constrained_layout=arranged)
    FigureCanvasAgg(figure)
    return figure


def two_panels(title: str) -> Tuple[Figure, Axes, Axes]:
    """Make a figure of two panels with room for a legend below each."""
    figure = new_figure(11.0, 5.2, arranged=False)
    bottom, height = 0.235, 0.655 if title else 0.7
    axes = [figure.add_axes((left, bottom, 0.415, height)) for left in (0.07, 0.565)]
    add_title(figure, title)
    return figure, axes[0], axes[1]


def add_title(figure: Figure, title: str) -> None:
    """Write a heading above a figure, if there is one; a line that is wider than the figure is broken."""
    if title:
        letters = max(int(figure.get_figwidth() / _LETTER), 20)
        lines = [line if len(line) <= letters else fill(line, letters) for line in title.split("\n")]
        figure.suptitle("\n".join(lines).replace("$", r"\$"), fontsize=11)


def figure_text(name: object, letters: int) -> str:
    """Put a name on one line of at most ``letters`` letters; a dollar sign is no formula."""
    line = visible(str(name))
    return (line if len(line) <= letters else f"{line[: letters - 1]}…").replace("$", r"\$")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, atomically.

    Raises:
        RunError: the file cannot be written.
    """
    # equal figures give equal bytes: the version of Matplotlib stays out of the file
    with os_errors(RunError, "draw", path), atomic_path(path) as temporary, warnings.catch_warnings():
        # class names of any script: a letter that the font lacks is drawn as a box
        warnings.filterwarnings("ignore", message="Glyph .* missing from current font")
        figure.savefig(temporary, format="png", metadata={"Software": None})


def plot_series(axes: Axes, rows: Sequence[Mapping[str, Any]], key: str, **style: Any) -> None:
    """Draw one value of the rows of metrics.jsonl over the epochs; a loss that is always zero is left out."""
    points = [(row["epoch"], row[key]) for row in rows if row.get(key) is not None]
    if not points or (key.startswith("loss/") and not any(value for _, value in points)):
        return
    # a single point makes no line
    marker = "o" if len(points) < 10 else None
    axes.plot([x for x, _ in points], [y for _, y in points], marker=marker, markersize=3, **style)


def scale_losses(axes: Axes) -> None:
    """Make the axis of losses logarithmic, with a linear part around zero if one is negative."""
    values = _values(axes)
    if (values < 0).any():
        axes.set_yscale("symlog", linthresh=float(np.abs(values).max()) * 1e-3)
    elif (values > 0).any():
        # a term that is ramped up is zero at first
        axes.set_yscale("log", nonpositive="mask")


def scale_errors(axes: Axes) -> None:
    """Make the axis of errors logarithmic, unless one is zero."""
    values = _values(axes)
    if not values.size or values.min() <= 0:
        return
    axes.set_yscale("log")
    axes.set_ylim(min(values.min() / 1.3, values.max() / 4), min(values.max() * 1.1, 100.0))
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _values(axes: Axes) -> np.ndarray:
    return np.concatenate([np.zeros(0), *(np.asarray(line.get_ydata(), dtype=float) for line in axes.lines)])


def finish_axes(axes: Axes, title: str, unit: str, legend_columns: int) -> None:
    """Add title, labels, grid, and the legend below, if it has columns; or say that nothing is recorded."""
    axes.set_title(title, fontsize=11)
    axes.set_xlabel("epoch")
    axes.set_ylabel(unit)
    axes.grid(True, which="major", alpha=0.3, linewidth=0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_minor_locator(NullLocator())  # drawing each tick takes a millisecond
    if axes.lines and legend_columns:
        # below the axes no curve crosses it
        axes.legend(
            fontsize=8, ncol=legend_columns, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.13)
        )
    elif not axes.lines:
        axes.text(0.5, 0.5, "nothing recorded", transform=axes.transAxes, ha="center", color="#666666")


def _draw_cell(axes: Axes, image: np.ndarray, left: float, top: float) -> None:
    """Draw one map (C, H, W) into a square cell, as large as it fits, with a frame."""
    picture, space = scaled_picture(image), 0.05
    height, width = picture.shape[:2]
    scale = (_CELL - 2 * space) / max(height, width)
    x, y = left + (_CELL - scale * width) / 2, top + (_CELL - scale * height) / 2
    look = {"cmap": "gray", "vmin": 0.0, "vmax": 1.0, "interpolation": "nearest", "aspect": "auto"}
    axes.imshow(picture, extent=(x, x + scale * width, y + scale * height, y), **look)
    axes.add_patch(Rectangle((x, y), scale * width, scale * height, fill=False, linewidth=0.8))


def scaled_picture(image: np.ndarray) -> np.ndarray:
    """Scale a map (C, H, W) to 0..1 by its own range, as (H, W) or (H, W, 3).

    Channels other than 1 or 3 are averaged. A constant map becomes grey.
    """
    image = np.asarray(image, dtype=np.float64)
    if image.shape[0] not in (1, 3):
        image = image.mean(axis=0, keepdims=True)
    low, high = image.min(), image.max()
    scaled = (image - low) / (high - low) if high > low else np.full_like(image, 0.5)
    return scaled[0] if len(scaled) == 1 else scaled.transpose(1, 2, 0)
