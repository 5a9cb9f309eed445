"""Local distributional smoothness (virtual adversarial training, Miyato et al. 2018, equations 5 and 6)."""

from __future__ import annotations

import mxnet as mx
from mxnet.gluon import HybridBlock

from gluon_nrm.typing import Operators, Tensor

EPSILON = 1e-8


class VirtualAdversarial(HybridBlock):
    """KL divergence of the perturbed image's prediction from the clean one's: sum_k p_k (log p_k - log q_k).

    Called with the clean class probabilities p (B, K), held constant, and those of the perturbed image, q
    (B, K), which receive the gradient. Both logarithms are of the probability + 1e-8, which a mixture of
    branches needs. Range [0, inf) but for rounding.
    """

    def hybrid_forward(self, F: Operators, clean: Tensor, perturbed: Tensor) -> Tensor:
        # not recorded when run eagerly: MXNet 1.9.1 crashes on its way back into layers that get no gradient
        with mx.autograd.pause():
            p = F.BlockGrad(clean)
        return F.sum(p * (F.log(p + EPSILON) - F.log(perturbed + EPSILON)), axis=1)
