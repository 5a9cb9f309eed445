"""Error of a network, of its branches and of both together."""

from __future__ import annotations

from typing import Any, Dict, Iterable

import mxnet as mx
import numpy as np

from gluon_nrm.data.pipeline.streams import Batch
from gluon_nrm.models import Network

#: From so many classes on the top-5 error is counted too, as on ImageNet.
MANY_CLASSES = 1000


def error_rates(net: Network, batches: Iterable[Batch], device: Any) -> Dict[str, float]:
    """Share of wrongly classified images, in per cent, each image counted once.

    Returns:
        ``""`` by the weighted logits; with Max-Min also ``"_max"`` and ``"_min"`` by each branch alone; with
        ``MANY_CLASSES`` also ``"_top5"``: the true class is not among the five best of the weighted logits.
    """
    wrong = {"": 0}
    if net.options.maxmin:
        wrong.update({"_max": 0, "_min": 0})
    top5 = {"_top5": 0} if net.classes >= MANY_CLASSES else {}
    images = 0
    for batch in batches:
        prediction = net(mx.nd.array(batch.images, ctx=device))
        for suffix in wrong:
            scores = getattr(prediction, f"logits{suffix}").asnumpy()
            wrong[suffix] += int(np.sum(scores.argmax(axis=1) != batch.labels))
        for suffix in top5:
            top5[suffix] += count_missed(prediction.logits.asnumpy(), batch.labels, best=5)
        images += len(batch.labels)
    return {suffix: 100.0 * count / images for suffix, count in {**wrong, **top5}.items()}


def count_missed(scores: np.ndarray, labels: np.ndarray, best: int) -> int:
    """Count the images whose label (B,) is not among the ``best`` classes by ``scores`` (B, K)."""
    own = scores[np.arange(len(labels)), labels.astype(np.int64)]
    better = np.sum(scores > own[:, None], axis=1)
    return int(np.sum(better >= best))
