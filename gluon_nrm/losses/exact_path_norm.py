"""Exact Rendering Path Normalisation, for tiny models: every rendering path is enumerated."""

from __future__ import annotations

from typing import Any, List, Optional

import numpy as np
from mxnet.gluon.parameter import Parameter

from gluon_nrm.errors import ModelError
from gluon_nrm.layers.shared_parameters import share
from gluon_nrm.losses.path_norm import PathNorm
from gluon_nrm.models.interface.network import Network
from gluon_nrm.models.interface.passes import JointPass
from gluon_nrm.probability.bridge import Bridge
from gluon_nrm.probability.enumeration import enumerate_outcomes, log_weights
from gluon_nrm.rules.prior_score import prior_score
from gluon_nrm.typing import Operators, Tensor


class ExactPathNorm(PathNorm):
    """Negative log prior of the path: -log pi(z*|y) = log sum_z exp(eta(y, z) / s2) - eta(y, z*) / s2.

    With ``class_bias`` it is that of class and path together, from one softmax over all (y, z):
    -log pi(y, z*) = log sum_{y', z} exp(eta(y', z) / s2 + log pi_y') - eta(y, z*) / s2 - log pi_y.

    This is Theorem 3.3b, with s2 = sigma^2. The sum is over every configuration z = (s, t). The loss is at
    least 0 unless pixels tie in a pooling window: all of them win, as in the rendering pass.

    Called with the class code (B, K), the constants of the network (``bridge.py``), the biases of the layers
    and the routed renderings of z*. The gradient flows into all of them, into class templates and filters.

    Args:
        net: the initialised network.
        temperature: sigma^2.
        class_bias: log pi_y, (K,), for the joint prior; None: the prior of paths given a class.

    Raises:
        ModelError: the network has norms or dropout, or too many paths to enumerate.
    """

    def __init__(
        self, net: Network, temperature: float = 1.0, class_bias: Optional[Parameter] = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if class_bias is not None:
            share(self, "class_bias", class_bias)
        self._bridge, self._temperature, self._classes = Bridge(net), temperature, net.classes
        if self._bridge.normalised or net.stochastic:
            raise ModelError(
                "model.path_norm: 'exact' is for networks without norms and dropout (model.norm none, "
                "model.dropout 0); use 'mode' or 'layerwise'"
            )
        latents = self._bridge.latents
        outcomes = enumerate_outcomes(latents)
        values = [latent.decode(found) for latent, found in zip(latents, outcomes)]
        values.append(log_weights(latents, outcomes).astype(np.float32))
        devices = next(iter(net.collect_params().values())).list_ctx()
        self.net = net  # the rendering reads its filters and templates
        with self.name_scope():
            self._paths = [self.params.get_constant(f"paths{i}", value) for i, value in enumerate(values)]
        for i, constant in enumerate(self._paths):
            constant.initialize(ctx=devices)
            self._reg_params[f"paths{i}"] = constant

    def hybrid_forward(
        self, F: Operators, code: Tensor, constants: List[Tensor], biases: List[Tensor], routed: List[Tensor],
        class_bias: Optional[Tensor] = None, **paths: Tensor,
    ) -> Tensor:  # fmt: skip
        *maps, weights = [paths[f"paths{place}"] for place in range(len(self._paths))]
        shifts = constants[len(constants) - self._bridge.biases :]
        partitions = []
        for label in range(self._classes):
            every = F.one_hot(F.zeros_like(weights) + label, self._classes)
            rendered = self._bridge.render(F, every, maps, constants)
            scores = prior_score(F, shifts, rendered.routed) * (1.0 / self._temperature) + weights
            top = F.BlockGrad(F.max(scores))
            partitions.append(F.log(F.sum(F.exp(F.broadcast_sub(scores, top)))) + top)
        own = prior_score(F, biases, routed) * (1.0 / self._temperature)
        if class_bias is None:
            return F.dot(code, F.concat(*partitions, dim=0)) - own
        # -log pi(z|y) - log p(y), with p(y) the class probabilities of the joint prior
        weighed = F.concat(*partitions, dim=0) + class_bias
        return F.dot(code, weighed - class_bias) - own - F.dot(code, F.log_softmax(weighed))

    def of(
        self, F: Operators, net: Network, x: Tensor, joint: JointPass, chains: Optional[Tensor] = None
    ) -> Tensor:
        """See ``PathNorm``."""
        assert joint.prior is not None  # the network was built for this form
        # without norms, the constants of the network do not depend on the image
        constants = self._bridge.constants(F, net.infer(F.slice_axis(x, axis=0, begin=0, end=1))[0])
        return self(joint.code, constants, joint.prior.shifts, joint.prior.routed)
