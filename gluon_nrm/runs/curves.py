"""Curves of a run in its folder, drawn again at any time."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from gluon_nrm.runs.figures import plot_curves
from gluon_nrm.runs.run_folder import RunFolder


def draw_curves(run: RunFolder, path: Optional[Path] = None) -> Path:
    """Draw the curves of a run so far.

    Args:
        run: the run; it may be training at this moment.
        path: the PNG file; None: ``figures/curves.png`` in the run's folder.

    Returns:
        The file.

    Raises:
        RunError: the metrics cannot be read, or the file cannot be written.
    """
    rows, out = run.read_metrics(), path or run.figures / "curves.png"
    plot_curves(rows, out, f"{run.path.name}, after epoch {rows[-1]['epoch'] if rows else 0}")
    return out
