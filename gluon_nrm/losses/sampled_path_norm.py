"""Sampled Rendering Path Normalisation: persistent chains stand for the expectation under the prior."""

from __future__ import annotations

from typing import Any, List, Optional

import numpy as np
from mxnet.gluon import HybridBlock

from gluon_nrm.errors import ModelError
from gluon_nrm.losses.path_norm import PathNorm
from gluon_nrm.models.interface.network import Network
from gluon_nrm.models.interface.passes import JointPass, Rendering
from gluon_nrm.probability.bridge import Bridge
from gluon_nrm.rules.prior_score import prior_score
from gluon_nrm.typing import Operators, Tensor


class SampledPathNorm(PathNorm):
    """Loss whose gradient is that of the negative log prior of the path, -log pi(z*|y).

    -log pi(z*|y) = log Z_y - eta(y, z*) / s2, with s2 = sigma^2, has the gradient (E[grad eta(y, z)] - grad
    eta(y, z*)) / s2, with z drawn from pi(z|y). The expectation is the mean over the chains of class y
    (persistent contrastive divergence, Tieleman 2008), whose paths are held constant:

        (mean over the chains of eta(y, z) - eta(y, z*)) / s2

    The value is no log prior (log Z_y is missing) and can be negative: compare gradients, not values.
    ``estimate_log_partition`` measures log Z_y.

    Called with the class code (B, K), the chains' paths (K chains, N), chain i of
    class i mod K, the constants of the network
    (``bridge.py``), the biases of the layers and the routed renderings of z*. The gradient flows into all
    but the paths.

    Args:
        net: the initialised network.
        temperature: sigma^2.

    Raises:
        ModelError: the network has dropout or gates.
    """

    def __init__(self, net: Network, temperature: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_chains(net)
        self._bridge, self._factor, self._classes = Bridge(net), 1.0 / temperature, net.classes
        self.net = net  # the rendering reads its filters and templates

    def hybrid_forward(
        self, F: Operators, code: Tensor, chains: Tensor, constants: List[Tensor], biases: List[Tensor],
        routed: List[Tensor],
    ) -> Tensor:  # fmt: skip
        rendered = render_chains(F, self._bridge, self._classes, chains, constants)
        shifts = constants[len(constants) - self._bridge.biases :]
        eta = F.reshape(prior_score(F, shifts, rendered.routed), shape=(-1, self._classes))
        expected = F.dot(code, F.mean(eta, axis=0))
        return (expected - prior_score(F, biases, routed)) * self._factor

    def of(
        self, F: Operators, net: Network, x: Tensor, joint: JointPass, chains: Optional[Tensor] = None
    ) -> Tensor:
        """See ``PathNorm``."""
        assert chains is not None  # the objective asks for them
        inference = joint.inferences[0]
        return self(
            joint.code,
            chains,
            self._bridge.constants(F, inference),
            inference.shifts,
            joint.renderings[0].routed,
        )


class ChainImages(HybridBlock):
    """Render the chains' paths: paths (K chains, N) and the constants of the network to (K chains, C, H, W).

    The gradient flows into filters and templates along the paths, which are held constant.

    Args:
        net: the initialised network.
    """

    def __init__(self, net: Network, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._bridge, self._classes = Bridge(net), net.classes
        self.net = net  # the rendering reads its filters and templates

    def hybrid_forward(self, F: Operators, chains: Tensor, constants: List[Tensor]) -> Tensor:
        return render_chains(F, self._bridge, self._classes, chains, constants).image

    def of(self, F: Operators, joint: JointPass, chains: Tensor) -> Tensor:
        """Render with the constants of a joint pass."""
        return self(chains, self._bridge.constants(F, joint.inferences[0]))


def render_chains(
    F: Operators, bridge: Bridge, classes: int, chains: Tensor, constants: List[Tensor]
) -> Rendering:
    """Render classes along the chains' paths (K chains, N); chain i is of class i mod K."""
    maps, begin = [], 0
    for latent in bridge.latents:
        end = begin + int(np.prod(latent.shape))
        map_ = F.slice_axis(chains, axis=1, begin=begin, end=end)
        maps.append(F.reshape(map_, shape=(-1, *latent.shape)))
        begin = end
    labels = F.contrib.arange_like(chains, axis=0) % classes
    return bridge.render(F, F.one_hot(labels, classes), maps, constants)


def check_chains(net: Network) -> None:
    """Check that a network has one prior for chains to draw from.

    Raises:
        ModelError: it has dropout or gates, which make another network of it in every step.
    """
    if net.stochastic:
        raise ModelError(
            "model.path_norm: 'sampled' is for networks without dropout and random gates, which change the "
            "prior in every step;\nset model.dropout to 0, or model.path_norm to 'layerwise' or 'mode'"
        )
