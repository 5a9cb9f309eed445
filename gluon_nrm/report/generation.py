"""Images that a trained network generates: by class, layer by layer, along chosen rendering paths."""

from __future__ import annotations

from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence

import mxnet as mx
import numpy as np

from gluon_nrm.console.progress_bar import ProgressBar
from gluon_nrm.data import Dataset
from gluon_nrm.errors import DataError, RunError
from gluon_nrm.option_names import option
from gluon_nrm.probability.generate import PathRenderings, draw, render_along, sweeps
from gluon_nrm.probability.most_probable_path import most_probable_path
from gluon_nrm.probability.rendering_model import RenderingModel
from gluon_nrm.runs.figures import plot_rendering_grid
from gluon_nrm.storage.files import os_errors


class Generated(NamedTuple):
    """Draws of each class, and one rendering per class along each of three other paths."""

    drawn: PathRenderings
    #: along the most probable path found (``probability.mode``)
    mode: PathRenderings
    #: along the zero image's path
    zero: PathRenderings
    #: along the path of a test image of the class
    seen: PathRenderings
    #: those test images, one per class, (K, C, H, W)
    images: np.ndarray


def generate(
    model: RenderingModel, dataset: Dataset, classes: Sequence[int], samples: int, *, image: int = 0,
    chains: Optional[int] = None, burn_in: int, thin: int, noise: bool = False, seed: int = 0,
) -> Generated:  # fmt: skip
    """Draw images, and render each class along its most probable path, the zero image's and a test image's.

    Args:
        model: the model to draw from.
        dataset: its test images are used.
        classes: indices of the classes.
        samples: number of images of each class.
        image: index of the test image within its class, from 0.
        chains: as for ``draw``.
        burn_in: as for ``draw``.
        thin: as for ``draw``.
        noise: as for ``draw``.
        seed: as for ``draw``.

    Raises:
        DataError: a class has no test image of that index.
        ModelError: as for ``draw``.
    """
    labels = np.asarray(classes, dtype=int)
    images = dataset.normalise(dataset.test.images[_examples(dataset, labels, image)])
    with ProgressBar(sweeps(samples, chains, burn_in, thin), "sweep", unit=" sweeps") as progress:
        drawn = draw(
            model, classes, samples, chains=chains, burn_in=burn_in, thin=thin, noise=noise, seed=seed,
            progress=progress,
        )  # fmt: skip
    seen = render_along(model, labels, model.infer(mx.nd.array(images, ctx=model.device)).path)
    mode = render_along(model, labels, most_probable_path(model, classes, seed))
    return Generated(drawn, mode, render_along(model, labels, model.zero_path()), seen, images)


def draw_pictures(found: Generated, names: Sequence[str], folder: Path, title: str) -> List[Path]:
    """Write samples.png, layers.png and paths.png.

    Args:
        found: the images, of ``generate``.
        names: names of all classes.
        folder: folder of the files; created if it does not exist.
        title: heading of the figures.

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
        (f"h({level})", feature[first])
        for level, feature in reversed(list(enumerate(found.drawn.features, start=1)))
    ]
    pictures = {
        "samples.png": draws,
        "layers.png": [*layers, ("h(0)", found.drawn.images[first])],
        "paths.png": [
            ("image", found.images),
            ("its own path", found.seen.images),
            ("zero image's", found.zero.images),
            ("most probable", found.mode.images),
            ("a draw", found.drawn.images[first]),
            ("mean of draws", _mean_by_class(found.drawn.images, samples)),
        ],
    }
    for name, columns in pictures.items():
        plot_rendering_grid(columns, folder / name, labels, title)
    return [folder / name for name in pictures]


def table(found: Generated, names: Sequence[str]) -> str:
    """Format a Markdown table: prior scores of each kind of path, and draws classified as their own class."""
    lines = [
        "| class | eta of draws | of the best path found | of the zero image's path | of an image's path "
        "| draws recognised |",
        "|---|---|---|---|---|---|",
    ]
    for place, label in enumerate(found.mode.labels):
        own = found.drawn.labels == label
        eta, right = found.drawn.eta[own], int((found.drawn.predicted[own] == label).sum())
        lines.append(
            f"| {names[label]} | {eta.mean():.2f} ± {eta.std():.2f} | {found.mode.eta[place]:.2f} "
            f"| {found.zero.eta[place]:.2f} | {found.seen.eta[place]:.2f} | {right} of {own.sum()} |"
        )
    return "\n".join(lines)


def _mean_by_class(images: np.ndarray, samples: int) -> np.ndarray:
    return images.reshape(-1, samples, *images.shape[1:]).mean(axis=1)


def _examples(dataset: Dataset, labels: np.ndarray, image: int) -> np.ndarray:
    """Indices of the ``image``-th test image of each class, (K,)."""
    places = []
    for label in labels:
        found = np.flatnonzero(dataset.test.labels == label)
        if not len(found):
            raise DataError(
                f"class {label} ({dataset.class_names[label]}) has no test image; give other "
                f"{option('classes')}"
            )
        if not 0 <= image < len(found):
            raise DataError(
                f"{option('image', image)}: class {label} has {len(found)} test images; "
                f"give 0 to {len(found) - 1}"
            )
        places.append(found[image])
    return np.array(places)
