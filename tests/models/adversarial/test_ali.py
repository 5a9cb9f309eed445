"""ALI's classifier: encode, then judge the pair; what trains the encoder, and the parts of its towers."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import HybridBlock
from oracle import some

from gluon_nrm.errors import ModelError
from gluon_nrm.generators.convolutions import ConvolutionSpec
from gluon_nrm.generators.generator import ImageGenerator, make_generator
from gluon_nrm.losses import FoolingLoss, Objective
from gluon_nrm.models import get_model
from gluon_nrm.models.adversarial.ali import AliClassifier
from gluon_nrm.models.adversarial.ali_towers import Maxout, PairTower, TowerSizes
from gluon_nrm.models.interface.parameters import named_parameters
from gluon_nrm.models.twin_network import STATISTICS, share_parameters
from gluon_nrm.typing import Operators, Tensor

SHAPE = (1, 8, 8)


def build(name: str = "ali_digits", shape: tuple = SHAPE, seed: int = 0, **options: Any) -> AliClassifier:
    net = get_model(name, 3, shape, render=False, **options)
    assert isinstance(net, AliClassifier)
    mx.random.seed(seed)
    net.initialize()
    return net


def images(batch: int = 12, shape: tuple = SHAPE) -> mx.nd.NDArray:
    return mx.nd.array(some(1, batch, *shape))


@pytest.mark.parametrize(
    ("name", "shape", "code"),
    [("ali_digits", (1, 8, 8), 64), ("ali_28", (1, 28, 28), 64), ("ali_svhn", (3, 32, 32), 256)],
)
def test_shapes(name: str, shape: tuple, code: int) -> None:
    net, x = build(name, shape), images(2, shape)
    assert net.code == code
    mean, log_variance = net.encode(x)
    assert mean.shape == log_variance.shape == (2, code)
    assert net.pair(x, mean).shape == (2, int(np.prod(shape)) + code)
    assert net(x).logits.shape == net.judge(net.pair(x, mean)).shape == (2, 3)
    assert len(net.features(x).shape) == 2
    # as they are drawn, scores of the size of one
    assert 0.1 < net(x).logits.asnumpy().std() < 10


def test_cifar_is_the_appendix_of_the_paper() -> None:
    net = get_model("ali_cifar", 10, (3, 32, 32), render=False)
    assert isinstance(net, AliClassifier) and net.code == 64
    filters = [p.shape for p in net.encoder.collect_params().values() if len(p.shape) == 4]
    assert [(shape[0], shape[2]) for shape in filters] == [
        (32, 5), (64, 4), (128, 4), (256, 4), (512, 4), (512, 1),
    ]  # fmt: skip
    # one pixel is left: 32, 28, 13, 10, 4, 1
    assert net.encoder.moments.weight.shape == (128, 512)
    assert [each.weight.shape[0] for each in net.tower.of_both if hasattr(each, "weight")] == [2048, 2048]


def test_the_judge_and_the_classifier_are_one() -> None:
    net, x = build(), images()
    sample = net.pair(x, net.encode(x).mean)
    (inference,) = net.infer(x)
    assert np.array_equal(net.judge(sample).asnumpy(), inference.logits.asnumpy())
    assert np.array_equal(net.judge(sample).asnumpy(), net(x).logits.asnumpy())


def test_both_parts_of_a_pair_matter() -> None:
    net, x = build(), images()
    code = net.encode(x).mean
    scores = net.judge(net.pair(x, code)).asnumpy()
    for other in (net.pair(x[::-1], code), net.pair(x, code[::-1])):
        assert np.abs(net.judge(other).asnumpy() - scores).max() > 1e-3


def test_training_draws_a_code_and_prediction_does_not() -> None:
    net, x = build(dropout=0.0), images()
    net.hybridize(static_alloc=True, static_shape=True)
    still = [net(x).logits.asnumpy() for _ in range(2)]
    with autograd.train_mode():
        drawn = [net(x).logits.asnumpy() for _ in range(2)]
    assert np.array_equal(*still) and not np.array_equal(*drawn) and net.stochastic


def classify(net: AliClassifier) -> Tuple[Dict[str, np.ndarray], Dict[str, np.ndarray]]:
    """Gradients of the cross-entropy, and running statistics after it."""
    objective = Objective(net, ["cross_entropy"])
    objective.hybridize(net.tower._active, static_alloc=True)
    for parameter in named_parameters(net).values():
        if parameter.grad_req != "null":
            parameter.zero_grad()
    with autograd.record():
        outcome = objective(images(), mx.nd.array([0, 1, 2] * 4))
    objective.backward([outcome], [mx.nd.ones((1, 12))])
    mx.nd.waitall()
    parameters = named_parameters(net)
    return (
        {name: p.grad().asnumpy() for name, p in parameters.items() if p.grad_req != "null"},
        {name: p.data().asnumpy() for name, p in parameters.items() if p.grad_req == "null"},
    )


@pytest.mark.parametrize("hybrid", [False, True])
def test_the_losses_of_the_classifier_leave_the_encoder_alone(hybrid: bool) -> None:
    net = build()
    net.hybridize(hybrid)
    names = {id(parameter): name for name, parameter in named_parameters(net).items()}
    elsewhere = {names[id(parameter)] for parameter in net.learned_elsewhere}
    assert elsewhere == {name for name in names.values() if name.startswith("encoder.")}
    before = {name: p.data().asnumpy() for name, p in named_parameters(net).items() if p.grad_req == "null"}
    gradients, statistics = classify(net)
    for name, gradient in gradients.items():
        assert (np.abs(gradient).max() > 1e-8) == (name not in elsewhere), name
    # MXNet runs a backward pass of zeros through a hybridised encoder, and there moves the statistics
    for name, value in before.items():
        assert np.array_equal(statistics[name], value) != hybrid, name


class Fooling(HybridBlock):
    """The loss of encoder and generator: images and codes to (B,)."""

    def __init__(self, net: AliClassifier, generator: ImageGenerator) -> None:
        super().__init__()
        self.net, self.generator, self.loss = net, generator, FoolingLoss()

    def hybrid_forward(self, F: Operators, x: Tensor, code: Tensor) -> Tensor:
        encoded = self.net.held_code.sample(*self.net.encode(x))
        generated = self.net.pair(self.generator(code), code)
        return self.loss(self.net.judge(self.net.pair(x, encoded)), self.net.judge(generated))


@pytest.mark.parametrize("hybrid", [False, True])
def test_the_losses_of_encoder_and_generator_reach_them_through_the_judge(hybrid: bool) -> None:
    net, generator = build(dropout=0.0), make_generator(SHAPE, 64, 4, [-1], [1])
    generator.initialize()
    block = Fooling(net, generator)
    block.hybridize(hybrid, static_alloc=True, static_shape=True)
    arguments = images(), mx.nd.array(some(3, 12, 64))
    for _ in range(2):
        block(*arguments)
        with autograd.record():
            loss = block(*arguments)
        loss.backward()
    for name, parameter in {**named_parameters(net), **named_parameters(generator)}.items():
        if not name.startswith("tower.") and parameter.grad_req != "null":
            assert np.abs(parameter.grad().asnumpy()).max() > 1e-9, name


def test_hybrid_is_eager_in_training() -> None:
    """Without dropout and with a variance of 0 nothing is drawn."""
    net, x = build(dropout=0.0), images()
    bias = net.encoder.moments.bias.data()
    bias[net.code :] = -200
    net.encoder.moments.bias.set_data(bias)
    found = []
    for hybrid in (False, True):
        net.hybridize(hybrid, static_alloc=True, static_shape=True)
        with autograd.train_mode():
            found.append(net(x).logits.asnumpy())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-5)


def test_a_twin_shares_all_parameters_but_the_statistics() -> None:
    net, twin = build(seed=1), build(seed=2)
    share_parameters(twin, net)
    mine, theirs = named_parameters(twin), named_parameters(net)
    assert set(mine) == set(theirs)
    for name in mine:
        assert (mine[name] is theirs[name]) != name.endswith(STATISTICS), name
    assert np.array_equal(twin(images()).logits.asnumpy(), net(images()).logits.asnumpy())


def test_maxout() -> None:
    x = some(1, 3, 8, 2, 2)
    found = Maxout(4)(mx.nd.array(x)).asnumpy()
    assert np.array_equal(found, np.maximum(x[:, :4], x[:, 4:]))


def test_maxout_towers() -> None:
    sizes = TowerSizes([ConvolutionSpec(4, 3, 2), ConvolutionSpec(6, 3)], [5], [7, 8], maxout=True)
    tower = PairTower(sizes, SHAPE, 6, 3, 0.2)
    tower.initialize()
    arguments = images(), mx.nd.array(some(2, 12, 6))
    assert tower(*arguments).shape == (12, 3)
    assert tower.of_both[1].weight.shape == (14, 6 + 5)
    with autograd.record():
        loss = tower(*arguments).sum()
    loss.backward()
    for name, parameter in tower.collect_params().items():
        assert parameter.grad().asnumpy().any(), name


def test_errors() -> None:
    with pytest.raises(ModelError, match=r"model\.noise: .* have no noise on the image; leave this key out"):
        build(noise=0.3)
    with pytest.raises(ModelError, match="images of 28 x 28 pixels are too small .* needs 32 a side"):
        build("ali_cifar", (3, 28, 28))
