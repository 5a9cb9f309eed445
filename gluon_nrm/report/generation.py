"""Pictures and figures of what a trained network draws: by class, layer by layer, along chosen paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, NamedTuple, Optional, Sequence

import mxnet as mx
import numpy as np

from gluon_nrm.data import Dataset
from gluon_nrm.errors import DataError, RunError
from gluon_nrm.files import os_errors
from gluon_nrm.probability.generate import Drawn, draw, render_along, sweeps
from gluon_nrm.probability.model import RenderingModel
from gluon_nrm.probability.watch import Watch
from gluon_nrm.report.figures import plot_rendering_grid


class Generated(NamedTuple):
    """Draws of each class, and one rendering a class along two other paths."""

    drawn: Drawn
    #: along the prior's most probable path
    mode: Drawn
    #: along the path of a test image of the class, and that image
    seen: Drawn
    images: np.ndarray[Any, Any]


def generate(
    model: RenderingModel, dataset: Dataset, classes: Sequence[int], samples: int, *, image: int = 0,
    chains: Optional[int] = None, burn_in: int, thin: int, noise: bool = False, seed: int = 0,
) -> Generated:  # fmt: skip
    """Draw (see ``draw``), and render each class along the prior's mode and along a test image's path.

    Args:
        model: what to draw from.
        dataset: where the test images are.
        classes: numbers of the classes.
        samples: images of each class.
        image: which test image of each class, from 0.
        chains: as for ``draw``, likewise the rest.
        burn_in: see ``chains``.
        thin: see ``chains``.
        noise: see ``chains``.
        seed: see ``chains``.

    Raises:
        DataError: a class has no test image of that number.
        ModelError: as for ``draw``.
    """
    labels = np.asarray(classes, dtype=int)
    images = dataset.normalise(dataset.test.images[_examples(dataset, labels, image)])
    with Watch(sweeps(samples, chains, burn_in, thin), "sweep") as watch:
        drawn = draw(
            model, classes, samples, chains=chains, burn_in=burn_in, thin=thin, noise=noise, seed=seed,
            watch=watch,
        )  # fmt: skip
    seen = render_along(model, labels, model.infer(mx.nd.array(images, ctx=model.device)).path)
    return Generated(drawn, render_along(model, labels, model.zero_path()), seen, images)


def draw_pictures(found: Generated, names: Sequence[str], folder: Path, title: str) -> List[Path]:
    """Write samples.png, layers.png and paths.png.

    Args:
        found: what was generated.
        names: of all classes.
        folder: where to; made if it is not there.
        title: what to put above.

    Raises:
        RunError: the folder cannot be made, or a file cannot be written.
    """
    with os_errors(RunError, "make", folder):
        folder.mkdir(parents=True, exist_ok=True)
    labels = [names[label] for label in found.mode.labels]
    samples = len(found.drawn.labels) // len(labels)
    first = slice(None, None, samples)
    draws = [(f"draw {number + 1}", found.drawn.images[number::samples]) for number in range(samples)]
    layers = [
        (f"h({level})", head[first])
        for level, head in reversed(list(enumerate(found.drawn.heads, start=1)))
    ]
    pictures = {
        "samples.png": draws,
        "layers.png": [*layers, ("h(0)", found.drawn.images[first])],
        "paths.png": [
            ("image", found.images),
            ("its own path", found.seen.images),
            ("prior's mode", found.mode.images),
            ("a draw", found.drawn.images[first]),
        ],
    }
    for name, columns in pictures.items():
        plot_rendering_grid(columns, folder / name, labels, title)
    return [folder / name for name in pictures]


def table(found: Generated, names: Sequence[str]) -> str:
    """A Markdown table: prior scores by kind of path, and how many draws are recognised as their class."""
    lines = [
        "| class | eta of draws | eta of the prior's mode | eta of an image's path | draws recognised |",
        "|---|---|---|---|---|",
    ]
    for place, label in enumerate(found.mode.labels):
        own = found.drawn.labels == label
        eta, right = found.drawn.eta[own], int((found.drawn.predicted[own] == label).sum())
        lines.append(
            f"| {names[label]} | {eta.mean():.2f} ± {eta.std():.2f} | {found.mode.eta[place]:.2f} "
            f"| {found.seen.eta[place]:.2f} | {right} of {own.sum()} |"
        )
    return "\n".join(lines)


def _examples(dataset: Dataset, labels: np.ndarray[Any, Any], image: int) -> np.ndarray[Any, Any]:
    """Place of the ``image``-th test image of each class."""
    places = []
    for label in labels:
        found = np.flatnonzero(dataset.test.labels == label)
        if not 0 <= image < len(found):
            raise DataError(
                f"--image {image}: class {label} has {len(found)} test images; give 0 to {len(found) - 1}"
            )
        places.append(found[image])
    return np.array(places)
