"""The Frechet distance, against closed forms and a root of the product taken another way."""

from __future__ import annotations

import numpy as np
import pytest

from gluon_nrm.errors import ModelError
from gluon_nrm.report.frechet_distance import feature_distance, frechet_distance


def covariance(rng: np.random.Generator, size: int, rank: int) -> np.ndarray:
    factor = rng.normal(size=(size, rank))
    return factor @ factor.T


def test_equal_gaussians_are_at_no_distance() -> None:
    """Also where the covariance is singular, whose smallest eigenvalues come out negative."""
    rng = np.random.default_rng(0)
    for rank in (2, 6):
        mean, spread = rng.normal(size=6), covariance(rng, 6, rank)
        assert frechet_distance(mean, spread, mean, spread) == pytest.approx(0, abs=1e-6)


def test_a_shift_counts_its_square() -> None:
    rng = np.random.default_rng(1)
    mean, spread = rng.normal(size=3), covariance(rng, 3, 3)
    shift = np.array([3.0, 0.0, -4.0])
    assert frechet_distance(mean, spread, mean + shift, spread) == pytest.approx(25)


def test_diagonal_covariances() -> None:
    """Sum of (sqrt(a) - sqrt(b))^2: (1 - 2)^2 + (3 - 1)^2 + (0 - 5)^2."""
    zero = np.zeros(3)
    found = frechet_distance(zero, np.diag([1.0, 9.0, 0.0]), zero, np.diag([4.0, 1.0, 25.0]))
    assert found == pytest.approx(30)


def test_covariances_that_do_not_commute() -> None:
    """Tr (C1 C2)^(1/2) from the eigenvalues of the product itself, which is not symmetric; either order."""
    rng = np.random.default_rng(2)
    first, second, zero = covariance(rng, 5, 5), covariance(rng, 5, 5), np.zeros(5)
    assert np.abs(first @ second - second @ first).max() > 1
    root = np.sqrt(np.linalg.eigvals(first @ second).real).sum()
    expected = np.trace(first) + np.trace(second) - 2 * root
    for one, other in ((first, second), (second, first)):
        assert frechet_distance(zero, one, zero, other) == pytest.approx(expected)


def test_features_are_fitted_by_mean_and_covariance() -> None:
    """Variances 2 and 8 of one feature about 1 and 4: 9 + (sqrt 8 - sqrt 2)^2 = 11; float32 is no matter."""
    first, second = np.array([[0.0], [2.0]]), np.array([[2.0], [6.0]])
    assert feature_distance(first, second) == pytest.approx(11)
    rng = np.random.default_rng(3)
    images = rng.normal(size=(20, 4)).astype(np.float32)
    assert feature_distance(images, images[::-1]) == pytest.approx(0, abs=1e-9)
    assert feature_distance(images + 1000, images) == pytest.approx(4e6, rel=1e-4)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.zeros((1, 3)), np.zeros((4, 3)), r"first features: \(1, 3\); give \(N, F\) with N at least 2"),
        (np.zeros((4, 3)), np.zeros(3), r"second features: \(3,\)"),
        (np.zeros((4, 3)), np.full((4, 3), np.nan), "second features: not all are finite"),
        (np.zeros((4, 3)), np.zeros((4, 2)), "features: 3 and 2 a vector; take both sets from one network"),
    ],
)
def test_features_that_have_no_distance(first: np.ndarray, second: np.ndarray, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        feature_distance(first, second)
