"""Draw what a companion's generator makes, in a run's folder."""

from __future__ import annotations

from gluon_nrm.runs.figures import plot_rendering_grid
from gluon_nrm.runs.run_folder import RunFolder
from gluon_nrm.training.assemble import Parts

#: Rows and columns of the picture.
SIDE = 8
#: Seed of the codes, the same in every run, so that pictures of a run at two epochs compare.
SEED = 0


def draw_generated(parts: Parts, run: RunFolder) -> None:
    """Draw 64 generated images to ``figures/generated.png``; nothing for a run without a generator.

    Raises:
        RunError: the file cannot be written.
    """
    images = None if parts.companion is None else parts.companion.generate(SIDE * SIDE, SEED)
    if images is None:
        return
    columns = [(str(column + 1), images[column::SIDE]) for column in range(SIDE)]
    rows = [str(row + 1) for row in range(SIDE)]
    plot_rendering_grid(columns, run.figures / "generated.png", rows, f"{parts.recipe.name}: generated")
