"""Enumerate every rendering path of a tiny model: exact priors and the terms of Theorem 3.3a.

If a ReLU's state is 0 in a window of k pixels, nothing is rendered there, whatever t is. These k
configurations (s, t) are enumerated as one path of weight k.
"""

from __future__ import annotations

from typing import List, NamedTuple, Sequence

import mxnet as mx
import numpy as np

from gluon_nrm.errors import ModelError
from gluon_nrm.probability.conditional import PathTable, log_sum_exp
from gluon_nrm.probability.latents import Latent
from gluon_nrm.probability.rendering_model import Path, RenderingModel
from gluon_nrm.typing import Tensor

#: Largest number of paths to enumerate.
LIMIT = 2**18


class Bound(NamedTuple):
    """Terms of Theorem 3.3a for B images: ``cross_entropy`` - ``conditional`` = ``gap`` >= 0."""

    #: H(q) = -g(y, z*_y) + log sum_y' exp max_z g(y', z), with the maxima over all paths, (B,)
    cross_entropy: np.ndarray
    #: -log p(y | x, z*_y), (B,)
    conditional: np.ndarray
    #: (B,)
    gap: np.ndarray


def enumerate_outcomes(latents: Sequence[Latent]) -> List[np.ndarray]:
    """Outcomes of every path, (paths, V) for each block.

    Raises:
        ModelError: there are more than ``LIMIT`` paths.
    """
    log2 = sum(latent.log2_paths for latent in latents)
    if log2 > np.log2(LIMIT) + 1e-6:
        raise ModelError(
            f"the model has 2^{log2:.1f} rendering paths, too many to enumerate (at most "
            f"2^{np.log2(LIMIT):.0f});\nuse a smaller network or image, or draw paths with the Gibbs sampler"
        )
    sizes = np.concatenate([latent.outcomes for latent in latents])
    index = np.arange(int(np.prod(sizes.astype(np.int64))))
    columns = []
    for size in sizes[::-1]:
        columns.append(index % size)
        index = index // size
    table = np.stack(columns[::-1], axis=1).astype(np.uint8)
    found, start = [], 0
    for latent in latents:
        part = table[:, start : start + latent.variables]
        found.append(_possible(latent, part))
        start += latent.variables
    return found


def _possible(latent: Latent, numbers: np.ndarray) -> np.ndarray:
    """Outcomes from their numbers among the possible outcomes of each variable."""
    if np.isfinite(latent.log_weights).all():
        return numbers
    order = np.argsort(~np.isfinite(latent.log_weights), axis=1, kind="stable")
    return order[np.arange(latent.variables), numbers].astype(numbers.dtype)


def log_weights(latents: Sequence[Latent], outcomes: Sequence[np.ndarray]) -> np.ndarray:
    """Log of the number of configurations (s, t) of each path, (paths,)."""
    total = np.zeros(len(outcomes[0]))
    for latent, found in zip(latents, outcomes):
        weights = np.broadcast_to(latent.log_weights, (latent.variables, latent.log_weights.shape[1]))
        total += weights[np.arange(latent.variables), found].sum(axis=1)
    return total


class Enumeration:
    """All paths of a tiny model, as one batch.

    Args:
        model: the model; call ``model.freeze()`` when its parameters have changed.

    Attributes:
        outcomes: outcomes of all paths, (paths, V) for each block.
        paths: the same paths as maps, (paths, *shape) for each block.
        log_weights: log of the number of configurations (s, t) of each path, (paths,).

    Raises:
        ModelError: the model has too many paths; the message gives their number.
    """

    def __init__(self, model: RenderingModel) -> None:
        self.model = model
        self.outcomes = enumerate_outcomes(model.latents)
        self.paths: Path = model.path_of(self.outcomes)
        self.log_weights = log_weights(model.latents, self.outcomes)

    def __len__(self) -> int:
        return len(self.log_weights)

    def eta(self, label: int) -> np.ndarray:
        """Prior score of every path of a class, (paths,)."""
        return self.model.prior_score(self._labels(label), self.paths).asnumpy()

    def scores(self, x: Tensor, label: int) -> np.ndarray:
        """<h(0), x> + eta of every path of a class, for images (B, C, H, W): (B, paths)."""
        rendering = self.model.render(self._labels(label), self.paths)
        products = mx.nd.dot(mx.nd.flatten(x), mx.nd.flatten(rendering.image), transpose_b=True)
        return (products + mx.nd.reshape(rendering.eta, shape=(1, -1))).asnumpy()

    def log_partition(self, label: int) -> float:
        """Log sum_z exp(eta / sigma^2), over all configurations (s, t)."""
        return float(log_sum_exp(self.eta(label) / self.model.temperature + self.log_weights))

    def log_joint_partition(self) -> float:
        """Log of the sum over all (y, z) of exp(eta / sigma^2 + log pi_y), for the joint prior."""
        partitions = [self.log_partition(label) for label in range(self.model.net.classes)]
        return float(log_sum_exp(self.model.log_class_prior() + np.array(partitions)))

    def log_class_marginal(self) -> np.ndarray:
        """Log probability of every class under the joint prior, (K,): log pi_y + log Z_y, normalised."""
        partitions = [self.log_partition(label) for label in range(self.model.net.classes)]
        weighted = self.model.log_class_prior() + np.array(partitions)
        return weighted - log_sum_exp(weighted)

    def log_prior(self, label: int) -> np.ndarray:
        """Log probability of every path, (paths,): of all its configurations together."""
        weighted = self.eta(label) / self.model.temperature + self.log_weights
        return weighted - log_sum_exp(weighted)

    def table(self, x: Tensor, joint: bool = True) -> PathTable:
        """Terms of p(y | x, z) for images (B, C, H, W), every class and every path.

        Args:
            x: the images.
            joint: True for the joint prior over (y, z), False for the prior of paths given a class.
        """
        labels = range(self.model.net.classes)
        images = [self.model.render(self._labels(label), self.paths).image.asnumpy() for label in labels]
        norms = np.stack([np.sqrt((each**2).sum(axis=(1, 2, 3))) for each in images])
        g = np.stack([self.scores(x, label) for label in labels], axis=1) / self.model.temperature
        offsets = self.model.log_class_prior()
        if not joint:
            offsets = offsets - np.array([self.log_partition(label) for label in labels])
        return PathTable(g, norms, offsets, self.model.temperature)

    def bound(self, x: Tensor, y: Sequence[int]) -> Bound:
        """Terms of Theorem 3.3a for images (B, C, H, W) and classes (B,)."""
        every = np.stack([self.scores(x, label) for label in range(self.model.net.classes)], axis=1)
        g = every / self.model.temperature + self.model.log_class_prior().reshape((1, -1, 1))
        rows, label = np.arange(len(g)), np.asarray(y, dtype=int)
        best = g[rows, label].argmax(axis=1)
        own = g[rows, label, best]
        along_best = log_sum_exp(g[rows, :, best], axis=1)
        over_all = log_sum_exp(g.max(axis=2), axis=1)
        return Bound(over_all - own, along_best - own, over_all - along_best)

    def _labels(self, label: int) -> np.ndarray:
        return np.full(len(self), label)
