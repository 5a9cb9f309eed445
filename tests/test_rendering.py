"""Rendering is the gradient of the class score, and the score is <rendering, image> + eta."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple

import mxnet as mx
import numpy as np
import pytest
import tiny
from mxnet import autograd

from gluon_nrm.losses import prior_score
from gluon_nrm.models import NRM, LayerSpec, Reconstructor, get_model, initialise

TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}
BRANCHES = {"max": 0, "min": 1}
LENET = [
    LayerSpec(4, kernel=5, pad=4, pool=2),
    LayerSpec(5, pad=0),
    LayerSpec(5, pad=2, pool=2),
    LayerSpec(3, pad=0),
]
WIDE_POOL = [LayerSpec(3, kernel=1, pad=0, pool=3), LayerSpec(4, kernel=2, pad=1)]

#: a network for every kind of layer
NETWORKS: Dict[str, Dict[str, Any]] = {
    "one_layer": dict(layers=(4,), input_shape=(1, 4, 4)),
    "pool_after_the_first": dict(layers=(3, "pool", 4), input_shape=(3, 6, 8)),
    "pool_after_the_last": dict(layers=(3, 4, "pool"), input_shape=(2, 6, 6)),
    "two_pools": dict(layers=(3, "pool", 4, "pool", 5), input_shape=(3, 8, 8)),
    "odd_image": dict(layers=(3, "pool", 4, "pool", 5), input_shape=(1, 9, 7)),
    "one_row": dict(layers=(3, 4), input_shape=(2, 1, 6)),
    "no_pool": dict(layers=(2, 3, 4), input_shape=(3, 5, 6)),
    "lenet": dict(layers=LENET, input_shape=(1, 10, 11)),
    "wide_pool": dict(
        layers=[LayerSpec(3, kernel=1, pad=0, pool=3), LayerSpec(4, kernel=2, pad=1)], input_shape=(3, 8, 7)
    ),
    "padding_beyond_the_filter": dict(
        layers=[LayerSpec(3, kernel=2, pad=3), LayerSpec(4)], input_shape=(1, 5, 4)
    ),
    "many_classes": dict(layers=(3,), input_shape=(1, 4, 4), classes=11),
}


class Oracle(NamedTuple):
    """What one pass gives, for one branch."""

    score: np.ndarray  # (B,), of each image's class, without the class's own bias
    rendering: np.ndarray
    gradient: np.ndarray  # of the score with respect to the image
    eta: np.ndarray  # (B,)
    product: np.ndarray  # (B,), <rendering, image>


def ask(net: NRM, branch: int, train: bool, known: bool = True) -> Oracle:
    x, label = tiny.images(net), tiny.labels(net, known=known)
    x.attach_grad()
    tiny.clear_gradients(net)
    with autograd.record(train_mode=train):
        joint = net.joint(mx.nd, x, label)
        score = mx.nd.sum(joint.inferences[branch].logits * joint.code, axis=1)
    score.backward()
    mx.nd.waitall()
    affine = [layer.affine[1] for layer in joint.inferences[branch].layers]
    rendering = joint.renderings[branch]
    eta = prior_score(mx.nd, affine, [layer.routed for layer in rendering.layers])
    product = mx.nd.sum(rendering.image * x, axis=(1, 2, 3))
    class_bias = mx.nd.dot(joint.code, net.classifier.bias.data())
    return Oracle(*[each.asnumpy() for each in (score - class_bias, rendering.image, x.grad, eta, product)])


def check(found: Oracle) -> None:
    assert np.abs(found.gradient).max() > 1e-3
    assert np.abs(found.eta).max() > 1e-3
    np.testing.assert_allclose(found.rendering, found.gradient, **TOLERANCE)
    np.testing.assert_allclose(found.score, found.product + found.eta, **TOLERANCE)


@pytest.mark.parametrize("slope", [0.0, 0.1])
@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("network", NETWORKS)
def test_rendering_is_the_gradient_of_the_score(network: str, branch: str, slope: float) -> None:
    plain = {"norm": "none", "render_norm": "none", "dropout": 0.0}
    net = tiny.build(**NETWORKS[network], maxmin=True, slope=slope, **plain)
    for train in (False, True):
        found = ask(net, BRANCHES[branch], train)
        check(found)
        given = sum(
            float((layer.bias.data() * layer.bias.grad()).sum().asscalar()) for layer in net.layers
        )  # sum over the batch of eta, by its own formula: bias times the gradient with respect to the bias
        np.testing.assert_allclose(found.eta.sum(), given, **TOLERANCE)


@pytest.mark.parametrize("released_bias", [False, True])
@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("network", NETWORKS)
def test_with_batch_norm_and_frozen_statistics(network: str, branch: str, released_bias: bool) -> None:
    options = {"norm": "batch", "render_norm": "none", "released_bias": released_bias}
    net = tiny.build(**NETWORKS[network], maxmin=True, **options)
    check(ask(net, BRANCHES[branch], train=False))


@pytest.mark.parametrize("path_norm", ["layerwise", "mode", "none"])
@pytest.mark.parametrize("branch", BRANCHES)
def test_unlabelled_images_render_the_predicted_class(branch: str, path_norm: str) -> None:
    net = tiny.build(maxmin=True, norm="none", render_norm="none", path_norm=path_norm)
    check(ask(net, BRANCHES[branch], train=True, known=False))
    joint = net.joint(mx.nd, tiny.images(net), tiny.labels(net, known=False))
    predicted = joint.prediction.logits.asnumpy().argmax(axis=1)
    np.testing.assert_array_equal(joint.code.asnumpy().argmax(axis=1), predicted)


@pytest.mark.parametrize(("name", "shape"), [("digits_cnn", (1, 8, 8)), ("lenet_small", (1, 28, 28))])
def test_registered_models(name: str, shape: Any) -> None:
    channels = None if name != "digits_cnn" else [4, 4, "pool", 6, 6]
    net = get_model(name, 10, shape, channels=channels, norm="none", render_norm="none")
    tiny.randomise(initialise(net))
    check(ask(net, 0, train=False))


def test_training_statistics_are_constants_of_the_rendering() -> None:
    """In training the norm is frozen at the batch's statistics: score = <rendering, image> + eta holds."""
    net = tiny.build(maxmin=True, render_norm="none")
    for branch in BRANCHES.values():
        found = ask(net, branch, train=True)
        np.testing.assert_allclose(found.score, found.product + found.eta, **TOLERANCE)


def test_rendering_one_image_does_not_depend_on_the_others_of_its_batch() -> None:
    net = tiny.build(maxmin=True, norm="none", render_norm="none")
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
    assert len(found.images) == len(found.heads) == 2
    for image, heads, rendering in zip(found.images, found.heads, joint.renderings):
        np.testing.assert_array_equal(image.asnumpy(), rendering.image.asnumpy())
        assert [head.shape for head in heads] == [(5, 3, 3, 3), (5, 4, 3, 3)]
    np.testing.assert_array_equal(found.code.asnumpy().argmax(axis=1), label.asnumpy())


def path_scores(net: NRM, x: mx.nd.NDArray, label: int, branch: int) -> np.ndarray:
    """<h(0), x> + eta of every rendering path z."""
    inference = net.infer(x)[branch]
    paths = tiny.every_path(net, inference, label)
    rendering = net.render(paths.code, paths.inference, branch)
    affine = [layer.affine[1] for layer in inference.layers]
    eta = prior_score(mx.nd, affine, [layer.routed for layer in rendering.layers])
    return (mx.nd.sum(mx.nd.broadcast_mul(rendering.image, x), axis=(1, 2, 3)) + eta).asnumpy()


ENUMERABLE: List[Dict[str, Any]] = [
    dict(layers=(1,), input_shape=(1, 3, 3)),
    dict(layers=(1, "pool"), input_shape=(2, 4, 4)),
    dict(layers=(1, "pool", 1), input_shape=(1, 4, 4)),
    dict(layers=(2, 1), input_shape=(1, 2, 2)),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("network", ENUMERABLE, ids=lambda network: "_".join(map(str, network["layers"])))
def test_theorem_3_2_by_enumeration(network: Dict[str, Any], seed: int) -> None:
    """The CNN's score is the best path's <h(0), x> + eta, the Min branch's the worst's, where h(l) >= 0."""
    plain = {"slope": 0.0, "norm": "none", "render_norm": "none", "maxmin": True}
    net = tiny.build(**network, seed=seed, non_negative=True, **plain)
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
        plain = {"slope": 0.0, "norm": "none", "render_norm": "none"}
        net = tiny.build(**ENUMERABLE[2], seed=seed, **plain)
        x = tiny.images(net, 1)
        for label in range(net.classes):
            score = net(x).logits.asnumpy()[0, label] - net.classifier.bias.data().asnumpy()[label]
            best = path_scores(net, x, label, 0).max()
            assert best > score - 1e-4
            surpassed += best > score + 1e-3
    assert surpassed
