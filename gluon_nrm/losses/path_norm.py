"""Rendering Path Normalisation: the negative log prior of the inferred rendering path (Theorem 3.3b).

Three forms of one interface, ``PathNorm.of``: ``layerwise``, ``mode`` and ``exact`` (``exact_path_norm``).
"""

from __future__ import annotations

from typing import Any, List, Optional, Sequence

import numpy as np
from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import Parameter

from gluon_nrm.layers.sharing import share
from gluon_nrm.models.network import JointPass, Network
from gluon_nrm.rules.prior_score import prior_score
from gluon_nrm.rules.statistics import spatial_mean
from gluon_nrm.typing import Operators, Tensor


class PathNorm(HybridBlock):
    """One form of Rendering Path Normalisation; ``of`` takes from a joint pass what it is called with."""

    def of(self, F: Operators, net: Network, x: Tensor, joint: JointPass) -> Tensor:
        """Normalise the Max branch's paths of images x (B, C, H, W): a loss per image, (B,).

        Args:
            F: the operator module.
            net: the network, built for this form (``NRMOptions.path_norm``).
            x: the images.
            joint: the network's pass over them, rendering included.
        """
        raise NotImplementedError


def _distance(F: Operators, image: Tensor, other: Tensor) -> Tensor:
    """| image - other |, mean over the pixels of a map: (B, C); ``other`` may be of one image."""
    # the leaky ReLU of slope -1: on the CPU the gradient of `abs` costs thirteen times as much
    distance = F.LeakyReLU(F.broadcast_sub(image, other), act_type="leaky", slope=-1.0)
    return F.reshape(spatial_mean(F, distance), shape=(0, 0))


class ClassPriorNorm(PathNorm):
    """-log pi_y of the rendered class, which makes -log pi(z|y) that of class and path together, pi(y, z).

    log pi_y is the log-softmax of the classifier's bias (Theorem 3.2: the bias is log pi_y). Called with the
    class code (B, K); range [0, inf).

    Args:
        class_bias: the classifier's bias, (K,).
    """

    def __init__(self, class_bias: Parameter, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        share(self, "class_bias", class_bias)

    def hybrid_forward(self, F: Operators, code: Tensor, class_bias: Tensor) -> Tensor:
        return -F.dot(code, F.log_softmax(class_bias))

    def of(self, F: Operators, net: Network, x: Tensor, joint: JointPass) -> Tensor:
        """See ``PathNorm``."""
        return self(joint.code)


class LayerwisePathNorm(PathNorm):
    """The released experiments' form: the image's path against the zero image's, layer by layer.

    sum_l mean_{C,H,W} | b(l) . s(l) . h(l) - b(l) . s0(l) . h0(l) |, with s(l) . h(l) and s0(l) . h0(l) as in
    ``Rendering.masked``. Range [0, inf).

    Called with two lists, a (B, C, H, W) map a layer each, the image's and the zero image's (which may have
    batch size 1). Gradient flows into both and into the biases.

    Args:
        biases: b(l) of every layer, in the order of the lists.
    """

    def __init__(self, biases: Sequence[Parameter], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._channels = [int(np.prod(bias.shape)) for bias in biases]
        for place, bias in enumerate(biases):
            share(self, f"bias{place}", bias)

    def hybrid_forward(
        self, F: Operators, masked: List[Tensor], zero: List[Tensor], **biases: Tensor
    ) -> Tensor:
        total = 0.0
        for place, (image, other) in enumerate(zip(masked, zero)):
            # |b| is one number a feature map, so it multiplies the map's mean and not its pixels
            weight = F.abs(F.reshape(biases[f"bias{place}"], shape=(-1,)))
            total = total + F.dot(_distance(F, image, other), weight) * (1.0 / self._channels[place])
        return total

    def of(self, F: Operators, net: Network, x: Tensor, joint: JointPass) -> Tensor:
        """See ``PathNorm``."""
        assert joint.masked is not None  # the network was built for this form
        return self(*joint.masked)


class ModePathNorm(PathNorm):
    """max_z eta(y, z) - eta(y, z*): how much more likely than the inferred path the prior's best path is.

    The maximum is taken to be the larger of eta(y, z*) and the score of a zero image (Theorem 3.2 at x = 0).
    That is the maximum itself where the rendering is non-negative along it and no pixels tie in a pooling
    window. Elsewhere it is a lower bound, of a path that is known to exist, so the loss is a lower bound of
    the difference: never negative, and 0 where the inferred path is the prior's mode. (Without z* itself in
    the maximum, a trained network of filters of both signs drives the difference below any bound.)

    Called with the class code (B, K), the zero image's logits (1, K), the layers' biases and their routed
    renderings.

    Args:
        class_bias: the classifier's bias log pi_y, which is no part of eta; None where it has none.
    """

    def __init__(self, class_bias: Optional[Parameter] = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if class_bias is not None:
            share(self, "class_bias", class_bias)

    def hybrid_forward(
        self,
        F: Operators,
        code: Tensor,
        zero_logits: Tensor,
        biases: List[Tensor],
        routed: List[Tensor],
        class_bias: Optional[Tensor] = None,
    ) -> Tensor:
        scores = F.reshape(zero_logits, shape=(-1,))
        best = F.dot(code, scores if class_bias is None else scores - class_bias)
        return F.relu(best - prior_score(F, biases, routed))

    def of(self, F: Operators, net: Network, x: Tensor, joint: JointPass) -> Tensor:
        """See ``PathNorm``."""
        assert joint.prior is not None  # the network was built for this form
        return self(joint.code, *joint.prior)
