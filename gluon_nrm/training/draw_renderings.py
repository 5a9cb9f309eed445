"""Draw images beside their renderings by a trained network, layer by layer (Figure 4)."""

from __future__ import annotations

from bisect import bisect
from pathlib import Path
from typing import Any, List, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np

from gluon_nrm.errors import RunError
from gluon_nrm.models import Reconstructor
from gluon_nrm.option_names import option
from gluon_nrm.runs.figures import figure_text, plot_layer_rows, plot_rendering_grid
from gluon_nrm.training.assemble import Parts
from gluon_nrm.training.restore import restore

#: Most images that are drawn by default, one of each class.
MOST_IMAGES = 10
#: Most letters of a class name beside a row.
LETTERS = 20
#: Titles of the rendered images.
BRANCHES = ("Max branch", "Min branch")

Column = Tuple[str, "np.ndarray[Any, Any]"]


def render_run(
    path: Union[str, Path],
    images: Optional[int] = None,
    out: Optional[Path] = None,
    *,
    by_layer: bool = False,
    devices: Optional[str] = None,
    data_dir: Union[str, Path, None] = None,
) -> Path:
    """Draw test images beside their renderings at every layer of a run's network.

    The images are of class 0, class 1, and so on (see ``one_of_each``). Each is rendered from its true class
    through its own latents, by the teacher where there is one.

    Args:
        path: the run's folder.
        images: number of images; None: one of each class, of the first ``MOST_IMAGES`` classes.
        out: the PNG file; None: ``figures/figure4.png`` in the run's folder.
        by_layer: a row for each layer and a column for each image, as in the paper; False: the reverse.
        devices: as for ``fit``; the first one is used.
        data_dir: as for ``fit``.

    Returns:
        The file.

    Raises:
        NRMError: the run cannot be restored, its network does not render, there are not so many images, or
            the file cannot be written.
    """
    restored = restore(path, devices=devices, data_dir=data_dir)
    run, parts = restored.run, restored.parts
    if not parts.net.options.render:
        raise RunError(f"{run.path}: its network does not render (model.render is false); give another run")
    test = parts.dataset.test
    if images is not None and images > len(test.labels):
        raise RunError(
            f"{option('images')}: {images}, but there are {len(test.labels)} test images; ask for fewer"
        )
    shown = test.subset(one_of_each(test.labels, parts.dataset.classes, images or default_images(parts)))
    path = out if out is not None else run.figures / "figure4.png"
    title = f"{parts.recipe.name}, after epoch {restored.epoch}"
    draw = draw_layer_rows if by_layer else draw_renderings
    draw(parts, parts.dataset.normalise(shown.images), shown.labels.astype(int), path, title=title)
    return path


def default_images(parts: Parts) -> int:
    """Number of images in a figure: one of each class, at most ``MOST_IMAGES``."""
    return min(MOST_IMAGES, parts.dataset.classes)


def one_of_each(labels: np.ndarray[Any, Any], classes: int, images: int) -> np.ndarray[Any, Any]:
    """Choose images whose classes go 0, 1, ..., classes - 1, 0, and so on.

    As in the authors' Figure 4, each image is the first of its class after the previous one. If there is
    none, as in test images sorted by class, it is the first of its class that is not chosen yet. A class
    without further images is skipped.

    Args:
        labels: of the images to choose from, (N,).
        classes: how many there are.
        images: how many to choose.

    Returns:
        Their indices, (min(images, N),).
    """
    left = [np.flatnonzero(labels == label).tolist() for label in range(classes)]
    chosen: List[int] = []
    turn = 0
    while len(chosen) < images and any(left):
        here = left[turn % classes]
        turn += 1
        if here:
            last = chosen[-1] if chosen else -1
            after = bisect(here, last)
            chosen.append(here.pop(after if after < len(here) else 0))
    return np.array(chosen, dtype=np.int64)


def draw_renderings(
    parts: Parts,
    images: np.ndarray[Any, Any],
    labels: np.ndarray[Any, Any],
    path: Path,
    *,
    most: Optional[int] = None,
    title: str = "",
    files: Optional[Sequence[str]] = None,
) -> None:
    """Draw one row for each image: the image, the input of each layer from above, the rendered image.

    Beside a row are the true class, which is rendered, and the class that the network predicts.

    Args:
        parts: of the run.
        images: normalised, (N, C, H, W).
        labels: their classes, (N,), which are rendered.
        path: the PNG file.
        most: layers shown; None: all.
        title: what to put above.
        files: names of the images, written in place of a true class.

    Raises:
        RunError: the file cannot be written.
    """
    maps, predicted = _render(parts, images, labels, "rendered", most)
    columns: List[Column] = [("image", images), *maps]
    names = [figure_text(name, LETTERS) for name in parts.dataset.class_names]
    if files is None:
        given = [f"true {names[label]}" for label in labels]
    else:
        given = [figure_text(name, LETTERS) for name in files]
    rows = [f"{name}\npredicted {names[guess]}" for name, guess in zip(given, predicted)]
    plot_rendering_grid(columns, path, labels=rows, title=title)


def draw_layer_rows(
    parts: Parts,
    images: np.ndarray[Any, Any],
    labels: np.ndarray[Any, Any],
    path: Path,
    *,
    title: str = "",
) -> None:
    """Draw one column for each image: the input of each layer from above, the rendered and the true image.

    The rendered image is layer 0. Above a column is the true class, which is rendered, and the predicted
    class where it is another.

    Args:
        parts: of the run.
        images: normalised, (N, C, H, W).
        labels: their classes, (N,), which are rendered.
        path: the PNG file.
        title: what to put above.

    Raises:
        RunError: the file cannot be written.
    """
    maps, predicted = _render(parts, images, labels, "layer 0")
    rows: List[Column] = [*maps, ("original", images)]
    names = [figure_text(name, LETTERS) for name in parts.dataset.class_names]
    heads = [
        names[label] if label == guess else f"{names[label]}\npredicted {names[guess]}"
        for label, guess in zip(labels, predicted)
    ]
    plot_layer_rows(rows, path, heads, title)


def _render(
    parts: Parts,
    images: np.ndarray[Any, Any],
    labels: np.ndarray[Any, Any],
    lowest: str,
    most: Optional[int] = None,
) -> Tuple[List[Column], np.ndarray[Any, Any]]:
    """Render images, and predict their classes.

    Args:
        parts: of the run.
        images: normalised, (N, C, H, W).
        labels: their classes, (N,), which are rendered.
        lowest: title of the rendered image; the branch is added where there are two.
        most: layers to return; None: all.

    Returns:
        The maps of each layer from above and the rendered image of each branch, with their titles; the
        predicted classes, (N,).
    """
    device = parts.devices[0]
    reconstruct = Reconstructor(parts.networks.get("teacher", parts.net))
    reconstruct.hybridize()  # block by block, MXNet would warn of every input that a block leaves unused
    result = reconstruct(mx.nd.array(images, ctx=device), mx.nd.array(labels, ctx=device))
    columns: List[Column] = []
    features = [feature.asnumpy() for feature in result.features[0]]
    for level in shown_layers(len(features), most):
        maps = _unspread(features[level - 1])
        template = ",\nclass template" if maps is not features[level - 1] else ""
        columns.append((f"layer {level}{template}", maps))
    for branch, image in zip(BRANCHES, result.images):
        columns.append((f"{lowest},\n{branch}" if len(result.images) > 1 else lowest, image.asnumpy()))
    return columns, result.logits.asnumpy().argmax(axis=1)


def shown_layers(layers: int, most: Optional[int] = None) -> List[int]:
    """Choose the layers to draw, from the top down to 1: all, or ``most`` evenly spaced ones."""
    levels = np.linspace(layers, 1, min(layers, most or layers))
    return [int(round(level)) for level in levels]


def _unspread(maps: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Lay the C values of constant maps (N, C, H, W), such as class templates, out as a nearly square image.

    The mean over the channels of such maps would be a uniform grey. Other maps are returned unchanged.
    """
    count, channels = maps.shape[:2]
    if channels == 1 or np.ptp(maps.reshape(count, channels, -1), axis=2).max() > 1e-6 * np.abs(maps).max():
        return maps
    rows = max(rows for rows in range(1, int(channels**0.5) + 1) if channels % rows == 0)
    return maps[:, :, 0, 0].reshape(count, 1, rows, channels // rows)
