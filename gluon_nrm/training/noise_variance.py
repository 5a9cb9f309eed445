"""Maximum-likelihood estimate of sigma^2 from the residuals of the images."""

from __future__ import annotations

from typing import Any, Iterable

import mxnet as mx
import numpy as np

from gluon_nrm.data.pipeline.streams import Batch
from gluon_nrm.models import Network
from gluon_nrm.models.reconstruct import Reconstructor


def estimate_noise_variance(net: Network, batches: Iterable[Batch], device: Any) -> float:
    """Estimate sigma^2 as the mean of || x - h(0) ||^2 / D over images of D pixels.

    h(0) renders the predicted class along the path that the Max branch infers. It is the estimate for
    x ~ N(h(0), sigma^2 I) with that class and path (Definition 3.1), in the units of normalised images.

    Args:
        net: a network that renders.
        batches: normalised images, at least one.
        device: the device to compute on.
    """
    reconstructor, total, values = Reconstructor(net), 0.0, 0
    for batch in batches:
        x = mx.nd.array(batch.images, ctx=device)
        rendered = reconstructor(x, -mx.nd.ones(len(x), ctx=device)).images[0]
        residual = (x - rendered).asnumpy()
        total += float(np.square(residual, dtype=np.float64).sum())
        values += residual.size
    return total / values
