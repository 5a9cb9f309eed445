"""Soft expectation maximisation of tiny models, as a reference: every class and path is enumerated.

    log p(x) = log sum_{y, z} pi_y pi(z|y) N(x; h(0), sigma^2 I)

The E-step computes the posterior r(y, z | x). The M-step takes one gradient step up the expected log joint,
sum r log p(x, y, z), halved until that does not fall (generalised EM). The log-likelihood then never falls.
Training takes the limit of small sigma^2, where r is 1 at the best class and path (hard EM, Theorem 3.3b).
"""

from __future__ import annotations

from typing import Any, List, NamedTuple

import mxnet as mx
import numpy as np
from mxnet import autograd

from gluon_nrm.layers.quiet_block import QuietBlock
from gluon_nrm.models.interface.network import Network
from gluon_nrm.probability.bridge import Bridge
from gluon_nrm.probability.enumeration import enumerate_outcomes, log_weights
from gluon_nrm.rules.prior_score import prior_score
from gluon_nrm.typing import Operators, Tensor

#: Halvings of a gradient step before the M-step gives up.
HALVINGS = 25


class LogJoint(QuietBlock):
    """Log p(x, y, z) of every class and path, (B, K P), class 0 first; with gradients of all parameters.

    Called with images (B, C, H, W), a zero image (1, C, H, W), the maps of all P paths, and the logarithm of
    the number of configurations of each path, (P,).

    Args:
        net: the network, at its own sigma^2, without norms.
    """

    def __init__(self, net: Network, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._bridge, self._temperature = Bridge(net), net.options.temperature
        self.net = net

    def hybrid_forward(
        self, F: Operators, x: Tensor, zero: Tensor, maps: List[Tensor], weights: Tensor
    ) -> Tensor:
        constants = self._bridge.constants(F, self.net.infer(zero)[0])
        shifts = constants[len(constants) - self._bridge.biases :]
        pixels, temperature = int(np.prod(self.net.input_shape)), self._temperature
        flat = F.flatten(x)
        norms = F.sum(F.square(flat), axis=1, keepdims=True)
        found = []
        for label in range(self.net.classes):
            code = F.one_hot(F.zeros_like(weights) + label, self.net.classes)
            rendered = self._bridge.render(F, code, maps, constants)
            score = prior_score(F, shifts, rendered.routed) * (1 / temperature) + weights
            image = F.flatten(rendered.image)
            products = F.dot(flat, image, transpose_b=True)
            squares = F.broadcast_add(norms, F.reshape(F.sum(F.square(image), axis=1), shape=(1, -1)))
            distance = (squares - 2 * products) * (0.5 / temperature)
            constant = pixels / 2 * float(np.log(2 * np.pi * temperature))
            prior = F.reshape(F.log_softmax(score), shape=(1, -1))
            found.append(F.broadcast_sub(prior, distance) - constant)
        return F.stack(*found, axis=1)


class EMState(NamedTuple):
    """One E-step."""

    #: mean over the images of log p(x)
    log_likelihood: float
    #: r(y, z | x), (B, K, P)
    posterior: np.ndarray


class SoftEM:
    """Soft EM of a network whose paths can be enumerated.

    Args:
        net: the initialised network, without norms.
        x: the images, (B, C, H, W).

    Raises:
        ModelError: the network does not render, or has too many paths.
    """

    def __init__(self, net: Network, x: Tensor) -> None:
        self.net, self._x = net, x
        bridge = Bridge(net)
        outcomes = enumerate_outcomes(bridge.latents)
        maps = [mx.nd.array(each.decode(found)) for each, found in zip(bridge.latents, outcomes)]
        weights = mx.nd.array(log_weights(bridge.latents, outcomes))
        self._inputs = [mx.nd.zeros((1, *net.input_shape)), maps, weights]
        self._joint = LogJoint(net)
        self._joint.hybridize()
        self._learned = [p for p in net.collect_params().values() if p.grad_req != "null"]

    def log_joint(self) -> Tensor:
        """Log p(x, y, z), (B, K, P); a path stands for all its configurations."""
        joint = self._joint(self._x, *self._inputs)
        bias = self.net.class_bias
        if bias is None:
            return joint - float(np.log(self.net.classes))
        return mx.nd.broadcast_add(joint, mx.nd.reshape(mx.nd.log_softmax(bias.data()), shape=(1, -1, 1)))

    def expect(self) -> EMState:
        """E-step: log-likelihood and posterior."""
        joint = self.log_joint().asnumpy().astype(np.float64)
        top = joint.max(axis=(1, 2), keepdims=True)
        weights = np.exp(joint - top)
        total = weights.sum(axis=(1, 2), keepdims=True)
        return EMState(float((np.log(total) + top).mean()), weights / total)

    def step(self, rate: float = 1.0) -> EMState:
        """Take one E-step and one M-step; returns the state before the M-step.

        Args:
            rate: length of the first gradient step that is tried.
        """
        state = self.expect()
        posterior = mx.nd.array(state.posterior / len(state.posterior))
        with autograd.record(train_mode=False):
            expected = (posterior * self.log_joint()).sum()
        expected.backward(train_mode=False)
        gradients = [p.grad().copy() for p in self._learned]
        before, start = self._expected(state), [p.data().copy() for p in self._learned]
        for halving in range(HALVINGS):
            for parameter, value, gradient in zip(self._learned, start, gradients):
                parameter.set_data(value + rate * 0.5**halving * gradient)
            if self._expected(state) >= before:
                return state
        for parameter, value in zip(self._learned, start):
            parameter.set_data(value)
        return state

    def _expected(self, state: EMState) -> float:
        """Expected log joint under a posterior, mean over the images."""
        joint = self.log_joint().asnumpy().astype(np.float64)
        return float((state.posterior * joint).sum() / len(joint))
