"""Active paths by distance (section 4): paths whose rendering is close to an image, beside all inferred ones.

Distances are in units of the root mean square norm of the images, so that one threshold serves any data set.
"""

from __future__ import annotations

from typing import Iterable, List, NamedTuple, Tuple

import mxnet as mx
import numpy as np

from gluon_nrm.errors import DataError
from gluon_nrm.probability.path_counts import joint_hashes, layer_hashes
from gluon_nrm.probability.rendering_model import RenderingModel

#: Largest distance of an active path's rendering from its image, in units of the images' norm.
CLOSE = 0.5


class RenderedPaths(NamedTuple):
    """Each image beside the rendering of its inferred class and path."""

    #: ||x - h(0)||, (N,)
    distances: np.ndarray
    #: ||h(0)||, (N,)
    norms: np.ndarray
    #: ||x||, (N,)
    image_norms: np.ndarray
    #: hash of the whole path, (N,)
    paths: np.ndarray

    @property
    def radius(self) -> float:
        """R of Theorem 4.2: the largest norm of a rendered image."""
        return float(self.norms.max())

    @property
    def relative(self) -> np.ndarray:
        """Distances in units of the root mean square norm of the images, (N,)."""
        return self.distances / np.sqrt(np.mean(self.image_norms**2))


class ClosePaths(NamedTuple):
    """Count of active paths by distance."""

    #: largest distance, in units of the root mean square norm of the images
    threshold: float
    #: images whose rendering is within it
    images: int
    #: distinct paths of these images
    active: int
    #: distinct inferred paths of all images
    inferred: int
    #: median distance, in the same units
    median: float
    #: largest norm of a rendered image, and of an image
    radius: float
    image_radius: float


def render_paths(model: RenderingModel, batches: Iterable[Tuple[np.ndarray, np.ndarray]]) -> RenderedPaths:
    """Infer class and path of every image, and render them.

    Args:
        model: the model.
        batches: normalised images (B, C, H, W) and classes (B,), which are not used.

    Raises:
        DataError: there is no image.
    """
    rows: List[np.ndarray] = []
    hashes: List[np.ndarray] = []
    for pixels, _ in batches:
        x = mx.nd.array(pixels, ctx=model.device)
        inferred = model.infer(x)
        image = model.render(inferred.label, inferred.path).image.asnumpy()
        rows.append(np.stack([_norms(pixels - image), _norms(image), _norms(pixels)]))
        outcomes = [latent.encode(map_.asnumpy()) for latent, map_ in zip(model.latents, inferred.path)]
        hashes.append(layer_hashes(model.latents, outcomes))
    if not rows:
        raise DataError("there is no image whose path could be rendered")
    distances, norms, image_norms = np.concatenate(rows, axis=1)
    return RenderedPaths(distances, norms, image_norms, joint_hashes(np.concatenate(hashes)))


def count_close(found: RenderedPaths, threshold: float = CLOSE) -> ClosePaths:
    """Count the distinct paths whose rendering is within ``threshold`` of their own image."""
    close = found.relative <= threshold
    return ClosePaths(
        threshold, int(close.sum()), len(np.unique(found.paths[close])), len(np.unique(found.paths)),
        float(np.median(found.relative)), found.radius, float(found.image_norms.max()),
    )  # fmt: skip


def _norms(images: np.ndarray) -> np.ndarray:
    return np.sqrt((images.astype(np.float64) ** 2).sum(axis=(1, 2, 3)))
