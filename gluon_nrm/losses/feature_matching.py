"""Feature matching, the generator's loss of Improved GAN (Salimans et al. 2016, Section 3.1)."""

from __future__ import annotations

from mxnet.gluon import HybridBlock

from gluon_nrm.typing import Operators, Tensor


class FeatureMatching(HybridBlock):
    """Squared distance of the mean features of images and of generated images: |E f(x) - E f(G(z))|^2.

    The paper's form; the authors' program for CIFAR-10 takes the mean of the absolute differences. Called
    with the features of images (B, N) and of generated images (B', N). Returns one number for the batch,
    (1,). Range [0, inf).
    """

    def hybrid_forward(self, F: Operators, real: Tensor, generated: Tensor) -> Tensor:
        difference = F.mean(real, axis=0) - F.mean(generated, axis=0)
        return F.sum(F.square(difference), axis=0, keepdims=True)
