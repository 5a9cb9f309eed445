"""The exact form of Rendering Path Normalisation, by enumeration of every rendering path: for tiny models."""

from __future__ import annotations

from typing import Any, List

import numpy as np

from gluon_nrm.errors import ModelError
from gluon_nrm.losses.path_norm import PathNorm
from gluon_nrm.models.network import JointPass, Network
from gluon_nrm.probability.bridge import Bridge
from gluon_nrm.probability.enumeration import enumerate_outcomes, log_weights
from gluon_nrm.rules.prior_score import prior_score
from gluon_nrm.typing import Operators, Tensor


class ExactPathNorm(PathNorm):
    """-log pi(z*|y) = log sum_z exp(eta(y, z) / sigma^2) - eta(y, z*) / sigma^2 (Theorem 3.3b).

    The sum goes over every configuration (s, t). Of pixels that tie in a pooling window several win, as in
    the rendering pass itself; where they do not, the loss is not below 0.

    Called with the class code (B, K), the constants of the network (``bridge.py``), the layers' biases and
    the routed renderings of z*. Gradient flows into all of them, and into class templates and filters.

    Args:
        net: the network, initialised.
        temperature: sigma^2.

    Raises:
        ModelError: the network has norms or dropout, or more paths than can be enumerated.
    """

    def __init__(self, net: Network, temperature: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
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
        self.net = net  # whose filters and templates the rendering reads
        with self.name_scope():
            self._paths = [self.params.get_constant(f"paths{i}", value) for i, value in enumerate(values)]
        for i, constant in enumerate(self._paths):
            constant.initialize(ctx=devices)
            self._reg_params[f"paths{i}"] = constant

    def hybrid_forward(
        self, F: Operators, code: Tensor, constants: List[Tensor], biases: List[Tensor], routed: List[Tensor],
        **paths: Tensor,
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
        return F.dot(code, F.concat(*partitions, dim=0)) - prior_score(F, biases, routed) * (
            1.0 / self._temperature
        )

    def of(self, F: Operators, net: Network, x: Tensor, joint: JointPass) -> Tensor:
        """See ``PathNorm``."""
        assert joint.prior is not None  # the network was built for this form
        # nothing of the image is in the constants of a network without norms
        constants = self._bridge.constants(F, net.infer(F.slice_axis(x, axis=0, begin=0, end=1))[0])
        return self(joint.code, constants, joint.prior.shifts, joint.prior.routed)
