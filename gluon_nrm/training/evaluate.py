"""Errors and predictions of a network: by the weighted logits, and by each branch."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, NamedTuple

import mxnet as mx
import numpy as np

from gluon_nrm.data.pipeline.streams import Batch
from gluon_nrm.models import Network
from gluon_nrm.predict.classifier import softmax
from gluon_nrm.runs.evaluation_record import Predicted

#: From so many classes on the top-5 error is counted too, as on ImageNet.
MANY_CLASSES = 1000


class NetworkResult(NamedTuple):
    """Evaluation of one network."""

    #: per cent, as ``error_rates`` returns them
    errors: Dict[str, float]
    #: by the weighted logits
    predicted: Predicted


def error_rates(net: Network, batches: Iterable[Batch], device: Any) -> Dict[str, float]:
    """Share of wrongly classified images, in per cent, each image counted once.

    Returns:
        ``""`` by the weighted logits; with Max-Min also ``"_max"`` and ``"_min"`` by each branch alone; with
        ``MANY_CLASSES`` also ``"_top5"``: the true class is not among the five best of the weighted logits.
    """
    return evaluate_network(net, batches, device).errors


def evaluate_network(net: Network, batches: Iterable[Batch], device: Any) -> NetworkResult:
    """Compute the ``error_rates`` and the predictions of a network."""
    wrong = {"": 0}
    if net.options.maxmin:
        wrong.update({"_max": 0, "_min": 0})
    top5 = {"_top5": 0} if net.classes >= MANY_CLASSES else {}
    found: List[Predicted] = []
    for batch in batches:
        prediction = net(mx.nd.array(batch.images, ctx=device))
        labels = batch.labels.astype(np.int64)
        for suffix in wrong:
            scores = getattr(prediction, f"logits{suffix}").asnumpy()
            wrong[suffix] += int(np.sum(scores.argmax(axis=1) != labels))
        scores = prediction.logits.asnumpy()
        found.append(_predicted(scores, labels))
        for suffix in top5:
            top5[suffix] += count_missed(scores, labels, best=5)
    predicted = Predicted(
        *(
            np.concatenate([getattr(each, name) for each in found])
            for name in ("labels", "classes", "probabilities")
        )
    )
    images = len(predicted.labels)
    errors = {suffix: 100.0 * count / images for suffix, count in {**wrong, **top5}.items()}
    return NetworkResult(errors, predicted)


def _predicted(scores: np.ndarray, labels: np.ndarray) -> Predicted:
    """Make the predictions of a batch from scores (B, K)."""
    classes = scores.argmax(axis=1)
    with np.errstate(invalid="ignore", over="ignore"):  # scores of a failed run may be infinite
        probabilities = softmax(scores.astype(np.float64))
    return Predicted(labels, classes, probabilities[np.arange(len(labels)), classes])


def count_missed(scores: np.ndarray, labels: np.ndarray, best: int) -> int:
    """Count the images whose label (B,) is not among the ``best`` classes by ``scores`` (B, K)."""
    own = scores[np.arange(len(labels)), labels.astype(np.int64)]
    better = np.sum(scores > own[:, None], axis=1)
    return int(np.sum(better >= best))
