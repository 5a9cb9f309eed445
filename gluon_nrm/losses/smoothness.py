"""Smoothness of a classifier along a direction: Jacobian and tangent terms of Kumar et al. 2017."""

from __future__ import annotations

from mxnet.gluon import HybridBlock

from gluon_nrm.typing import Operators, Tensor


class Smoothness(HybridBlock):
    """Squared length of the scores' derivative along a direction, by a finite difference.

    sum_k (l_k(x + e v) - l_k(x))^2 / e^2 is close to |J v|^2, J the Jacobian of the scores and v a direction
    of length 1: a random one penalises the Jacobian, a tangent of the data manifold asks for invariance along
    it (Kumar et al. 2017, Section 2). Both passes carry a gradient.

    Called with the class scores, or probabilities, of the images (B, K), of the moved images (B, K), and the
    step e (B,), above 0, in units of a normalised pixel. Returns (B,). Range [0, inf).
    """

    def hybrid_forward(self, F: Operators, clean: Tensor, moved: Tensor, step: Tensor) -> Tensor:
        return F.sum(F.square(moved - clean), axis=1) / F.square(step)
