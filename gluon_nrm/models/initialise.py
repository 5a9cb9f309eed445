"""How parameters start."""

from __future__ import annotations

from typing import Any, List, Optional

import mxnet as mx

from gluon_nrm.models.base import Network


def initialise(net: Network, ctx: Optional[List[Any]] = None, seed: Optional[int] = None) -> Network:
    """Initialise a network as the released experiments do, and return it.

    Filters and class templates are Xavier uniform over the average fan (magnitude 3), gammas N(1, 0.02),
    biases, betas and running means 0, running variances 1.

    Args:
        net: a network that has not been initialised.
        ctx: the devices to hold it (default: the current one).
        seed: seed of MXNet's random stream, set first; None leaves the stream alone.
    """
    if seed is not None:
        mx.random.seed(seed)
    net.initialize(mx.init.Xavier(rnd_type="uniform", factor_type="avg", magnitude=3), ctx=ctx)
    return net
