"""Plots of rendering paths: margin curves, and the entropy bound of each layer."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Sequence

import numpy as np
from matplotlib.axes import Axes

from gluon_nrm.probability.margin import GAMMAS, margin_curve
from gluon_nrm.report.paths import RunPaths
from gluon_nrm.runs.figures import new_figure, save

_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b")


def plot_paths(runs: Sequence[RunPaths], path: Path) -> None:
    """Draw margin curves (left) and the entropy bound of each layer (right), one colour per recipe.

    Args:
        runs: any number; the right panel shows the mean over the runs of a recipe.
        path: the PNG file to write.

    Raises:
        RunError: the file cannot be written.
    """
    groups: Dict[str, List[RunPaths]] = {}
    for run in runs:
        groups.setdefault(run.recipe, []).append(run)
    figure = new_figure(11.0, 4.6)
    left, right = figure.subplots(1, 2)
    for place, (recipe, members) in enumerate(groups.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        _margin_curves(left, members, recipe, colour)
        _entropies(right, members, recipe, colour, place, len(groups))
    left.set_title("Empirical margin: solid labelled, dashed test images", fontsize=11)
    left.set_xlabel("margin gamma")
    left.set_ylabel("share of images with a margin of at most gamma")
    right.set_title("Entropy of the latents of each layer, per possible bit", fontsize=11)
    right.set_xlabel("block of latents, from the image upwards")
    right.set_ylabel("entropy bound / log2 of all paths")
    for axes in (left, right):
        axes.grid(True, alpha=0.3, linewidth=0.6)
        axes.legend(fontsize=8, frameon=False)
    save(figure, path)


def _margin_curves(axes: Axes, members: Sequence[RunPaths], recipe: str, colour: str) -> None:
    for number, run in enumerate(members):
        label = recipe if number == 0 else None
        axes.plot(GAMMAS, margin_curve(run.train_margins), color=colour, linewidth=1.2, label=label)
        axes.plot(GAMMAS, margin_curve(run.test_margins), color=colour, linewidth=1.2, linestyle="--")


def _entropies(
    axes: Axes, members: Sequence[RunPaths], recipe: str, colour: str, place: int, groups: int
) -> None:
    longest = max(members, key=lambda run: len(run.layers)).layers
    shares = np.array(
        [
            [layer.entropy_bits / layer.log2_all for layer in run.layers]
            for run in members
            if len(run.layers) == len(longest)
        ]
    )
    x = np.arange(len(longest)) + (place - (groups - 1) / 2) * 0.8 / groups
    spread = shares.std(axis=0, ddof=1) if len(shares) > 1 else None
    axes.bar(x, shares.mean(axis=0), width=0.8 / groups, color=colour, yerr=spread, label=recipe)
    axes.set_xticks(np.arange(len(longest)))
    axes.set_xticklabels([layer.layer for layer in longest])
