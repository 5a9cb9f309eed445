"""Consistency with a teacher: Laine and Aila 2017 (Pi, Temporal Ensembling), Tarvainen and Valpola 2017."""

from __future__ import annotations

from typing import Any, Tuple

from mxnet.gluon import HybridBlock

from gluon_nrm.typing import Operators, Tensor

#: Stands for every probability of an image that has no target yet.
NO_TARGET = -1.0


class Probabilities(HybridBlock):
    """Mix the probabilities of the branches: alpha_max softmax(max) + alpha_min softmax(min), (B, K)."""

    def __init__(self, alphas: Tuple[float, ...] = (1.0,), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._alphas = alphas

    def hybrid_forward(self, F: Operators, *logits: Tensor) -> Tensor:
        if len(logits) == 1:
            return F.softmax(logits[0])
        return F.softmax(logits[0]) * self._alphas[0] + F.softmax(logits[1]) * self._alphas[1]


class Consistency(HybridBlock):
    """Half the mean over the classes of the squared difference of probabilities.

    Called with the student's probabilities (B, K), which get the gradient, and the teacher's (B, K), which
    are held constant. Range [0, 1 / K].

    Args:
        partial: an image may have no target, a row of ``NO_TARGET``; its loss and gradient are exactly 0.
    """

    def __init__(self, partial: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._partial = partial

    def hybrid_forward(self, F: Operators, student: Tensor, teacher: Tensor) -> Tensor:
        difference = student - F.BlockGrad(teacher)
        if self._partial:
            difference = difference * F.BlockGrad(teacher >= 0)
        return F.mean(F.square(difference), axis=1) * 0.5
