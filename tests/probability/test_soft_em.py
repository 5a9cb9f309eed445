"""Soft EM: posteriors of the enumerated model, a log-likelihood that never falls, hard EM as its limit."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
import tiny
from tiny_models import MODELS, redraw

from gluon_nrm.models import Network
from gluon_nrm.probability import Enumeration, RenderingModel
from gluon_nrm.probability.soft_em import SoftEM

NAMES = ("two_layers", "pool_small", "leaky", "skip")


def built(name: str, temperature: float) -> Network:
    net = MODELS[name](temperature=temperature)
    redraw(net, np.random.default_rng(4), False)
    return net


@pytest.mark.parametrize("name", NAMES)
def test_e_step_is_the_enumerated_posterior(name: str) -> None:
    net = built(name, 0.7)
    em, model, x = SoftEM(net, tiny.images(net, 3)), RenderingModel(net), tiny.images(net, 3)
    enumeration, joint = Enumeration(model), em.log_joint().asnumpy()
    for label in range(2):
        for image in range(3):
            repeated = mx.nd.repeat(x[image : image + 1], len(enumeration), axis=0)
            expected = model.log_joint(
                repeated, [label] * len(enumeration), enumeration.paths, enumeration.log_partition(label)
            )
            found = joint[image, label] - enumeration.log_weights
            np.testing.assert_allclose(found, expected.asnumpy(), rtol=1e-4, atol=1e-3)
    state = em.expect()
    np.testing.assert_allclose(state.posterior.sum(axis=(1, 2)), 1, rtol=1e-6)
    np.testing.assert_allclose(state.log_likelihood, np.log(np.exp(joint).sum(axis=(1, 2))).mean(), rtol=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 0.3])
@pytest.mark.parametrize("name", NAMES)
def test_the_likelihood_never_falls(name: str, temperature: float) -> None:
    net = built(name, temperature)
    em = SoftEM(net, tiny.images(net, 8))
    found = np.array([em.step(rate=0.3).log_likelihood for _ in range(12)])
    assert (np.diff(found) >= -1e-4).all() and found[-1] > found[0] + 1e-3


def test_hard_em_is_the_limit_of_small_noise() -> None:
    """The posterior of the best class and path goes to 1 as sigma^2 goes to 0; equal paths share it."""
    mass = []
    for temperature in (3.0, 0.001):
        net = built("two_layers", temperature)
        em = SoftEM(net, tiny.images(net, 6))
        joint = em.log_joint().asnumpy()
        best = joint >= joint.max(axis=(1, 2), keepdims=True) - 0.02
        mass.append((em.expect().posterior * best).sum(axis=(1, 2)).mean())
    assert mass[0] < 0.2 and mass[1] > 0.9
