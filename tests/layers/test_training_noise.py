"""TrainingNoise: noise of the asked deviation in training, none in prediction, from one traced graph."""

from __future__ import annotations

import json

import mxnet as mx
import numpy as np
import pytest

from gluon_nrm.layers.training_noise import TrainingNoise


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("shape", [(4000,), (50, 80), (10, 4, 10, 10)])
def test_training_alone_adds_noise_of_the_asked_deviation(hybrid: bool, shape: tuple) -> None:
    noise = TrainingNoise(0.3)
    if hybrid:
        noise.hybridize(static_alloc=True, static_shape=True)
    x = mx.nd.ones(shape)
    x.attach_grad()
    mx.random.seed(1)
    assert (noise(x) == x).asnumpy().all()
    with mx.autograd.record():
        y = noise(x)
    y.backward()
    # 4,000 draws: three standard errors are 0.014 for the mean and 0.010 for the deviation
    assert abs(float(y.asnumpy().mean()) - 1.0) < 0.02
    assert abs(float(y.asnumpy().std()) - 0.3) < 0.015
    assert (x.grad.asnumpy() == 1).all()
    assert (noise(x) == x).asnumpy().all()


def test_each_call_draws_anew_and_a_seed_repeats_it() -> None:
    noise, x = TrainingNoise(1.0), mx.nd.zeros((8, 8))
    found = []
    for seed in (1, 1, 2):
        mx.random.seed(seed)
        with mx.autograd.record():
            found.append(noise(x).asnumpy())
    assert np.array_equal(found[0], found[1]) and not np.array_equal(found[0], found[2])


def test_every_array_lies_on_the_device_of_the_map() -> None:
    """An operator without inputs would make its array on the current device."""
    nodes = json.loads(TrainingNoise(0.3)(mx.sym.var("x")).tojson())["nodes"]
    assert [node["name"] for node in nodes if not node["inputs"]] == ["x"]


def test_deviation_zero_draws_nothing() -> None:
    x = mx.nd.ones((2, 3))
    with mx.autograd.record():
        assert TrainingNoise(0.0)(x) is x
