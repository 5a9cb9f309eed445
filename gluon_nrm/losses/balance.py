"""Class balance: the entropy of the mean prediction, maximised, for learning without labels."""

from __future__ import annotations

from typing import Any

from mxnet.gluon import HybridBlock

from gluon_nrm.losses.entropy import EPSILON
from gluon_nrm.typing import Operators, Tensor


class Balance(HybridBlock):
    """Log K minus the entropy of the mean prediction m of a batch: sum_k m_k log(K m_k + 1e-8).

    Minimising it uses all classes equally often. With ``Entropy``, it maximises the mutual information of
    image and class (Bridle et al. 1991). Called with class probabilities (B, K) of one device; returns one
    number for the batch, repeated for every image, (B,). Range [0, log K].
    """

    def __init__(self, classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._classes = classes

    def hybrid_forward(self, F: Operators, q: Tensor) -> Tensor:
        mean = F.mean(q, axis=0, keepdims=True)
        weighed = mean * F.log(mean * self._classes + EPSILON)
        return F.sum(F.broadcast_mul(F.ones_like(q), weighed), axis=1)
