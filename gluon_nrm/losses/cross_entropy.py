"""Cross-entropy of one branch, and the Max-Min cross-entropy of two (Section 5)."""

from __future__ import annotations

from typing import Any, Tuple

from mxnet.gluon import HybridBlock

from gluon_nrm.typing import Operators, Tensor


class CrossEntropy(HybridBlock):
    """alpha_max H(p, q_max) + alpha_min H(p, q_min); with one branch, the cross-entropy of Theorem 3.3a.

    Called with labels (B,) and the logits (B, K) of each branch. An image without a label (-1) has loss and
    gradient exactly 0. Range [0, inf).
    """

    def __init__(self, classes: int, alphas: Tuple[float, ...] = (1.0,), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._classes, self._alphas = classes, alphas

    def hybrid_forward(self, F: Operators, label: Tensor, *logits: Tensor) -> Tensor:
        target = F.one_hot(label, self._classes)  # a row of zeros for label -1
        losses = [
            F.sum(target * F.log_softmax(each), axis=1) * -alpha for alpha, each in zip(self._alphas, logits)
        ]
        return losses[0] if len(losses) == 1 else losses[0] + losses[1]
