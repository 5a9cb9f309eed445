"""Clusters compared with classes: classes that a network found without labels have their own numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Sequence

import numpy as np


@dataclass(frozen=True)
class Clustering:
    """Agreement of predicted clusters with true classes."""

    #: per cent of the images whose cluster is matched to their class; clusters and classes one to one
    accuracy: float
    #: normalised mutual information, 0 to 1 (arithmetic mean of both entropies)
    nmi: float
    #: Rand index adjusted for chance: 0 for a random clustering, 1 for the classes
    ari: float
    #: class of each of the K clusters
    match: List[int]


def match_clusters(labels: np.ndarray, clusters: np.ndarray, classes: int) -> Clustering:
    """Match clusters to classes one to one, with as many images as possible in their own class.

    Args:
        labels: true classes, (N,).
        clusters: predicted clusters, (N,).
        classes: number of classes and of clusters, K.
    """
    # their import takes a second
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (clusters, labels), 1)
    rows, match = linear_sum_assignment(counts, maximize=True)
    return Clustering(
        accuracy=100.0 * int(counts[rows, match].sum()) / len(labels),
        nmi=float(normalized_mutual_info_score(labels, clusters)),
        ari=float(adjusted_rand_score(labels, clusters)),
        match=[int(each) for each in match],
    )


def cluster_names(class_names: Sequence[str], match: Optional[Sequence[int]]) -> List[str]:
    """Name clusters by number and matched class: ``cluster 3 (class 7)``; without a match ``cluster 3``.

    Args:
        class_names: names of the K classes.
        match: class of each of the K clusters (``Clustering.match``); None: not known.
    """
    if match is None:
        return [f"cluster {number}" for number in range(len(class_names))]
    return [f"cluster {number} (class {class_names[label]})" for number, label in enumerate(match)]
