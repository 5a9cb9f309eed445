"""Rendering is the gradient of the class score, and the score is <rendering, image> + eta."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

import mxnet as mx
import numpy as np
import pytest
import tiny
from mxnet import autograd

from gluon_nrm.losses import prior_score
from gluon_nrm.models import NRM, LayerSpec, Reconstructor, get_architecture, get_model, initialise
from gluon_nrm.models.interface.passes import Inference

Network = Dict[str, Any]

PLAIN: Dict[str, Any] = {"norm": "none", "render_norm": "none"}
TOLERANCE: Dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}
BRANCHES = {"max": 0, "min": 1}
LENET = [
    LayerSpec(4, kernel=5, pad=4, pool=2),
    LayerSpec(5, pad=0),
    LayerSpec(5, pad=2, pool=2),
    LayerSpec(3, pad=0),
]
WIDE_POOL = [LayerSpec(3, kernel=1, pad=0, pool=3), LayerSpec(4, kernel=2, pad=1)]

#: a network for every kind of layer
NETWORKS: Dict[str, Network] = {
    "one_layer": dict(layers=(4,), input_shape=(1, 4, 4)),
    "pool_after_the_first": dict(layers=(3, "pool", 4), input_shape=(3, 6, 8)),
    "pool_after_the_last": dict(layers=(3, 4, "pool"), input_shape=(2, 6, 6)),
    "two_pools": dict(layers=(3, "pool", 4, "pool", 5), input_shape=(3, 8, 8)),
    "odd_image": dict(layers=(3, "pool", 4, "pool", 5), input_shape=(1, 9, 7)),
    "one_row": dict(layers=(3, 4), input_shape=(2, 1, 6)),
    "no_pool": dict(layers=(2, 3, 4), input_shape=(3, 5, 6)),
    "lenet": dict(layers=LENET, input_shape=(1, 10, 11)),
    "wide_pool": dict(layers=WIDE_POOL, input_shape=(3, 8, 7)),
    "average_pool": dict(layers=(3, "average_pool", 4), input_shape=(1, 7, 6)),
    "both_pools": dict(layers=(3, "average_pool", 4, "pool", 5), input_shape=(2, 8, 9)),
    "padding_beyond_the_filter": dict(
        layers=[LayerSpec(3, kernel=2, pad=3), LayerSpec(4)], input_shape=(1, 5, 4)
    ),
    "many_classes": dict(layers=(3,), input_shape=(1, 4, 4), classes=11),
}


class Found(NamedTuple):
    """What one pass of one branch gives, beside what autograd says of it."""

    score: np.ndarray  # (B,), of each image's class, without the class's own bias
    rendering: np.ndarray
    gradient: np.ndarray  # of the score with respect to the image
    product: np.ndarray  # (B,), <rendering, image>
    eta: np.ndarray  # (B,)
    bias_times_gradient: float  # of the score with respect to the bias, summed over layers and images


def frozen_twin(network: Network, net: NRM, inference: Inference) -> NRM:
    """What ``net`` was in this pass, without norms: their affine maps are folded into the filters.

    The gradients are this network's, in training mode: a batch norm's own flow through its statistics, which
    are constants of the rendering, and in evaluation mode MXNet 1.9.1 gets max-pooling's wrong.
    """
    options = {"maxmin": net.options.maxmin, "slope": net.options.slope, **PLAIN}
    twin = tiny.build(**network, **options)
    twin.classifier.weight.set_data(net.classifier.weight.data())
    twin.classifier.bias.set_data(net.classifier.bias.data())
    for layer, ours, (scale, shift) in zip(twin.layers, net.layers, inference.frozen):
        layer.convolution.weight.set_data(ours.convolution.weight.data() * scale.reshape((-1, 1, 1, 1)))
        layer.bias.set_data(shift)
    return twin


def ask(network: Network, net: NRM, train: bool, known: bool = True) -> Iterator[Found]:
    """One pass, branch by branch."""
    x, label = tiny.images(net), tiny.labels(net, known=known)
    x.attach_grad()
    with autograd.train_mode() if train else autograd.predict_mode():
        joint = net.joint(mx.nd, x, label)
    for branch, (inference, rendering) in enumerate(zip(joint.inferences, joint.renderings)):
        twin = frozen_twin(network, net, inference)
        with autograd.record():
            logits = twin.infer(x)[branch].logits
            score = mx.nd.sum(logits * joint.code, axis=1)
        score.backward()
        np.testing.assert_allclose(logits.asnumpy(), inference.logits.asnumpy(), rtol=1e-4, atol=1e-5)
        eta = prior_score(mx.nd, inference.shifts, rendering.routed)
        product = mx.nd.sum(rendering.image * x, axis=(1, 2, 3))
        own = score - mx.nd.dot(joint.code, net.classifier.bias.data())
        by_bias = [float(mx.nd.dot(layer.bias.data(), layer.bias.grad()).asscalar()) for layer in twin.layers]
        arrays = [each.asnumpy() for each in (own, rendering.image, x.grad, product, eta)]
        yield Found._make([*arrays, sum(by_bias)])


def check(branches: Iterator[Found], expected: int) -> None:
    count = 0
    for found in branches:
        assert np.abs(found.gradient).max() > 1e-3
        assert np.abs(found.eta).max() > 1e-3
        np.testing.assert_allclose(found.rendering, found.gradient, **TOLERANCE)
        np.testing.assert_allclose(found.score, found.product + found.eta, **TOLERANCE)
        np.testing.assert_allclose(found.eta.sum(), found.bias_times_gradient, **TOLERANCE)
        count += 1
    assert count == expected


@pytest.mark.parametrize("slope", [0.0, 0.1])
@pytest.mark.parametrize("network", NETWORKS)
def test_without_norms(network: str, slope: float) -> None:
    net = tiny.build(**NETWORKS[network], maxmin=True, slope=slope, **PLAIN)
    for train in (False, True):
        check(ask(NETWORKS[network], net, train), 2)


@pytest.mark.parametrize("network", ["pool_after_the_last", "odd_image", "no_pool", "lenet"])
def test_through_batch_norms_of_frozen_statistics(network: str) -> None:
    """Those of the batch in training, the running ones otherwise."""
    released = network == "odd_image"
    net = tiny.build(**NETWORKS[network], maxmin=True, render_norm="none", released_bias=released)
    for train in (False, True):
        check(ask(NETWORKS[network], net, train), 2)


@pytest.mark.parametrize("path_norm", ["layerwise", "mode", "none"])
def test_unlabelled_images_render_the_predicted_class(path_norm: str) -> None:
    network = NETWORKS["pool_after_the_first"]
    net = tiny.build(**network, maxmin=True, path_norm=path_norm, **PLAIN)
    check(ask(network, net, train=True, known=False), 2)
    joint = net.joint(mx.nd, tiny.images(net), tiny.labels(net, known=False))
    predicted = joint.prediction.logits.asnumpy().argmax(axis=1)
    np.testing.assert_array_equal(joint.code.asnumpy().argmax(axis=1), predicted)


@pytest.mark.parametrize(("name", "shape"), [("digits_cnn", (1, 8, 8)), ("lenet_small", (1, 28, 28))])
def test_registered_models(name: str, shape: Tuple[int, int, int]) -> None:
    net = tiny.randomise(initialise(get_model(name, 10, shape, **PLAIN)))
    network: Network = dict(layers=get_architecture(name), input_shape=shape, classes=10)
    check(ask(network, net, train=False), 1)


def test_rendering_one_image_does_not_depend_on_the_others_of_its_batch() -> None:
    net = tiny.build(maxmin=True, **PLAIN)
    x, label = tiny.images(net), tiny.labels(net)
    together = net.joint(mx.nd, x, label).renderings
    alone = net.joint(mx.nd, x[2:3], label[2:3]).renderings
    for ours, theirs in zip(alone, together):
        np.testing.assert_allclose(ours.image.asnumpy()[0], theirs.image.asnumpy()[2], rtol=1e-5, atol=1e-6)


def test_reconstructor_returns_the_renderings_of_every_layer() -> None:
    net = tiny.build(
        layers=(3, "pool", 4), input_shape=(2, 6, 7), maxmin=True, norm="none", render_norm="none"
    )
    x, label = tiny.images(net), tiny.labels(net)
    joint, found = net.joint(mx.nd, x, label), Reconstructor(net)(x, label)
    assert len(found.images) == len(found.features) == 2
    for image, features, rendering in zip(found.images, found.features, joint.renderings):
        np.testing.assert_array_equal(image.asnumpy(), rendering.image.asnumpy())
        assert [feature.shape for feature in features] == [(5, 3, 3, 3), (5, 4, 3, 3)]
    np.testing.assert_array_equal(found.code.asnumpy().argmax(axis=1), label.asnumpy())


def path_scores(net: NRM, x: mx.nd.NDArray, label: int, branch: int) -> np.ndarray:
    """<h(0), x> + eta of every rendering path z."""
    inference = net.infer(x)[branch]
    paths = tiny.every_path(net, inference, label)
    rendering = net.render(mx.nd, paths.code, paths.inference, branch)
    eta = prior_score(mx.nd, inference.shifts, rendering.routed)
    return (mx.nd.sum(mx.nd.broadcast_mul(rendering.image, x), axis=(1, 2, 3)) + eta).asnumpy()


ENUMERABLE: List[Network] = [
    dict(layers=(1,), input_shape=(1, 3, 3)),
    dict(layers=(1, "pool"), input_shape=(2, 4, 4)),
    dict(layers=(1, "pool", 1), input_shape=(1, 2, 6)),
    dict(layers=(2, 1), input_shape=(1, 1, 3)),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("network", ENUMERABLE, ids=lambda network: "_".join(map(str, network["layers"])))
def test_theorem_3_2_by_enumeration(network: Network, seed: int) -> None:
    """The CNN's score is the best path's <h(0), x> + eta, the Min branch's the worst's, where h(l) >= 0."""
    net = tiny.build(**network, seed=seed, non_negative=True, slope=0.0, maxmin=True, **PLAIN)
    for x in (tiny.images(net, 1, seed), mx.nd.zeros((1, *net.input_shape))):
        prediction = net(x)
        for label in range(net.classes):
            bias = net.classifier.bias.data().asnumpy()[label]
            scores = path_scores(net, x, label, BRANCHES["max"])
            assert scores.std() > 0
            np.testing.assert_allclose(
                scores.max(), prediction.logits_max.asnumpy()[0, label] - bias, **TOLERANCE
            )
            scores = path_scores(net, x, label, BRANCHES["min"])
            np.testing.assert_allclose(
                scores.min(), prediction.logits_min.asnumpy()[0, label] - bias, **TOLERANCE
            )


def test_no_path_scores_below_the_cnn_whatever_the_signs() -> None:
    """The inferred path is one of all paths: the best one scores at least as much, and here more."""
    surpassed = 0
    for seed in range(6):
        net = tiny.build(**ENUMERABLE[2], seed=seed, slope=0.0, **PLAIN)
        x = tiny.images(net, 1)
        for label in range(net.classes):
            score = net(x).logits.asnumpy()[0, label] - net.classifier.bias.data().asnumpy()[label]
            best = path_scores(net, x, label, 0).max()
            assert best > score - 1e-4
            surpassed += best > score + 1e-3
    assert surpassed
