"""The empirical-margin curve, and the generalisation bound that Theorem 4.2 builds on.

Koltchinskii and Panchenko's bound, with the paper's count of rendering paths in the complexity: for every
margin gamma in (0, 1] at once, with probability 1 - delta over n labelled images,

    P(error) <= P_n(margin <= gamma) + complexity / (gamma sqrt(n)) + sqrt(log log2(2 / gamma) / n)
                + sqrt(log(2 / delta) / (2 n)),
    complexity = 4 K (2K - 1) (active paths) (R^2 + 1) (|log gamma_bar| + 1).

"Active paths" is (ratio of active paths) (number of all paths). The paper leaves some choices open. Here the
margin is q(y|x) - max_{y' != y} q(y'|x), of class probabilities, in [-1, 1]; R is the largest norm of a
rendered image (the radius of Theorem 4.2); gamma_bar is the smallest class prior pi_y; delta is 0.05.
"""

from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np

from gluon_nrm.errors import DataError

#: Margins at which curve and bound are computed.
GAMMAS = np.linspace(0.01, 1.0, 100)


class MarginBound(NamedTuple):
    """The bound at its best margin, term by term; large numbers as natural logarithms."""

    gamma: float
    #: share of images with a margin of at most gamma
    empirical: float
    log_complexity_term: float
    #: sum of the two square roots
    confidence: float
    #: log of the whole bound on P(error)
    log_bound: float
    #: True if the bound is 1 or more
    vacuous: bool


def margins(posterior: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Margin of every image, (B,), in [-1, 1], from class probabilities (B, K) and classes (B,)."""
    rows, labels = np.arange(len(labels)), np.asarray(labels, dtype=int)
    others = posterior.copy()
    others[rows, labels] = -np.inf
    return posterior[rows, labels] - others.max(axis=1)


def margin_curve(found: np.ndarray, gammas: Sequence[float] = tuple(GAMMAS)) -> np.ndarray:
    """Share of images with a margin of at most gamma, for each gamma."""
    return np.array([(found <= gamma).mean() for gamma in gammas])


def log_complexity(classes: int, active: int, radius: float, smallest_prior: float) -> float:
    """Natural logarithm of the complexity.

    Args:
        classes: K.
        active: distinct active paths of the whole network.
        radius: R, the largest norm of a rendered image.
        smallest_prior: gamma_bar, the smallest class prior.
    """
    factors = (
        4.0 * classes * (2 * classes - 1), active, radius**2 + 1.0, abs(np.log(smallest_prior)) + 1.0
    )  # fmt: skip
    return float(sum(np.log(factor) for factor in factors))


def margin_bound(found: np.ndarray, log_complexity: float, delta: float = 0.05) -> MarginBound:
    """Compute the bound at the margin where it is smallest.

    Args:
        found: margins of the labelled training images, (n,).
        log_complexity: result of ``log_complexity``.
        delta: probability that the bound fails.

    Raises:
        DataError: there is no image.
    """
    n = len(found)
    if not n:
        raise DataError("there is no labelled image, and so no margin")
    curve = margin_curve(found)
    confidence = np.sqrt(np.log(np.log2(2 / GAMMAS)) / n) + np.sqrt(np.log(2 / delta) / (2 * n))
    terms = log_complexity - np.log(GAMMAS) - 0.5 * np.log(n)
    logs = np.logaddexp(terms, np.log(curve + confidence))
    best = int(logs.argmin())
    return MarginBound(
        float(GAMMAS[best]), float(curve[best]), float(terms[best]), float(confidence[best]),
        float(logs[best]), bool(logs[best] >= 0),
    )  # fmt: skip
