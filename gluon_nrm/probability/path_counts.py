"""Count the distinct rendering paths of a set of images, for each layer and for the whole network.

A path is stored as a hash of 8 bytes for each image and layer, and a latent as the number of times that each
outcome was inferred, so memory does not grow with latents times images. Among 100,000 images, two different
paths share a hash with a probability below 1e-9.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Iterable, List, NamedTuple, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from gluon_nrm.console.progress_bar import ProgressBar
from gluon_nrm.errors import DataError
from gluon_nrm.probability.latents import Latent
from gluon_nrm.probability.rendering_model import RenderingModel

#: Name of the whole path in place of a layer's number.
JOINT = "joint"


class LayerPaths(NamedTuple):
    """Counts of the rendering paths of a set of images, in one layer or in the whole network."""

    #: number of the block of latents, from 1 at the image, or ``JOINT``
    layer: str
    images: int
    #: distinct paths
    active: int
    #: log2 of the number of all paths
    log2_all: float
    #: log2 of (distinct paths / all paths)
    log2_ratio: float
    #: images that share their path with another image
    sharing: int
    #: images that share their path with an image of another class
    across_classes: int
    #: distinct paths of images of one class, mean over the classes
    active_per_class: float
    #: sum of the entropies of the single latents, in bits; an upper bound of the entropy of the paths
    entropy_bits: float


class PathCounter:
    """Counts the paths of images, batch by batch.

    Args:
        latents: the model's blocks.
    """

    def __init__(self, latents: Sequence[Latent]) -> None:
        self._latents = latents
        self._frequencies = [
            np.zeros((latent.variables, latent.log_weights.shape[1]), np.int64) for latent in latents
        ]
        self._hashes: List[np.ndarray] = []  # (B, layers) of each batch
        self._labels: List[np.ndarray] = []

    def add(self, outcomes: Sequence[np.ndarray], labels: np.ndarray) -> None:
        """Count a batch: outcomes (B, V) for each block, and classes (B,)."""
        self._hashes.append(layer_hashes(self._latents, outcomes))
        self._labels.append(np.asarray(labels, dtype=np.int64))
        for counts, found in zip(self._frequencies, outcomes):
            for outcome in range(counts.shape[1]):
                counts[:, outcome] += np.count_nonzero(found == outcome, axis=0)

    def layers(self) -> List[LayerPaths]:
        """Compute the counts of each block, from the image upwards, then of the whole path.

        Raises:
            DataError: there was no image.
        """
        if not self._labels:
            raise DataError("there is no image whose path could be counted")
        hashes, labels = np.concatenate(self._hashes), np.concatenate(self._labels)
        entropies = [_entropy_bits(counts) for counts in self._frequencies]
        found = [
            _count(str(number), hashes[:, number - 1], labels, latent.log2_paths, entropy)
            for number, (latent, entropy) in enumerate(zip(self._latents, entropies), start=1)
        ]
        joint = joint_hashes(hashes)
        log2_all = sum(latent.log2_paths for latent in self._latents)
        return [*found, _count(JOINT, joint, labels, log2_all, sum(entropies))]


def count_paths(
    model: RenderingModel,
    batches: Iterable[Tuple[np.ndarray, np.ndarray]],
    progress: Optional[ProgressBar] = None,
) -> List[LayerPaths]:
    """Infer the path of every image, and count.

    Args:
        model: the model.
        batches: normalised images (B, C, H, W) and classes (B,).
        progress: counts the images.

    Raises:
        DataError: there is no image.
    """
    counter = PathCounter(model.latents)
    for images, labels in batches:
        counter.add(model.outcomes(mx.nd.array(images, ctx=model.device)), labels)
        if progress is not None:
            progress.update(len(labels))
    return counter.layers()


def layer_hashes(latents: Sequence[Latent], outcomes: Sequence[np.ndarray]) -> np.ndarray:
    """Hash the outcomes of every image and block, (B, blocks)."""
    return np.stack([_hashes(latent, found) for latent, found in zip(latents, outcomes)], axis=1)


def joint_hashes(hashes: np.ndarray) -> np.ndarray:
    """Hash rows of hashes (N, parts), such as those of a path's layers, to one number each, (N,)."""
    return np.array([_hash(row.tobytes()) for row in hashes], dtype=np.uint64)


def _hashes(latent: Latent, outcomes: np.ndarray) -> np.ndarray:
    """Hash of every image's outcomes, (B,)."""
    binary = latent.log_weights.shape[1] == 2
    rows = np.packbits(outcomes, axis=1) if binary else np.ascontiguousarray(outcomes)
    return np.array([_hash(row.tobytes()) for row in rows], dtype=np.uint64)


def _hash(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


def _entropy_bits(counts: np.ndarray) -> float:
    share = counts / counts.sum(axis=1, keepdims=True)
    logs = np.log2(share, out=np.zeros_like(share), where=share > 0)
    return float(-(share * logs).sum())


def _count(
    layer: str, hashes: np.ndarray, labels: np.ndarray, log2_all: float, entropy_bits: float
) -> LayerPaths:
    _, path, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
    active = len(sizes)
    pairs = np.unique(np.stack([path, labels], axis=1), axis=0)
    classes_of_path = np.bincount(pairs[:, 0], minlength=active)
    per_class = np.bincount(pairs[:, 1])
    return LayerPaths(
        layer,
        len(labels),
        active,
        log2_all,
        float(np.log2(active)) - log2_all,
        int((sizes[path] > 1).sum()),
        int((classes_of_path[path] > 1).sum()),
        float(per_class[per_class > 0].mean()),
        entropy_bits,
    )
