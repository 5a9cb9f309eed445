"""Error of a network, of its branches and of both together."""

from __future__ import annotations

from typing import Any, Dict, Iterable

import mxnet as mx
import numpy as np

from gluon_nrm.data.streams import Batch
from gluon_nrm.models import Network


def error_rates(net: Network, batches: Iterable[Batch], device: Any) -> Dict[str, float]:
    """Share of wrongly classified images, in per cent, each image counted once.

    Returns:
        ``""`` by the weighted logits; with Max-Min also ``"_max"`` and ``"_min"`` by each branch alone.
    """
    wrong = {"": 0}
    if net.options.maxmin:
        wrong.update({"_max": 0, "_min": 0})
    images = 0
    for batch in batches:
        prediction = net(mx.nd.array(batch.images, ctx=device))
        for suffix in wrong:
            scores = getattr(prediction, f"logits{suffix}").asnumpy()
            wrong[suffix] += int(np.sum(scores.argmax(axis=1) != batch.labels))
        images += len(batch.labels)
    return {suffix: 100.0 * count / images for suffix, count in wrong.items()}
