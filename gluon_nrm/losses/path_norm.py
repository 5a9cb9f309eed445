"""Rendering Path Normalisation: the negative log prior of the inferred rendering path (Theorem 3.3b).

It has four forms with one interface, ``PathNorm.of``: ``layerwise`` and ``mode`` here, ``sampled`` in
``sampled_path_norm.py``, ``exact`` in ``exact_path_norm.py``. All divide prior scores by sigma^2.
"""

from __future__ import annotations

from typing import Any, List, Optional, Sequence

import numpy as np
from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import Parameter

from gluon_nrm.layers.shared_parameters import share
from gluon_nrm.models.interface.network import Network
from gluon_nrm.models.interface.passes import JointPass
from gluon_nrm.rules.prior_score import prior_score
from gluon_nrm.rules.statistics import plain_mean
from gluon_nrm.typing import Operators, Tensor


class PathNorm(HybridBlock):
    """Base class of the forms; ``of`` takes the arguments of a form from a joint pass."""

    def of(
        self, F: Operators, net: Network, x: Tensor, joint: JointPass, chains: Optional[Tensor] = None
    ) -> Tensor:
        """Compute the loss of the Max branch's path for each image, (B,).

        Args:
            F: the operator module.
            net: the network, built for this form (``NRMOptions.path_norm``).
            x: the images, (B, C, H, W).
            joint: the network's pass over them, with rendering.
            chains: for the sampled form, the paths of ``PathChains``, (chains, N).
        """
        raise NotImplementedError


def _distance(F: Operators, image: Tensor, other: Tensor) -> Tensor:
    """Mean over the pixels of | image - other |, (B, C); ``other`` may have batch size 1."""
    # abs as a leaky ReLU of slope -1: on the CPU the gradient of `abs` takes thirteen times as long
    distance = F.LeakyReLU(F.broadcast_sub(image, other), act_type="leaky", slope=-1.0)
    return plain_mean(F, distance)


class ClassPriorNorm(PathNorm):
    """Negative log prior of the rendered class, -log pi_y.

    Added to -log pi(z|y), it gives -log pi(y, z). log pi_y is the log-softmax of the classifier's bias
    (Theorem 3.2). Called with the class code (B, K); range [0, inf).

    Args:
        class_bias: the bias of the classifier, (K,).
    """

    def __init__(self, class_bias: Parameter, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        share(self, "class_bias", class_bias)

    def hybrid_forward(self, F: Operators, code: Tensor, class_bias: Tensor) -> Tensor:
        return -F.dot(code, F.log_softmax(class_bias))

    def of(
        self, F: Operators, net: Network, x: Tensor, joint: JointPass, chains: Optional[Tensor] = None
    ) -> Tensor:
        """See ``PathNorm``."""
        return self(joint.code)


class LayerwisePathNorm(PathNorm):
    """Compare the path of the image with that of a zero image, layer by layer, as released.

    sum_l mean_{C,H,W} | b(l) . s(l) . h(l) - b(l) . s0(l) . h0(l) |, with s(l) . h(l) and s0(l) . h0(l) as in
    ``Rendering.masked``. Range [0, inf).

    Called with two lists of maps (B, C, H, W), one a layer: those of the image and those of the zero image,
    which may have batch size 1. The gradient flows into both and into the biases.

    Args:
        biases: b(l) of every layer, in the order of the lists.
        temperature: sigma^2, which divides the sum.
    """

    def __init__(self, biases: Sequence[Parameter], temperature: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._factor = 1.0 / temperature
        self._channels = [int(np.prod(bias.shape)) for bias in biases]
        for place, bias in enumerate(biases):
            share(self, f"bias{place}", bias)

    def hybrid_forward(
        self, F: Operators, masked: List[Tensor], zero: List[Tensor], **biases: Tensor
    ) -> Tensor:
        total = 0.0
        for place, (image, other) in enumerate(zip(masked, zero)):
            # |b| is one number a map: multiplying the mean of the map costs less than its pixels
            weight = F.abs(F.reshape(biases[f"bias{place}"], shape=(-1,)))
            total = total + F.dot(_distance(F, image, other), weight) * (self._factor / self._channels[place])
        return total

    def of(
        self, F: Operators, net: Network, x: Tensor, joint: JointPass, chains: Optional[Tensor] = None
    ) -> Tensor:
        """See ``PathNorm``."""
        assert joint.masked is not None  # the network was built for this form
        return self(*joint.masked)


class ModePathNorm(PathNorm):
    """Log ratio of the prior's mode to the inferred path: (max_z eta(y, z) - eta(y, z*)) / sigma^2.

    The maximum is approximated by the larger of eta(y, z*) and the score of a zero image (Theorem 3.2 at
    x = 0). This is exact where the rendering along the zero image's path is non-negative and no pixels tie in
    a pooling window. Otherwise it is a lower bound, the score of an existing path. The loss is never
    negative, and 0 where the inferred path is the mode of the prior. (Without eta(y, z*) in the maximum,
    training drives the difference below any bound.) With ``joint``, the maximum is over classes too, and log
    pi_y is added to the scores.

    Called with the class code (B, K), the zero image's logits (1, K), the biases of the layers and their
    routed renderings.

    Args:
        class_bias: the bias of the classifier, log pi_y, which is no part of eta; None without a bias.
        joint: use the joint prior over (y, z), which needs a class bias.
        temperature: sigma^2, by which the network has divided the zero image's scores.
    """

    def __init__(
        self,
        class_bias: Optional[Parameter] = None,
        joint: bool = False,
        temperature: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._joint, self._factor = joint, 1.0 / temperature
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
        own = prior_score(F, biases, routed)
        own = own if self._factor == 1 else own * self._factor
        if self._joint:
            return F.relu(F.broadcast_sub(F.max(scores), own + F.dot(code, class_bias)))
        best = F.dot(code, scores if class_bias is None else scores - class_bias)
        return F.relu(best - own)

    def of(
        self, F: Operators, net: Network, x: Tensor, joint: JointPass, chains: Optional[Tensor] = None
    ) -> Tensor:
        """See ``PathNorm``."""
        assert joint.prior is not None  # the network was built for this form
        return self(joint.code, *joint.prior)
