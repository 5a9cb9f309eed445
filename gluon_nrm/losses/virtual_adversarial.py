"""Local distributional smoothness (virtual adversarial training, Miyato et al. 2018, equations 5 and 6)."""

from __future__ import annotations

import mxnet as mx
from mxnet.gluon import HybridBlock

from gluon_nrm.typing import Operators, Tensor

EPSILON = 1e-8


class VirtualAdversarial(HybridBlock):
    """KL divergence between the predictions of clean and perturbed image: sum_k p_k (log p_k - log q_k).

    Called with the class probabilities of the clean image, p (B, K), held constant, and of the perturbed
    image, q (B, K), which get the gradient. 1e-8 is added to every probability before its logarithm, because
    a mixture of branches has no log-softmax. Range [0, inf) up to rounding.
    """

    def hybrid_forward(self, F: Operators, clean: Tensor, perturbed: Tensor) -> Tensor:
        # paused for eager runs: MXNet 1.9.1 crashes in the backward pass of layers that get no gradient
        with mx.autograd.pause():
            p = F.BlockGrad(clean)
        return F.sum(p * (F.log(p + EPSILON) - F.log(perturbed + EPSILON)), axis=1)
