"""Frechet distance between Gaussian fits of two sets of feature vectors (Heusel et al. 2017, equation 6)."""

from __future__ import annotations

from typing import Tuple

import numpy as np

from gluon_nrm.errors import ModelError


def feature_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Fit a Gaussian to each set of features and return their ``frechet_distance``.

    Few vectors make it too large: compare distances only of sets of the same sizes.

    Args:
        first: feature vectors, (N, F).
        second: feature vectors, (M, F).

    Raises:
        ModelError: fewer than two vectors, a value that is not finite, or other features than the other set.
    """
    for name, features in (("first", first), ("second", second)):
        if features.ndim != 2 or len(features) < 2:
            raise ModelError(f"{name} features: {features.shape}; give (N, F) with N at least 2")
        if not np.isfinite(features).all():
            raise ModelError(f"{name} features: not all are finite; leave out the images that are not")
    if first.shape[1] != second.shape[1]:
        raise ModelError(
            f"features: {first.shape[1]} and {second.shape[1]} a vector; take both sets from one network"
        )
    return frechet_distance(*_fit(first), *_fit(second))


def _fit(features: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Return mean (F,) and unbiased covariance (F, F) of feature vectors (N, F), in double precision."""
    doubles = features.astype(np.float64)
    return doubles.mean(axis=0), np.atleast_2d(np.cov(doubles, rowvar=False))


def frechet_distance(
    first_mean: np.ndarray,
    first_covariance: np.ndarray,
    second_mean: np.ndarray,
    second_covariance: np.ndarray,
) -> float:
    """Return |m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)) of two Gaussians.

    C1 C2 has the eigenvalues of the symmetric C1^(1/2) C2 C1^(1/2), so the trace of its root is the sum of
    their roots. This also holds for singular covariances.

    Args:
        first_mean: m1, (F,).
        first_covariance: C1, (F, F), symmetric and positive semidefinite.
        second_mean: m2, (F,).
        second_covariance: C2, (F, F), as C1.
    """
    values, vectors = np.linalg.eigh(first_covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = root @ second_covariance @ root
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh((product + product.T) / 2), 0)).sum()
    apart = float(((first_mean - second_mean) ** 2).sum())
    return max(0.0, apart + float(np.trace(first_covariance) + np.trace(second_covariance) - 2 * shared))
