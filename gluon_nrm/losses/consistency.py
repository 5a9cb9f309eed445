"""Consistency with a teacher (Mean Teacher, Tarvainen and Valpola 2017)."""

from __future__ import annotations

from typing import Any, Tuple

from mxnet.gluon import HybridBlock

from gluon_nrm.typing import Operators, Tensor


class Probabilities(HybridBlock):
    """Mixture of the branches' probabilities: alpha_max softmax(max) + alpha_min softmax(min), (B, K)."""

    def __init__(self, alphas: Tuple[float, ...] = (1.0,), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._alphas = alphas

    def hybrid_forward(self, F: Operators, *logits: Tensor) -> Tensor:
        if len(logits) == 1:
            return F.softmax(logits[0])
        return F.softmax(logits[0]) * self._alphas[0] + F.softmax(logits[1]) * self._alphas[1]


class Consistency(HybridBlock):
    """Half the mean over the classes of the squared difference of probabilities.

    Called with the student's probabilities (B, K), which receive the gradient, and the teacher's, held
    constant. Range [0, 1 / K].
    """

    def hybrid_forward(self, F: Operators, student: Tensor, teacher: Tensor) -> Tensor:
        return F.mean(F.square(student - F.BlockGrad(teacher)), axis=1) * 0.5
