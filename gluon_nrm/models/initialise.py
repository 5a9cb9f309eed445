"""Initialisation of a network's parameters."""

from __future__ import annotations

from typing import Callable, Dict, List, Optional

import mxnet as mx

from gluon_nrm.backbones.initialise import initialiser
from gluon_nrm.errors import ModelError
from gluon_nrm.models.interface.network import Network

#: Initialisers of filters and class templates, by name; other parameters have initialisers of their own.
SCHEMES: Dict[str, Callable[[], mx.init.Initializer]] = {
    "released": lambda: mx.init.Xavier(rnd_type="uniform", factor_type="avg", magnitude=3),
    "he": initialiser,
}


def initialise(
    net: Network, ctx: Optional[List[mx.Context]] = None, seed: Optional[int] = None, scheme: str = "released"
) -> Network:
    """Initialise a network and return it.

    In the released scheme filters and class templates are Xavier uniform over the average fan (magnitude 3).
    In a network built from a list of layers, gammas are N(1, 0.02), biases, betas and running means 0, and
    running variances 1. Other networks have their own initialisers for those.

    Args:
        net: a network that has not been initialised.
        ctx: the devices to hold it (default: the current one).
        seed: seed for MXNet's random stream; None does not seed it.
        scheme: "released", or "he" (``gluon_nrm.backbones.initialiser``).

    Raises:
        ModelError: there is no such scheme.
    """
    if scheme not in SCHEMES:
        raise ModelError(f"model.initialiser: {scheme!r} is not one of {', '.join(SCHEMES)}")
    if seed is not None:
        mx.random.seed(seed)
    net.initialize(SCHEMES[scheme](), ctx=ctx)
    return net
