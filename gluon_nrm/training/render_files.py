"""Draw image files beside their renderings by a run, without the images that it was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Sequence, Union

import numpy as np

from gluon_nrm.errors import DeployError, RunError
from gluon_nrm.predict.find_images import find_images
from gluon_nrm.predict.images import read_pixels
from gluon_nrm.predict.open_classifier import open_classifier
from gluon_nrm.predict.picture import MOST
from gluon_nrm.predict.predict_options import PredictOptions
from gluon_nrm.training.draw_renderings import draw_renderings
from gluon_nrm.training.restore import restore


def render_files(
    path: Union[str, Path],
    files: Sequence[str],
    out: Optional[Path] = None,
    *,
    devices: Optional[str] = None,
) -> Path:
    """Draw image files beside their renderings at every layer of a run's network.

    Each is rendered from the class that the network predicts. Images of another size are scaled, and their
    middle is cut out. Nothing but the run and the files is read.

    Args:
        path: the run's folder.
        files: as for ``find_images``.
        out: the PNG file; None: ``figures/rendered.png`` in the run's folder.
        devices: as for ``fit``; the first one is used.

    Returns:
        The file.

    Raises:
        NRMError: the run cannot be restored, its network does not render, or a file cannot be read.
    """
    restored = restore(path, devices=devices)
    run, parts = restored.run, restored.parts
    if not parts.net.options.render:
        raise RunError(f"{run.path}: its network does not render (model.render is false); give another run")
    found = find_images(files)
    if len(found) > MOST:
        raise DeployError(f"{len(found)} images, and at most {MOST} fit into one picture; give fewer")
    classifier = open_classifier(run.path, PredictOptions(devices=devices))
    pixels = np.stack([read_pixels(file, classifier.given, resize=True) for file in found])
    labels = classifier.predict(pixels).probabilities.argmax(axis=1)
    place = out if out is not None else run.figures / "rendered.png"
    title = f"{parts.recipe.name}, after epoch {restored.epoch}"
    draw_renderings(
        parts,
        parts.dataset.normalise(pixels),
        labels,
        place,
        title=title,
        files=[each.name for each in found],
    )
    return place
