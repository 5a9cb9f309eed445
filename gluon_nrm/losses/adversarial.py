"""Losses of adversarial methods on class scores and on the scores of a discriminator.

A classifier with K scores l is also a discriminator: with a score of 0 for a further class "generated", the
probability that an image is real is Z / (Z + 1) = sigmoid(log Z), log Z = log sum_k exp(l_k) (Salimans et al.
2016, Section 5). So "real or generated" is the log-sum-exp of the class scores against 0.
"""

from __future__ import annotations

from mxnet.gluon import HybridBlock

from gluon_nrm.typing import Operators, Tensor


def log_sum_exp(F: Operators, scores: Tensor) -> Tensor:
    """Compute log sum_k exp(l_k) of class scores (B, K), (B,), without overflow."""
    largest = F.BlockGrad(F.max(scores, axis=1, keepdims=True))
    total = F.sum(F.exp(F.broadcast_sub(scores, largest)), axis=1)
    return F.log(total) + F.reshape(largest, (-1,))


def softplus(F: Operators, x: Tensor) -> Tensor:
    """Compute log(1 + exp(x)) without overflow."""
    return F.Activation(x, act_type="softrelu")


class RealImage(HybridBlock):
    """Negative log probability that an unlabelled image is real: softplus(-log sum_k exp(l_k)).

    The same number as softplus(log Z) - log Z (Salimans et al. 2016, Section 5). Called with class scores
    (B, K) and labels (B,), -1 for no label. A labelled image has its cross-entropy alone: its loss and
    gradient are exactly 0. Returns (B,). Range [0, inf).
    """

    def hybrid_forward(self, F: Operators, scores: Tensor, label: Tensor) -> Tensor:
        return softplus(F, -log_sum_exp(F, scores)) * (label < 0)


class GeneratedSample(HybridBlock):
    """Negative log probability that a generated sample is generated: softplus(log sum_k exp(l_k)).

    Salimans et al. 2016, Section 5. Called with class scores (B, K). Returns (B,). Range [0, inf).
    """

    def hybrid_forward(self, F: Operators, scores: Tensor) -> Tensor:
        return softplus(F, log_sum_exp(F, scores))


class FoolingLoss(HybridBlock):
    """Loss of ALI's encoder and generator: each is to be taken for the other.

    softplus(log Z) of encoded pairs + softplus(-log Z) of generated pairs, Z = sum_k exp(l_k) (Dumoulin et
    al. 2017, Algorithm 1). Called with class scores of encoded pairs (B, K) and of generated pairs (B, K).
    Returns (B,). Range [0, inf).
    """

    def hybrid_forward(self, F: Operators, encoded: Tensor, generated: Tensor) -> Tensor:
        return softplus(F, log_sum_exp(F, encoded)) + softplus(F, -log_sum_exp(F, generated))


class Discrimination(HybridBlock):
    """Loss of a discriminator of images and renderings: softplus(-s) of images + softplus(s) of renderings.

    Goodfellow et al. 2014, equation 1, with scores s before the sigmoid, real above 0. Called with the scores
    of images (B,) and of renderings (B',). Returns the sum of both means, (1,). Range [0, inf).
    """

    def hybrid_forward(self, F: Operators, real: Tensor, rendered: Tensor) -> Tensor:
        means = [F.mean(softplus(F, score), axis=0, keepdims=True) for score in (-real, rendered)]
        return means[0] + means[1]


class Deception(HybridBlock):
    """Loss of renderings that a discriminator is to take for images: softplus(-s).

    The non-saturating form (Goodfellow et al. 2014, Section 3). Called with scores (B,). Returns (B,). Range
    [0, inf).
    """

    def hybrid_forward(self, F: Operators, rendered: Tensor) -> Tensor:
        return softplus(F, -rendered)
