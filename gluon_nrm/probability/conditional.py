"""Theorem 3.3a: cross-entropies as bounds of -log p(y | x, z), each with the assumption that it needs.

For a fixed path z the model's own conditional is p(y | x, z) = softmax_y a(y, z), with sigma^2 = s2 and

    a(y, z) = g(y, z) + c_y - ||h(0; y, z)||^2 / (2 s2),      g(y, z) = (<h(0; y, z), x> + eta(y, z)) / s2.

c_y is log pi_y for the joint prior over (y, z), and log pi_y - log Z_y for the prior of paths given a class
(definition 3.1). The network computes q(y | x) = softmax_y(max_z g(y, z) + c_y) and its cross-entropy H, if
its templates are non-negative. z* is the best path of the label, the argmax of g(y, z) over z.

- ``full_bounds``: no assumption, but the maxima are those of a, which the network does not compute.
- ``constant_norm_bounds``: ||h(0)|| is one number for all (y, z), as in the theorem. It cancels.
- ``bounded_norm_bounds``: r <= ||h(0)|| <= R. H bounds -log p up to (R^2 - r^2) / (2 s2).
- ``max_min_terms``: the Max-Min cross-entropy of section 5.

All functions take tables of every class and path, as ``Enumeration.table`` makes them.
"""

from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np

from gluon_nrm.errors import ModelError

#: Largest difference of two norms, relative to the larger one, that counts as rounding.
SAME_NORM = 1e-4


class PathTable(NamedTuple):
    """Terms of a(y, z) for B images, K classes and all P paths."""

    #: g(y, z), (B, K, P)
    g: np.ndarray
    #: ||h(0; y, z)||, (K, P)
    norms: np.ndarray
    #: c_y, (K,)
    offsets: np.ndarray
    #: sigma^2
    temperature: float

    @property
    def scores(self) -> np.ndarray:
        """Scores g + c, without the norms, (B, K, P)."""
        return self.g + self.offsets.reshape((1, -1, 1))

    @property
    def full_scores(self) -> np.ndarray:
        """Scores a(y, z), (B, K, P)."""
        return self.scores - self.norms[None] ** 2 / (2 * self.temperature)


class ConditionalBounds(NamedTuple):
    """-log p(y | x, z*) of B images between two bounds, (B,) each."""

    lower: np.ndarray
    conditional: np.ndarray
    upper: np.ndarray


class MaxMinTerms(NamedTuple):
    """The Max-Min cross-entropy beside -log p(y | x, z) at four paths, (B,) each."""

    #: alpha_max H_max + alpha_min H_min
    mixture: np.ndarray
    #: cross-entropy of the maxima, at least ``at_max_path``
    h_max: np.ndarray
    #: cross-entropy of the minima, at most ``at_min_path``
    h_min: np.ndarray
    #: -log p at the path of the largest g of the label
    at_max_path: np.ndarray
    #: -log p at the path of the smallest g of the label
    at_min_path: np.ndarray
    #: the smallest -log p of all paths; with two classes at most ``h_min``, and so at most ``mixture``
    smallest: np.ndarray


def conditional(scores: np.ndarray, labels: Sequence[int]) -> np.ndarray:
    """Compute -log p(y | x, z) of every path, (B, P), from scores (B, K, P) and classes (B,)."""
    return log_sum_exp(scores, axis=1) - scores[np.arange(len(scores)), _classes(labels)]


def full_bounds(table: PathTable, labels: Sequence[int]) -> ConditionalBounds:
    """Bound -log p(y | x, z) at the best path of a(y, z); both norms and maxima are kept."""
    return _bounds(table.full_scores, labels)


def constant_norm_bounds(table: PathTable, labels: Sequence[int]) -> ConditionalBounds:
    """Bound -log p(y | x, z*) from above by H, if all renderings have one norm.

    The difference H - (-log p) = log sum_y' exp max_z g(y', z) - log sum_y' exp g(y', z*) is at least 0, and
    at most the largest max_z g(y', z) - g(y', z*) of a class y': that gives the lower bound.

    Raises:
        ModelError: the norms differ.
    """
    smallest, largest = table.norms.min(), table.norms.max()
    if largest - smallest > SAME_NORM * largest:
        raise ModelError(
            f"the renderings have norms from {smallest:.4g} to {largest:.4g}, not one; use "
            "bounded_norm_bounds"
        )
    return _bounds(table.scores, labels)


def bounded_norm_bounds(table: PathTable, labels: Sequence[int]) -> ConditionalBounds:
    """Bound -log p(y | x, z*) with norms by H, widened by (R^2 - r^2) / (2 sigma^2) on both sides."""
    lower, _, upper = _bounds(table.scores, labels)
    width = (table.norms.max() ** 2 - table.norms.min() ** 2) / (2 * table.temperature)
    rows, classes = np.arange(len(table.g)), _classes(labels)
    best = table.g[rows, classes].argmax(axis=1)
    return ConditionalBounds(lower - width, conditional(table.full_scores, labels)[rows, best], upper + width)


def max_min_terms(table: PathTable, labels: Sequence[int], alpha_max: float = 0.5) -> MaxMinTerms:
    """Compare the Max-Min cross-entropy with -log p(y | x, z), for renderings of one norm.

    - H_max is an upper bound at the Max branch's best path, by Theorem 3.3a.
    - H_min is a *lower* bound at the Min branch's path: it replaces the scores of the other classes there
      by smaller ones.
    - With two classes, H_min is at least -log p at the path of the smallest g of the *other* class. The
      mixture is then an upper bound at the best of all paths, min_z -log p(y | x, z).
    - With three or more classes the mixture is in general no upper bound at any path. The other classes take
      their minima at different paths, and no single path has them all.
    """
    found = conditional(table.scores, labels)
    rows, classes = np.arange(len(found)), _classes(labels)
    own = table.g[rows, classes]
    h_max, h_min = (
        log_sum_exp(best, axis=1) - best[rows, classes]
        for best in (table.scores.max(axis=2), table.scores.min(axis=2))
    )
    return MaxMinTerms(
        alpha_max * h_max + (1 - alpha_max) * h_min, h_max, h_min, found[rows, own.argmax(axis=1)],
        found[rows, own.argmin(axis=1)], found.min(axis=1),
    )  # fmt: skip


def _bounds(scores: np.ndarray, labels: Sequence[int]) -> ConditionalBounds:
    """Bounds of a theorem without norms, at the best path of the label's scores (B, K, P)."""
    rows, classes = np.arange(len(scores)), _classes(labels)
    largest = scores.max(axis=2)
    own = scores[rows, classes]
    best = own.argmax(axis=1)
    upper = log_sum_exp(largest, axis=1) - largest[rows, classes]
    gap = (largest - scores[rows, :, best]).max(axis=1)
    return ConditionalBounds(upper - gap, conditional(scores, labels)[rows, best], upper)


def log_sum_exp(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Log of the sum of exponentials along an axis, without overflow."""
    top = values.max(axis=axis, keepdims=True)
    total = np.log(np.exp(values - top).sum(axis=axis))
    return total + top.squeeze(axis)


def _classes(labels: Sequence[int]) -> np.ndarray:
    return np.asarray(labels, dtype=int)
