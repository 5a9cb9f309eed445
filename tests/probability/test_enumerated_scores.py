"""The exact class posterior as a block: against the summed joint density, and its gradients."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
import tiny
from mxnet import autograd
from tiny_models import MODELS, redraw

from gluon_nrm.errors import ModelError
from gluon_nrm.models.interface.parameters import named_parameters
from gluon_nrm.probability import Enumeration, RenderingModel
from gluon_nrm.probability.enumerated_scores import EnumeratedScores


@pytest.mark.parametrize("name", ["pool_small", "skip"])
def test_posterior_is_the_summed_joint_density(name: str) -> None:
    net = MODELS[name]()
    redraw(net, np.random.default_rng(1), False)
    model, x = RenderingModel(net, temperature=0.7), tiny.images(net, 2)
    enumeration, scores = Enumeration(model), EnumeratedScores(net, 0.7)
    scores.hybridize()
    found = mx.nd.softmax(scores(x)).asnumpy()
    for place in range(2):
        sums = []
        for label in range(2):
            logs = model.log_joint(
                x[place : place + 1], [label] * len(enumeration), enumeration.paths,
                enumeration.log_partition(label),
            )  # fmt: skip
            sums.append(np.exp(logs.asnumpy() + enumeration.log_weights).sum())
        np.testing.assert_allclose(found[place], np.array(sums) / np.sum(sums), rtol=1e-3, atol=1e-6)


def test_gradients() -> None:
    """Of every parameter, by central differences."""
    net = MODELS["pool_small"]()
    redraw(net, np.random.default_rng(2), False)
    scores, x = EnumeratedScores(net, 0.7), tiny.images(net, 2)

    def loss() -> mx.nd.NDArray:
        return -mx.nd.log_softmax(scores(x))[:, 0].sum()

    with autograd.record():
        value = loss()
    value.backward()
    for name, parameter in named_parameters(net).items():
        own, gradient = parameter.data().asnumpy(), parameter.grad().asnumpy()
        direction = np.random.default_rng(0).standard_normal(own.shape)
        sums = []
        for sign in (1, -1):
            parameter.set_data(mx.nd.array(own + sign * 1e-2 * direction))
            sums.append(loss().asscalar())
        parameter.set_data(mx.nd.array(own))
        np.testing.assert_allclose(
            (gradient * direction).sum(), (sums[0] - sums[1]) / 2e-2, rtol=3e-2, atol=3e-3, err_msg=name
        )


def test_a_network_with_norms_is_refused() -> None:
    with pytest.raises(ModelError, match="without norms"):
        EnumeratedScores(tiny.build((1,), (1, 1, 3)), 1.0)
