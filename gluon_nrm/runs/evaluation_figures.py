"""Figures of an evaluation: the confusion matrix, and the most confident mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Sequence

import numpy as np
from matplotlib import cm
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm

from gluon_nrm.runs.figures import add_title, figure_text, new_figure, save, scaled_picture

#: Most classes of a confusion figure; of more, those with the most mistakes are shown.
MOST_CLASSES = 100
#: Most classes whose numbers are written into the cells.
MOST_NUMBERED = 30
#: Least share of a class, in per cent, that has the darkest red.
LEAST_DARK = 10.0
#: Most letters of a class name in a figure.
LETTERS = 18
#: Pictures of a row in the figure of mistakes, and of all.
IN_A_ROW, MOST_MISTAKES = 6, 24


class Mistake(NamedTuple):
    """A wrongly classified image."""

    image: np.ndarray  # (C, H, W), in pixel values
    true: str
    predicted: str
    #: of the predicted class
    probability: float
    #: its file, or its number in the data set
    name: str


def plot_confusion(counts: np.ndarray, names: Sequence[str], path: Path, title: str = "") -> None:
    """Draw a confusion matrix: true classes down, predicted classes across.

    Mistakes are red by their share of the true class, right predictions grey. Of more than ``MOST_CLASSES``
    classes, those with the most mistakes are shown.

    Args:
        counts: images by true and predicted class, (K, K).
        names: of the K classes.
        path: the PNG file to write.
        title: heading.

    Raises:
        RunError: the file cannot be written.
    """
    kept, note = np.arange(len(names)), ""
    if len(names) > MOST_CLASSES:
        mistakes = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
        kept = np.sort(np.argsort(-mistakes, kind="stable")[:MOST_CLASSES])
        note = f"the {MOST_CLASSES} of {len(names)} classes with the most mistakes"
    shown, labels = counts[np.ix_(kept, kept)], [figure_text(names[index], LETTERS) for index in kept]
    sums = np.maximum(counts.sum(axis=1)[kept], 1)[:, None]
    share = 100.0 * shown / sums
    numbered = len(kept) <= MOST_NUMBERED
    size, cell = (9.0, 0.42) if numbered else (6.5, 0.15)
    side, room = max(3.2, len(kept) * cell), 0.0095 * size * max(map(len, labels)) + 0.1
    heading = "\n".join(each for each in (title, note) if each)
    axes = _square(side, room, heading)
    _draw_shares(axes, share)
    if numbered:
        _write_numbers(axes, shown, share)
    _write_labels(axes, labels, size)
    save(axes.figure, path)


def _square(side: float, room: float, heading: str) -> Axes:
    """Make square axes of a side in inches, with room for labels at the left and below."""
    left, above = room + 0.4, 0.25 * (heading.count("\n") + 1) + 0.15 if heading else 0.15
    width, height = left + side + 0.2, left + side + above
    figure = new_figure(width, height, arranged=False)
    add_title(figure, heading)
    return figure.add_axes((left / width, left / height, side / width, side / height))


def plot_mistakes(mistakes: Sequence[Mistake], path: Path, title: str = "") -> None:
    """Draw wrongly classified images in rows, each with its true and its predicted class.

    Every picture is scaled to its own range.

    Args:
        mistakes: at most ``MOST_MISTAKES`` are drawn.
        path: the PNG file to write.
        title: heading.

    Raises:
        RunError: the file cannot be written.
    """
    shown = mistakes[:MOST_MISTAKES]
    rows = max(-(-len(shown) // IN_A_ROW), 1)
    width, height, above = 1.75 * IN_A_ROW, 2.3 * rows, 0.65 if title else 0.1
    figure = new_figure(width, height + above, arranged=False)
    add_title(figure, title)
    axes = figure.add_axes((0.0, 0.0, 1.0, height / (height + above)))
    axes.set_axis_off()
    if not shown:
        axes.text(0.5, 0.5, "no mistakes", transform=axes.transAxes, ha="center", color="#666666")
    for place, mistake in enumerate(shown):
        left, top = 1.75 * (place % IN_A_ROW), 2.3 * (place // IN_A_ROW)
        _draw_mistake(axes, mistake, left, top)
    if shown:  # in inches; images have changed both
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        axes.set_aspect("equal")
    save(figure, path)


def _draw_mistake(axes: Axes, mistake: Mistake, left: float, top: float) -> None:
    """Draw one picture 1.5 wide and at most 1.5 high, with three lines below."""
    picture = scaled_picture(mistake.image)
    height, width = picture.shape[:2]
    across, down = 1.5 * width / max(height, width), 1.5 * height / max(height, width)
    x, y = left + (1.75 - across) / 2, top + (1.5 - down) / 2
    axes.imshow(
        picture, extent=(x, x + across, y + down, y), cmap="gray", vmin=0.0, vmax=1.0,
        interpolation="nearest", aspect="auto",
    )  # fmt: skip
    middle = left + 1.75 / 2
    lines = [
        (f"true {figure_text(mistake.true, LETTERS)}", "#222222"),
        (
            f"predicted {figure_text(mistake.predicted, LETTERS)}, {100 * mistake.probability:.1f} %",
            "#c0392b",
        ),
        (figure_text(mistake.name, 28), "#888888"),
    ]
    for number, (text, colour) in enumerate(lines):
        axes.text(
            middle, top + 1.56 + 0.17 * number, text, color=colour, fontsize=8 if number < 2 else 6.5,
            ha="center", va="top",
        )  # fmt: skip


def _draw_shares(axes: Axes, share: np.ndarray) -> None:
    """Draw the shares of a confusion matrix (K, K): the diagonal grey, mistakes red."""
    mistakes = np.where(np.eye(len(share), dtype=bool), 0.0, share)
    norm = PowerNorm(0.5, 0.0, max(float(mistakes.max()), LEAST_DARK))
    colours = cm.Reds(norm(mistakes))
    right = np.diag(share) / 100.0
    for index, value in enumerate(right):
        colours[index, index, :3] = 1.0 - 0.45 * value
    axes.imshow(colours, interpolation="nearest")
    lines = np.arange(len(share) + 1) - 0.5
    for draw in (axes.hlines, axes.vlines):
        draw(lines, -0.5, len(share) - 0.5, color="#dddddd", linewidth=0.4)


def _write_labels(axes: Axes, labels: Sequence[str], size: float) -> None:
    """Write the names of the classes at the left and below; as ticks, a hundred would take a second."""
    axes.set_xticks([])
    axes.set_yticks([])
    last, upright = len(labels) - 1, max(map(len, labels)) <= 2
    for place, label in enumerate(labels):
        axes.text(-0.7, place, label, fontsize=size, ha="right", va="center")
        axes.text(
            place, last + 0.7, label, fontsize=size, ha="center", va="top", rotation=0 if upright else 90
        )
    for x, y, angle, text in ((0.0, 0.5, 90, "true class"), (0.5, 0.0, 0, "predicted class")):
        where = axes.get_position()
        axes.figure.text(
            0.01 if angle else where.x0 + x * where.width,
            where.y0 + y * where.height if angle else 0.01,
            text, rotation=angle, fontsize=10, ha="left" if angle else "center",
            va="center" if angle else "bottom",
        )  # fmt: skip


def _write_numbers(axes: Axes, counts: np.ndarray, share: np.ndarray) -> None:
    mistakes = share - np.diag(np.diag(share))
    dark = max(float(mistakes.max()), LEAST_DARK) * 0.35
    for row, column in zip(*np.nonzero(counts)):
        white = row != column and share[row, column] > dark
        axes.text(
            column, row, str(counts[row, column]), ha="center", va="center", fontsize=8,
            color="white" if white else "#222222",
        )  # fmt: skip
