"""Which rendering paths a set of images takes: how many distinct ones, layer by layer and all in all.

Of every image only a hash of its path is kept, 8 bytes a layer, and of every latent how often each of its
outcomes was inferred, so memory does not grow with the latents times the images. (Two different paths share a
hash of 64 bits with a probability below 1e-9 among 100,000 images.)
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

#: In place of a layer's number: the whole path.
JOINT = "joint"


class LayerPaths(NamedTuple):
    """Rendering paths of one layer, or of the whole network, that a set of images takes."""

    #: number of the block of latents from the image upwards, from 1, or ``JOINT``
    layer: str
    images: int
    #: distinct paths
    active: int
    #: log2 of the number of all paths, and of the share of them that is active
    log2_all: float
    log2_ratio: float
    #: images whose path another image takes too; and, of these, those that share it with another class
    sharing: int
    across_classes: int
    #: distinct paths of images of one class, mean over the classes
    active_per_class: float
    #: sum of the entropies of the single latents, in bits: no set of images with these frequencies can take
    #: paths of a larger entropy, so 2 to this power bounds the effective number of paths
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
        """Count a batch: outcomes (B, V) a block, and classes (B,)."""
        hashes = [_hashes(latent, found) for latent, found in zip(self._latents, outcomes)]
        self._hashes.append(np.stack(hashes, axis=1))
        self._labels.append(np.asarray(labels, dtype=np.int64))
        for counts, found in zip(self._frequencies, outcomes):
            for outcome in range(counts.shape[1]):
                counts[:, outcome] += np.count_nonzero(found == outcome, axis=0)

    def layers(self) -> List[LayerPaths]:
        """Count up: each block from the image upwards, then the whole path.

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
        # paths that are equal in every layer are equal: a hash of the layers' hashes is enough
        joint = np.array([_hash(row.tobytes()) for row in hashes], dtype=np.uint64)
        log2_all = sum(latent.log2_paths for latent in self._latents)
        return [*found, _count(JOINT, joint, labels, log2_all, sum(entropies))]


def count_paths(
    model: RenderingModel,
    batches: Iterable[Tuple[np.ndarray, np.ndarray]],
    progress: Optional[ProgressBar] = None,
) -> List[LayerPaths]:
    """Infer the path of every image and count.

    Args:
        model: whose paths.
        batches: normalised images (B, C, H, W) and classes (B,); read one after the other.
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
