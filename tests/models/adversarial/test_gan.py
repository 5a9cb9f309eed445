"""Improved GAN's classifier: one network classifies and judges; its start, noise, dropout and errors."""

from __future__ import annotations

from typing import Any, Dict, List

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from oracle import some

from gluon_nrm.errors import ModelError
from gluon_nrm.generators.weight_norm import WeightNormConvolution
from gluon_nrm.losses import GeneratedSample, Objective, RealImage
from gluon_nrm.models import get_model
from gluon_nrm.models.adversarial.gan import GanClassifier
from gluon_nrm.models.interface.parameters import named_parameters

SHAPE = (1, 8, 8)
QUIET: Dict[str, Any] = {"noise": 0.0, "dropout": 0.0}


def build(name: str = "gan_digits", shape: tuple = SHAPE, seed: int = 0, **options: Any) -> GanClassifier:
    net = get_model(name, 3, shape, render=False, **options)
    assert isinstance(net, GanClassifier)
    mx.random.seed(seed)
    net.initialize()
    return net


def images(batch: int = 30, shape: tuple = SHAPE) -> mx.nd.NDArray:
    return mx.nd.array(some(1, batch, *shape) * 2 + 1)


@pytest.mark.parametrize(
    ("name", "shape", "features"),
    [("gan_digits", (1, 8, 8), 64), ("gan_28", (1, 28, 28), 64), ("gan_conv9", (3, 32, 32), 192)],
)
def test_shapes(name: str, shape: tuple, features: int) -> None:
    net = build(name, shape)
    x = images(2, shape)
    assert net(x).logits.shape == net.judge(x).shape == (2, 3)
    assert net.features(x).shape == (2, features)


def test_the_judge_and_the_classifier_are_one() -> None:
    """The scores that tell real from generated are those of the class posterior."""
    net, x = build(), images()
    (inference,) = net.infer(x)
    assert np.array_equal(net.judge(x).asnumpy(), inference.logits.asnumpy())
    assert np.array_equal(net.judge(x).asnumpy(), net(x).logits.asnumpy())
    real = RealImage()(net.judge(x), -mx.nd.ones(30)).asnumpy()
    # p(real) = sum of the K probabilities beside a (K + 1)-th score of 0
    scores = np.concatenate([net(x).logits.asnumpy(), np.zeros((30, 1))], axis=1)
    odds = np.exp(scores)
    np.testing.assert_allclose(np.exp(-real), 1 - odds[:, -1] / odds.sum(axis=1), rtol=1e-5)
    generated = GeneratedSample()(net.judge(x)).asnumpy()
    np.testing.assert_allclose(np.exp(-real) + np.exp(-generated), 1, rtol=1e-5)


def outputs_of_layers(net: GanClassifier, x: mx.nd.NDArray) -> List[np.ndarray]:
    found = []
    for block in net.body:
        x = block(x)
        if isinstance(block, WeightNormConvolution):
            found.append(x.asnumpy())
    return found


def test_start_gives_every_layer_mean_0_and_deviation_1() -> None:
    net, x = build(**QUIET), images()
    net.start_from(x)
    layers = outputs_of_layers(net, x)
    assert len(layers) == 5
    for output in layers:
        np.testing.assert_allclose(output.mean(axis=(0, 2, 3)), 0, atol=1e-4)
        np.testing.assert_allclose(output.std(axis=(0, 2, 3)), 1, rtol=1e-3)
    np.testing.assert_allclose(net(x).logits.asnumpy().std(axis=0), 0.1, rtol=1e-2)


def test_start_sees_the_noise_of_training_and_a_seed_repeats_it() -> None:
    found = []
    for seed in (1, 1, 2):
        net = build(noise=0.5)
        mx.random.seed(seed)
        net.start_from(images())
        found.append(net.scores.scale.data().asnumpy())
    assert np.array_equal(found[0], found[1]) and not np.array_equal(found[0], found[2])


def test_noise_and_dropout_are_of_training_alone() -> None:
    x = images()
    cases: List[Dict[str, Any]] = [{"noise": 0.3, "dropout": 0.0}, {"noise": 0.0, "dropout": 0.5}, {}]
    for options in cases:
        net = build(**options)
        net.hybridize(static_alloc=True, static_shape=True)
        still = [net(x).logits.asnumpy() for _ in range(2)]
        with autograd.train_mode():
            drawn = [net(x).logits.asnumpy() for _ in range(2)]
        assert np.array_equal(*still) and not np.array_equal(*drawn) and net.stochastic
        assert np.array_equal(still[0], net(x).logits.asnumpy())
    assert not build(**QUIET).stochastic


def gradients(net: GanClassifier, x: mx.nd.NDArray) -> Dict[str, np.ndarray]:
    label = mx.nd.array([0, -1, 2] * 10)
    objective = Objective(net, ["cross_entropy"])
    with autograd.record():
        outcome = objective(x, label)
        real = RealImage()(net.judge(x), label)
    autograd.backward([outcome.recorded_terms, real])
    return {n: p.grad().asnumpy() for n, p in named_parameters(net).items() if p.grad_req != "null"}


def test_gradients_reach_every_layer_eager_and_hybrid() -> None:
    net, x = build(**QUIET), images()
    net.start_from(x)
    eager = gradients(net, x)
    assert {name.rsplit(".", 1)[-1] for name in eager} == {"direction", "bias", "scale"}
    assert sum(name.endswith("scale") for name in eager) == 1  # of the class scores alone
    net.hybridize(static_alloc=True)
    for name, gradient in gradients(net, x).items():
        assert np.abs(gradient).max() > 1e-7, name
        np.testing.assert_allclose(gradient, eager[name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_errors() -> None:
    with pytest.raises(ModelError, match="images of 4 x 4 pixels are too small .* needs 5 a side"):
        build(shape=(1, 4, 4))
    with pytest.raises(ModelError, match="needs 9 a side"):
        build("gan_conv9", (3, 8, 32))
    with pytest.raises(ModelError, match="model.maxmin: gan_digits has no such option"):
        build(maxmin=True)
    with pytest.raises(ModelError, match="model.render: gan_digits does not render"):
        get_model("gan_digits", 3, SHAPE)
