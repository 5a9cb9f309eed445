"""Entropy of the prediction, a term of the released experiments; it is not in equation 12."""

from __future__ import annotations

from typing import Any

from mxnet.gluon import HybridBlock

from gluon_nrm.typing import Operators, Tensor

EPSILON = 1e-8


class Entropy(HybridBlock):
    """Entropy of q minus log K: - sum_k q_k log(K q_k + 1e-8).

    Minimising it makes predictions confident. Called with class probabilities (B, K). Range [-log K, 0].
    """

    def __init__(self, classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._classes = classes

    def hybrid_forward(self, F: Operators, q: Tensor) -> Tensor:
        return -F.sum(q * F.log(q * self._classes + EPSILON), axis=1)
