"""The losses of adversarial methods, and their gradients, against slow transcriptions of their equations."""

from __future__ import annotations

import math
from typing import Callable, Dict, List, Tuple

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from oracle import assert_differentiates, some

from gluon_nrm import losses

K = 4

Loss = Callable[[mx.nd.NDArray], mx.nd.NDArray]


def real_probability(row: np.ndarray) -> float:
    """Softmax over the K scores and a further one, fixed at 0: one minus the last probability."""
    odds = sum(math.exp(score) for score in row)
    return odds / (odds + 1)


def sigmoid(score: float) -> float:
    return 1 / (1 + math.exp(-score))


def of_real(scores: np.ndarray) -> np.ndarray:
    return np.array([-math.log(real_probability(row)) for row in scores])


def of_generated(scores: np.ndarray) -> np.ndarray:
    return np.array([-math.log(1 - real_probability(row)) for row in scores])


def test_real_image() -> None:
    none, real = mx.nd.array([-1] * 5), losses.RealImage()
    assert_differentiates(lambda scores: real(scores, none), of_real, [some(1, 5, K)])
    # e^0 + e^0 = 2: the image is real with probability 2/3
    assert abs(real(mx.nd.zeros((1, 2)), mx.nd.array([-1])).asscalar() - math.log(1.5)) < 1e-6


def test_a_labelled_image_has_no_real_term() -> None:
    scores = mx.nd.array([[1, 2, 3, 4], [1e4, -1e4, 0, 0], [0, 0, 0, 0]])
    scores.attach_grad()
    with autograd.record():
        loss = losses.RealImage()(scores, mx.nd.array([0, 3, -1]))
    loss.backward()
    assert loss.asnumpy()[:2].tolist() == [0, 0] and not scores.grad.asnumpy()[:2].any()
    np.testing.assert_allclose(scores.grad.asnumpy()[2], -1 / 20, rtol=1e-5)  # (1 - 4/5) / 4 for each


def test_generated_sample() -> None:
    assert_differentiates(losses.GeneratedSample(), of_generated, [some(1, 5, K)])
    assert abs(losses.GeneratedSample()(mx.nd.zeros((1, 2))).asscalar() - math.log(3)) < 1e-6


def test_fooling_loss() -> None:
    def equation(encoded: np.ndarray, generated: np.ndarray) -> np.ndarray:
        return of_generated(encoded) + of_real(generated)

    assert_differentiates(losses.FoolingLoss(), equation, [some(1, 5, K), some(2, 5, K)])


def test_discrimination_and_deception() -> None:
    def of_discriminator(real: np.ndarray, rendered: np.ndarray) -> np.ndarray:
        of_real = sum(-math.log(sigmoid(score)) for score in real) / len(real)
        return np.array([of_real + sum(-math.log(1 - sigmoid(score)) for score in rendered) / len(rendered)])

    def of_rendering(rendered: np.ndarray) -> np.ndarray:
        return np.array([-math.log(sigmoid(s)) for s in rendered])

    assert_differentiates(losses.Discrimination(), of_discriminator, [some(1, 5), some(2, 7)])
    assert_differentiates(losses.Deception(), of_rendering, [some(1, 5)])


def test_feature_matching() -> None:
    def equation(real: np.ndarray, generated: np.ndarray) -> np.ndarray:
        total = 0.0
        for n in range(real.shape[1]):
            total += (sum(real[:, n]) / len(real) - sum(generated[:, n]) / len(generated)) ** 2
        return np.array([total])

    assert_differentiates(losses.FeatureMatching(), equation, [some(1, 5, 3), some(2, 4, 3)])
    # means (1, 2) and (4, 6): 3^2 + 4^2
    found = losses.FeatureMatching()(mx.nd.array([[0, 2], [2, 2]]), mx.nd.array([[4, 6]]))
    assert found.asnumpy().tolist() == [25]


def test_smoothness() -> None:
    step = np.array([0.5, 1, 2, 0.25, 3], np.float32)

    def equation(clean: np.ndarray, moved: np.ndarray) -> np.ndarray:
        return np.array([sum((b - a) ** 2) / e**2 for a, b, e in zip(clean, moved, step)])

    block = losses.Smoothness()
    assert_differentiates(
        lambda clean, moved: block(clean, moved, mx.nd.array(step)), equation, [some(1, 5, K), some(2, 5, K)]
    )


def test_smoothness_is_the_squared_length_of_the_jacobian_along_a_direction() -> None:
    weight, x, direction = some(1, K, 6), some(2, 5, 6), some(3, 5, 6)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    step = np.full(5, 0.25, np.float32)
    clean, moved = (mx.nd.array(each @ weight.T) for each in (x, x + 0.25 * direction))
    found = losses.Smoothness()(clean, moved, mx.nd.array(step)).asnumpy()
    np.testing.assert_allclose(found, ((direction @ weight.T) ** 2).sum(axis=1), rtol=1e-3)


#: Each as a function of class scores, with its value and derivative by the log-sum-exp far from 0.
EXTREMES: Dict[str, Tuple[Loss, List[float], List[float]]] = {
    "real": (lambda scores: losses.RealImage()(scores, mx.nd.array([-1, -1])), [0, 1e4], [0, -1]),
    "generated": (losses.GeneratedSample(), [1e4, 0], [1, 0]),
    "fooling": (lambda scores: losses.FoolingLoss()(scores, scores), [1e4, 1e4], [1, -1]),
    "deception": (lambda scores: losses.Deception()(scores.max(axis=1)), [0, 1e4], [0, -1]),
    "discrimination": (
        lambda scores: losses.Discrimination()(scores.max(axis=1), scores.max(axis=1)), [1e4], [0.5, -0.5],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXTREMES)
def test_extreme_scores_are_finite(name: str) -> None:
    block, values, derivatives = EXTREMES[name]
    scores = mx.nd.array([[1e4, -1e4], [-1e4, -3e4]])
    scores.attach_grad()
    with autograd.record():
        loss = block(scores)
    loss.backward()
    np.testing.assert_allclose(loss.asnumpy(), values, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(scores.grad.asnumpy(), [[d, 0] for d in derivatives], atol=1e-6)
