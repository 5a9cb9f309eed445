"""Errors and predictions of a network: by the weighted logits, and by each branch.

A network that learned without labels numbers its classes as it likes. Its clusters are matched to the
classes of the evaluated images one to one, and its errors are counted after that.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

import mxnet as mx
import numpy as np

from gluon_nrm.data.pipeline.streams import Batch
from gluon_nrm.models import Network
from gluon_nrm.predict.classifier import softmax
from gluon_nrm.runs.clusters import Clustering, match_clusters
from gluon_nrm.runs.evaluation_record import Predicted

#: From so many classes on the top-5 error is counted too, as on ImageNet.
MANY_CLASSES = 1000


class NetworkResult(NamedTuple):
    """Evaluation of one network."""

    #: per cent, as ``error_rates`` returns them
    errors: Dict[str, float]
    #: by the weighted logits; clusters are replaced by their classes
    predicted: Predicted
    #: agreement of the clusters of the weighted logits with the classes; None for a network that had labels
    clustering: Optional[Clustering] = None


def error_rates(net: Network, batches: Iterable[Batch], device: Any) -> Dict[str, float]:
    """Share of wrongly classified images, in per cent, each image counted once.

    Returns:
        ``""`` by the weighted logits; with Max-Min also ``"_max"`` and ``"_min"`` by each branch alone; with
        ``MANY_CLASSES`` also ``"_top5"``: the true class is not among the five best of the weighted logits.
    """
    return evaluate_network(net, batches, device).errors


def evaluate_network(
    net: Network, batches: Iterable[Batch], device: Any, clusters: bool = False
) -> NetworkResult:
    """Compute the ``error_rates`` and the predictions of a network.

    Args:
        net: the network.
        batches: images with their true classes.
        device: the device to compute on.
        clusters: True for a network that learned without labels: match its clusters to the classes.
    """
    result, branches = _evaluate(net, batches, device)
    if not clusters:
        return result
    labels = result.predicted.labels
    matched = {suffix: match_clusters(labels, each, net.classes) for suffix, each in branches.items()}
    errors = {suffix: 100.0 - each.accuracy for suffix, each in matched.items()}
    own = np.array(matched[""].match, dtype=np.int64)
    predicted = replace(result.predicted, classes=own[result.predicted.classes])
    return NetworkResult(errors, predicted, matched[""])


def _evaluate(
    net: Network, batches: Iterable[Batch], device: Any
) -> Tuple[NetworkResult, Dict[str, np.ndarray]]:
    """Evaluate a network; also return the predicted classes (N,) of the mixture and of each branch."""
    wrong = {"": 0}
    if net.options.maxmin:
        wrong.update({"_max": 0, "_min": 0})
    top5 = {"_top5": 0} if net.classes >= MANY_CLASSES else {}
    found: List[Predicted] = []
    branches: Dict[str, List[np.ndarray]] = {suffix: [] for suffix in wrong}
    for batch in batches:
        prediction = net(mx.nd.array(batch.images, ctx=device))
        labels = batch.labels.astype(np.int64)
        for suffix in wrong:
            scores = getattr(prediction, f"logits{suffix}").asnumpy()
            branches[suffix].append(scores.argmax(axis=1))
            wrong[suffix] += int(np.sum(branches[suffix][-1] != labels))
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
    return NetworkResult(errors, predicted), {name: np.concatenate(each) for name, each in branches.items()}


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
