"""Error rates: each image once, by the mixture and each branch, and among the five best of many classes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, List

import mxnet as mx
import numpy as np
import pytest

from gluon_nrm.data import Batch
from gluon_nrm.models import Prediction
from gluon_nrm.training import evaluate
from gluon_nrm.training.evaluate import count_missed, error_rates


def batches(labels: np.ndarray, sizes: List[int]) -> List[Batch]:
    """Images that hold nothing but their own number."""
    ends = np.cumsum(sizes)
    numbers = np.arange(len(labels), dtype=np.float32).reshape(-1, 1, 1, 1)
    return [Batch(numbers[end - size : end], labels[end - size : end]) for size, end in zip(sizes, ends)]


def network(classes: int, *scores: np.ndarray) -> Any:
    """Looks each image's scores up, of the mixture and of each branch."""

    def run(images: mx.nd.NDArray) -> Prediction:
        numbers = images.asnumpy().astype(int).ravel()
        return Prediction(*[mx.nd.array(each[numbers]) for each in scores])

    run.options = SimpleNamespace(maxmin=len(scores) > 2)  # type: ignore[attr-defined]
    run.classes = classes  # type: ignore[attr-defined]
    return run


def test_branches_and_a_short_last_batch() -> None:
    labels = np.array([0, 1, 2, 0, 1], dtype=np.float32)
    right = np.eye(3)[labels.astype(int)]
    all_zero = np.tile([1.0, 0.0, 0.0], (5, 1))
    one_wrong = right.copy()
    one_wrong[4] = [0, 0, 1]
    found = error_rates(network(3, one_wrong, right, all_zero), batches(labels, [2, 2, 1]), mx.cpu())
    assert found == {"": 20.0, "_max": 0.0, "_min": 60.0}
    assert error_rates(network(3, one_wrong, one_wrong), batches(labels, [5]), mx.cpu()) == {"": 20.0}


def test_top5_of_many_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "MANY_CLASSES", 8)
    ranks = np.array([0, 4, 5, 7])  # of the true class among eight
    labels = np.array([3, 0, 7, 1], dtype=np.float32)
    scores = np.zeros((4, 8))
    for row, (rank, label) in enumerate(zip(ranks, labels.astype(int))):
        others = [c for c in range(8) if c != label]
        order = [*others[:rank], label, *others[rank:]]
        scores[row, order] = np.arange(8, 0, -1)
    found = error_rates(network(8, scores, scores), batches(labels, [3, 1]), mx.cpu())
    assert found == {"": 75.0, "_top5": 50.0}
    assert [count_missed(scores, labels, best) for best in (1, 5, 6, 8)] == [3, 2, 1, 0]
