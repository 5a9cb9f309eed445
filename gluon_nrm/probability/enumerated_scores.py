"""The model's exact class posterior as a block, for tiny models: every rendering path is enumerated."""

from __future__ import annotations

from typing import Any

import numpy as np

from gluon_nrm.errors import ModelError
from gluon_nrm.layers.quiet_block import QuietBlock
from gluon_nrm.layers.shared_parameters import share
from gluon_nrm.models.interface.network import Network
from gluon_nrm.probability.bridge import Bridge
from gluon_nrm.probability.enumeration import enumerate_outcomes, log_weights
from gluon_nrm.rules.prior_score import prior_score
from gluon_nrm.typing import Operators, Tensor


class EnumeratedScores(QuietBlock):
    """Images (B, C, H, W) to log p(y, x) up to a constant of each image, (B, K); softmax gives p(y | x).

    log p(y, x) = log pi_y + log sum_z pi(z | y) N(x; h(0; y, z), sigma^2 I), with the sum over all paths;
    a network takes the largest term. Gradients flow into all parameters.

    Args:
        net: the initialised network, with a class bias.
        temperature: sigma^2.

    Raises:
        ModelError: the network has norms, dropout, too many paths, or no class bias.
    """

    def __init__(self, net: Network, temperature: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._bridge, self._factor, self._classes = Bridge(net), 1.0 / temperature, net.classes
        if self._bridge.normalised or net.stochastic or net.class_bias is None:
            raise ModelError(
                "the exact posterior is for networks without norms and dropout, whose classifier has a bias"
            )
        latents = self._bridge.latents
        outcomes = enumerate_outcomes(latents)
        values = [latent.decode(found) for latent, found in zip(latents, outcomes)]
        values.append(log_weights(latents, outcomes).astype(np.float32))
        devices = next(iter(net.collect_params().values())).list_ctx()
        self.net = net
        share(self, "class_bias", net.class_bias)
        with self.name_scope():
            self._paths = [self.params.get_constant(f"paths{i}", value) for i, value in enumerate(values)]
        for i, constant in enumerate(self._paths):
            constant.initialize(ctx=devices)
            self._reg_params[f"paths{i}"] = constant

    def hybrid_forward(self, F: Operators, x: Tensor, class_bias: Tensor, **paths: Tensor) -> Tensor:
        *maps, weights = [paths[f"paths{place}"] for place in range(len(self._paths))]
        first = F.slice_axis(x, axis=0, begin=0, end=1)
        constants = self._bridge.constants(F, self.net.infer(first)[0])
        shifts = constants[len(constants) - self._bridge.biases :]
        scores = []
        for label in range(self._classes):
            code = F.one_hot(F.zeros_like(weights) + label, self._classes)
            rendered = self._bridge.render(F, code, maps, constants)
            prior = F.log_softmax(prior_score(F, shifts, rendered.routed) * self._factor + weights)
            images = F.flatten(rendered.image)
            own = prior - F.sum(images * images, axis=1) * (0.5 * self._factor)
            products = F.dot(F.flatten(x), images, transpose_b=True) * self._factor
            joint = F.broadcast_add(products, F.reshape(own, shape=(1, -1)))  # (B, paths)
            top = F.BlockGrad(F.max(joint, axis=1, keepdims=True))
            total = F.sum(F.exp(F.broadcast_sub(joint, top)), axis=1, keepdims=True)
            scores.append(F.log(total) + top)
        return F.broadcast_add(F.concat(*scores, dim=1), F.reshape(F.log_softmax(class_bias), shape=(1, -1)))
