"""Initialisers of the papers' experiments."""

from __future__ import annotations

import math

import mxnet as mx

from gluon_nrm.errors import ModelError
from gluon_nrm.typing import Tensor

INITIALISERS = {"he": "out", "he_fan_in": "in"}


class HeNormal(mx.init.Initializer):
    """Filters from N(0, 2 / ((1 + slope^2) n)), He et al. 2015, Sections 2.2; the classifier uniform.

    n is the fan: filter pixels times output channels (fan "out", Equation 14) or times input channels of a
    group (fan "in", Equation 10). The classifier's weight is from U(-1/sqrt(C), 1/sqrt(C)) for C features,
    as in the authors' programs, which use Torch's default. Norms and biases have initialisers of their own
    (1 and 0).
    """

    def __init__(self, fan: str = "out", slope: float = 0.0) -> None:
        super().__init__(fan=fan, slope=slope)
        self._fan, self._gain = fan, 2.0 / (1.0 + slope**2)

    def _init_weight(self, _: str, array: Tensor) -> None:
        out_channels, in_channels, *window = array.shape
        if not window:
            bound = 1.0 / math.sqrt(in_channels)
            mx.random.uniform(-bound, bound, out=array)
            return
        fan = math.prod(window) * (out_channels if self._fan == "out" else in_channels)
        mx.random.normal(0.0, math.sqrt(self._gain / fan), out=array)


def initialiser(name: str = "he", slope: float = 0.0) -> HeNormal:
    """Return an initialiser for ``net.initialize``.

    Args:
        name: "he" scales filters by their output channels, as the programs of He et al. (2016), Xie et al.
            (2017), Huang et al. (2017) and Gastaldi (2017) do; "he_fan_in" by their input channels.
        slope: slope of the network's leaky ReLU below zero.

    Raises:
        ModelError: there is no such initialiser.
    """
    if name not in INITIALISERS:
        raise ModelError(f"there is no initialiser {name!r}; give one of {', '.join(INITIALISERS)}")
    return HeNormal(INITIALISERS[name], slope)
