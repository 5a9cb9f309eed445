"""Clusters matched to classes: against all matches, NMI and ARI by their definitions."""

from __future__ import annotations

import itertools
from math import comb, log

import numpy as np
import pytest

from gluon_nrm.runs.clusters import match_clusters


def by_definition(labels: np.ndarray, clusters: np.ndarray, classes: int) -> tuple:
    """Accuracy of the best of all matches, NMI, ARI."""
    best = max(
        np.mean(np.array(match)[clusters] == labels) for match in itertools.permutations(range(classes))
    )
    n = len(labels)
    table = np.array(
        [[np.sum((clusters == c) & (labels == y)) for y in range(classes)] for c in range(classes)]
    )
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    shared = sum(m / n * log(m * n / (rows[c] * columns[y])) for (c, y), m in np.ndenumerate(table) if m)
    entropies = [-sum(m / n * log(m / n) for m in sums if m) for sums in (rows, columns)]
    pairs, of_rows, of_columns = (
        sum(comb(int(m), 2) for m in each.ravel()) for each in (table, rows, columns)
    )
    chance = of_rows * of_columns / comb(n, 2)
    return best, shared / np.mean(entropies), (pairs - chance) / ((of_rows + of_columns) / 2 - chance)


@pytest.mark.parametrize("seed", range(5))
def test_by_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, 60)
    clusters = np.where(rng.random(60) < 0.6, np.array([2, 0, 3, 1])[labels], rng.integers(0, 4, 60))
    found = match_clusters(labels, clusters, 4)
    accuracy, nmi, ari = by_definition(labels, clusters, 4)
    np.testing.assert_allclose([found.accuracy, found.nmi, found.ari], [100 * accuracy, nmi, ari], rtol=1e-6)
    own = np.array(found.match)[clusters]
    assert found.accuracy == pytest.approx(100 * np.mean(own == labels))


def test_renamed_classes_are_a_perfect_clustering() -> None:
    labels = np.arange(30) % 3
    found = match_clusters(labels, np.array([1, 2, 0])[labels], 3)
    assert (found.accuracy, found.nmi, found.ari, found.match) == (100.0, 1.0, 1.0, [2, 0, 1])


def test_one_cluster_for_everything() -> None:
    """A network that uses one class only: the largest class is right, and nothing is known of the classes."""
    found = match_clusters(np.array([0, 0, 1, 2]), np.full(4, 2), 3)
    assert found.accuracy == 50 and found.match[2] == 0
    np.testing.assert_allclose([found.nmi, found.ari], 0, atol=1e-12)
