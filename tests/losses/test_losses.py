"""Each loss, and its gradient, against a slow transcription of its equation.

The path norms are in ``test_path_norm.py``.
"""

from __future__ import annotations

from typing import List, Tuple

import mxnet as mx
import numpy as np
import pytest
import tiny
from mxnet import autograd
from oracle import assert_differentiates, differences, some

from gluon_nrm import losses
from gluon_nrm.losses.consistency import NO_TARGET
from gluon_nrm.losses.moment_matching import MapGradients, match, unit_variances
from gluon_nrm.models import Reconstructor
from gluon_nrm.models.interface.passes import MatchedLayer

K = 4
ALPHAS = (0.3, 0.7)
LABELS = np.array([2, -1, 0, 3, -1], np.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def some_probabilities(seed: int) -> np.ndarray:
    return softmax(some(seed, 5, K) * 2).astype(np.float32)


def cross_entropy(*logits: np.ndarray) -> np.ndarray:
    loss = np.zeros(len(LABELS))
    for image, label in enumerate(LABELS.astype(int)):
        if label >= 0:
            for alpha, branch in zip(ALPHAS if len(logits) > 1 else (1.0,), logits):
                loss[image] -= alpha * np.log(softmax(branch)[image, label])
    return loss


def reconstruction(x: np.ndarray, *renderings: np.ndarray) -> np.ndarray:
    alphas = ALPHAS if len(renderings) > 1 else (1.0,)
    return np.array(
        [
            sum(
                alpha * 0.5 * ((each[image] - x[image]) ** 2).mean()
                for alpha, each in zip(alphas, renderings)
            )
            for image in range(len(x))
        ]
    )


def entropy(q: np.ndarray) -> np.ndarray:
    return np.array([-sum(p * np.log(K * p + 1e-8) for p in row) for row in q])


def consistency(student: np.ndarray, teacher: np.ndarray) -> np.ndarray:
    return np.array([sum((s - t) ** 2 for s, t in zip(*rows)) / (2 * K) for rows in zip(student, teacher)])


def probabilities(*logits: np.ndarray) -> np.ndarray:
    return np.sum([alpha * softmax(each) for alpha, each in zip(ALPHAS, logits)], axis=0)


def moment_matching(*maps: np.ndarray) -> np.ndarray:
    """Of rendered maps, then the inferred ones of the same layers."""
    half, total = len(maps) // 2, 0.0
    for rendered, inferred in zip(maps[:half], maps[half:]):
        terms = []
        for channel in range(rendered.shape[1]):
            m, v = rendered[:, channel].mean(), max(rendered[:, channel].var(), 1e-5)
            M, V = inferred[:, channel].mean(), max(inferred[:, channel].var(), 1e-5)
            terms.append(0.5 * ((m - M) ** 2 / V + v / V - np.log(v / V) - 1))
        total += np.mean(terms)
    return np.array([total])


def test_cross_entropy() -> None:
    label = mx.nd.array(LABELS)
    for logits, alphas in (([some(1, 5, K)], (1.0,)), ([some(1, 5, K) * 3, some(2, 5, K)], ALPHAS)):
        block = losses.CrossEntropy(K, alphas)
        assert_differentiates(lambda *each, block=block: block(label, *each), cross_entropy, logits)


def test_cross_entropy_of_an_unlabelled_image_is_exactly_nothing() -> None:
    logits = mx.nd.array(np.array([[1, 2, 3, 4], [1e4, -1e4, 0, 0], [0, 0, 0, 0]], np.float32))
    logits.attach_grad()
    with autograd.record():
        loss = losses.CrossEntropy(K)(mx.nd.array([-1, -1, 1]), logits)
    loss.backward()
    assert loss.asnumpy()[:2].tolist() == [0, 0]
    assert not logits.grad.asnumpy()[:2].any()
    np.testing.assert_allclose(loss.asnumpy()[2], np.log(4), rtol=1e-5)


def test_cross_entropy_of_extreme_logits_is_finite() -> None:
    loss = losses.CrossEntropy(2)(mx.nd.array([0, 1]), mx.nd.array([[-1e4, 1e4], [-1e4, 1e4]]))
    np.testing.assert_allclose(loss.asnumpy(), [2e4, 0], atol=1e-5)


def test_reconstruction() -> None:
    x, one, other = (some(seed, 3, 2, 3, 2) for seed in (1, 2, 3))
    assert_differentiates(losses.Reconstruction(), reconstruction, [x, one])
    assert_differentiates(losses.Reconstruction(ALPHAS), reconstruction, [x, one, other])
    assert not losses.Reconstruction()(mx.nd.array(x), mx.nd.array(x)).asnumpy().any()


def test_entropy() -> None:
    assert_differentiates(losses.Entropy(K), entropy, [some_probabilities(1)])
    certain, even = np.eye(K)[:1], np.full((1, K), 1 / K)
    found = losses.Entropy(K)(mx.nd.array(np.concatenate([certain, even])))
    np.testing.assert_allclose(found.asnumpy(), [-np.log(K), 0], atol=1e-6)


def test_probabilities() -> None:
    logits = [some(1, 5, K), some(2, 5, K) * 3]
    assert_differentiates(losses.Probabilities(ALPHAS), probabilities, logits)
    single = losses.Probabilities()(mx.nd.array(logits[0])).asnumpy()
    np.testing.assert_allclose(single, softmax(logits[0]), rtol=1e-5)


def test_consistency() -> None:
    student, teacher = some_probabilities(1), some_probabilities(2)
    assert_differentiates(losses.Consistency(), consistency, [student, teacher], without=1)
    furthest = losses.Consistency()(mx.nd.array([[1, 0, 0, 0]]), mx.nd.array([[0, 1, 0, 0]]))
    assert furthest.asscalar() == 1 / K


def test_consistency_without_a_target() -> None:
    student, teacher = some_probabilities(1), some_probabilities(2)
    teacher[[0, 3]] = NO_TARGET
    expected = consistency(student, teacher)
    expected[[0, 3]] = 0.0
    found = losses.Consistency(partial=True)(mx.nd.array(student), mx.nd.array(teacher)).asnumpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert not found[[0, 3]].any() and consistency(student, teacher)[[0, 3]].all()


def virtual_adversarial(clean: np.ndarray, perturbed: np.ndarray) -> np.ndarray:
    pairs = [zip(*row) for row in zip(clean, perturbed)]
    return np.array([sum(p * np.log((p + 1e-8) / (q + 1e-8)) for p, q in row) for row in pairs])


def test_virtual_adversarial() -> None:
    clean, perturbed = some_probabilities(1), some_probabilities(2)
    assert_differentiates(losses.VirtualAdversarial(), virtual_adversarial, [clean, perturbed], without=0)
    assert (virtual_adversarial(clean, perturbed) > 0).all()
    certain = mx.nd.array(np.eye(K)[:2])
    found = losses.VirtualAdversarial()(certain, certain[::-1]).asnumpy()
    np.testing.assert_allclose(found, -np.log(1e-8), rtol=1e-5)  # finite where a probability is 0


def match_moments(*branches: List[np.ndarray]) -> Tuple[np.ndarray, List[np.ndarray]]:
    """Loss, and its gradient for all maps; of each branch the rendered ones, then the inferred ones."""
    half = len(branches[0]) // 2
    layers = [
        MatchedLayer(rendered.shape[1], rendered[0, 0].size, inferred[0, 0].size, negated=place > 0)
        for place, (rendered, inferred) in enumerate(zip(branches[0][:half], branches[0][half:]))
    ]
    sides = [(branch[:half], branch[half:]) for branch in branches]
    block = losses.MomentMatching(layers, len(branches))
    arrays = [mx.nd.array(each) for each in block.maps_of(sides)]
    loss, slopes = match(block, arrays)
    weight = mx.nd.array([1.0 / len(branches[0][0])])
    ones = unit_variances(block.channels, weight.context)
    found = MapGradients(block.channels)(weight, arrays, *slopes, ones)
    return loss.asnumpy(), [each.asnumpy() for each in found]


#: Maps of other sizes than their partners', as above and below a pooling.
RENDERED = [some(1, 2, 3, 2, 3) * 0.5, some(2, 2, 2, 3, 3) + 0.5]
INFERRED = [some(3, 2, 3, 4, 2) * 2 - 3, some(4, 2, 2, 1, 3)]


def test_moment_matching() -> None:
    maps = RENDERED + INFERRED
    loss, found = match_moments(maps)
    np.testing.assert_allclose(loss, moment_matching(*maps), rtol=1e-5)
    for place, gradient in enumerate(found):
        expected = differences(moment_matching, maps, place, np.ones(1))
        assert np.abs(expected).max() > 1e-2
        np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-5)
    loss, found = match_moments([RENDERED[0], RENDERED[0]])
    np.testing.assert_allclose(loss, [0], atol=1e-6)
    assert max(np.abs(each).max() for each in found) < 1e-6


def test_moment_matching_of_two_branches() -> None:
    """The mean of both; they share the first inferred map, and the second comes negated in the Min branch."""
    other = [some(seed, *each.shape) for seed, each in enumerate(RENDERED + INFERRED, start=5)]
    other[2] = INFERRED[0]
    loss, found = match_moments(RENDERED + INFERRED, [*other[:3], -other[3]])
    (one, of_one), (two, of_two) = match_moments(RENDERED + INFERRED), match_moments(other)
    np.testing.assert_allclose(loss, (one + two) / 2, rtol=1e-5)
    expected = [*of_one[:2], *of_two[:2], of_one[2] + of_two[2], of_one[3], -of_two[3]]
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected):
        np.testing.assert_allclose(ours, theirs / 2, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("constant", ["rendered", "inferred", "both"])
def test_moment_matching_without_variance(constant: str) -> None:
    """All images of a batch given the same class, or images of one colour."""
    maps = [some(1, 2, 3, 2, 3), some(2, 2, 3, 4, 2)]
    for place, name in enumerate(("rendered", "inferred")):
        if constant in (name, "both"):
            maps[place] = np.ones_like(maps[place]) * np.array([0.1, 7, -300], np.float32).reshape(1, 3, 1, 1)
    loss, found = match_moments(maps)
    np.testing.assert_allclose(loss, moment_matching(*maps), rtol=1e-3)
    for gradient in found:
        assert np.isfinite(gradient).all()


def test_objective_weighs_the_branches() -> None:
    """Cross-entropy and reconstruction mix losses; entropy and consistency are of the mixture."""
    net = tiny.build(maxmin=True, classes=K, alpha_max=ALPHAS[0], alpha_min=ALPHAS[1])
    x, label, teacher = tiny.images(net), mx.nd.array(LABELS), some_probabilities(1)
    terms = ("cross_entropy", "reconstruction", "entropy", "consistency")
    found = losses.Objective(net, terms)(x, label, mx.nd.array(teacher)).terms.asnumpy()
    prediction, rendered = net(x), Reconstructor(net)(x, label).images
    logits = [each.asnumpy() for each in (prediction.logits_max, prediction.logits_min)]
    q = probabilities(*logits)
    expected = [
        cross_entropy(*logits),
        reconstruction(x.asnumpy(), *[each.asnumpy() for each in rendered]),
        entropy(q),
        consistency(q, teacher),
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_objective_pairs_and_averages_the_moments() -> None:
    """What is rendered onto a layer's output against its convolution; both branches weigh the same."""
    net = tiny.build((3, "pool", 4, 2), (2, 6, 8), maxmin=True, alpha_max=ALPHAS[0], alpha_min=ALPHAS[1])
    x, label = tiny.images(net), tiny.labels(net)
    joint = net.joint(mx.nd, x, label)
    template = net.classifier.weight.data().asnumpy()[label.asnumpy().astype(int)].reshape(5, -1, 1, 1)
    expected = np.zeros(())
    for sign, layers, rendering in zip((1, -1), net.infer_layers(x), joint.renderings):
        inputs = [x, *[sign * layer.output for layer in layers[:-1]]]  # the Min branch is negated
        inferred = [layer.convolution(each).asnumpy() for layer, each in zip(net.layers, inputs)]
        rendered = [each.asnumpy() for each in rendering.matched[:-1]]
        expected = expected + 0.5 * moment_matching(*rendered, template, *inferred)
    found = losses.Objective(net, ["moment_matching"])(x, label).terms.asnumpy()
    np.testing.assert_allclose(found, np.broadcast_to(expected, (1, 5)), rtol=1e-3)


def test_there_is_no_way_back_through_the_terms() -> None:
    """It would leave moment matching out: MXNet says so, and ``backward`` is the way."""
    net = tiny.build()
    objective = losses.Objective(net, ["cross_entropy", "moment_matching"])
    with autograd.record():
        outcome = objective(tiny.images(net), tiny.labels(net))
    with pytest.raises(mx.MXNetError, match="not in a computational graph"):
        outcome.terms.backward()
    objective.backward([outcome], [mx.nd.ones_like(outcome.terms)])
