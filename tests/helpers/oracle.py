"""Autograd as the oracle of hand-written transposes, and tracing as the twin of eager calls."""

from __future__ import annotations

from typing import Any, Callable, List, Sequence

import mxnet as mx
import numpy as np
from mxnet import autograd

Function = Callable[..., Any]
Equation = Callable[..., np.ndarray]


def some(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def untied(seed: int, *shape: int) -> np.ndarray:
    """Numbers of both signs, no two alike and none near 0."""
    numbers = np.arange(np.prod(shape)) - np.prod(shape) / 2 + 0.25
    return (np.random.default_rng(seed).permutation(numbers) * 0.1).reshape(shape).astype(np.float32)


def gradients(
    forward: Function, arrays: Sequence[np.ndarray], cotangents: Sequence[np.ndarray]
) -> List[np.ndarray]:
    """Gradient of <forward(arrays), cotangents> with respect to each array."""
    inputs = [mx.nd.array(array) for array in arrays]
    for each in inputs:
        each.attach_grad()
    with autograd.record():
        outputs = forward(mx.nd, *inputs)
    heads = outputs if isinstance(outputs, list) else [outputs]
    autograd.backward(heads, [mx.nd.array(cotangent) for cotangent in cotangents])
    return [each.grad.asnumpy() for each in inputs]


def both_ways(rule: Function, *arrays: np.ndarray) -> List[np.ndarray]:
    """Outputs of a rule, from arrays and from a traced graph, which have to agree."""
    eager = rule(mx.nd, *[mx.nd.array(array) for array in arrays])
    names = [f"input{place}" for place in range(len(arrays))]
    traced = rule(mx.sym, *[mx.sym.var(name) for name in names])
    graph = mx.sym.Group(traced) if isinstance(traced, list) else traced
    values = graph.eval(ctx=mx.cpu(), **{name: mx.nd.array(array) for name, array in zip(names, arrays)})
    found = [each.asnumpy() for each in (eager if isinstance(eager, list) else [eager])]
    assert len(values) == len(found)
    for ours, theirs in zip(found, values):
        np.testing.assert_array_equal(ours, theirs.asnumpy())
    return found


def assert_transposes(rule: Function, forward: Function, x: np.ndarray, *cotangents: np.ndarray) -> None:
    """``rule(F, *cotangents)`` is the gradient of <forward(F, x), cotangents>."""
    (found,) = both_ways(rule, *cotangents)
    (expected,) = gradients(forward, [x], cotangents)
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def differences(equation: Equation, arrays: Sequence[np.ndarray], place: int, h: np.ndarray) -> np.ndarray:
    """Gradient of <equation, h> with respect to one array, by central differences in double precision."""
    wide = [each.astype(np.float64) for each in arrays]
    result, step = np.zeros(wide[place].shape), 1e-6
    for entry in np.ndindex(*result.shape):
        values = []
        for sign in (1, -1):
            moved = [each.copy() for each in wide]
            moved[place][entry] += sign * step
            values.append((equation(*moved) * h).sum())
        result[entry] = (values[0] - values[1]) / (2 * step)
    return result


def assert_differentiates(
    block: Function,
    equation: Equation,
    arrays: List[np.ndarray],
    without: int = -1,
) -> None:
    """Value and gradients; the input at ``without`` is held constant by the loss."""
    expected = equation(*[each.astype(np.float64) for each in arrays])
    found = block(*[mx.nd.array(each) for each in arrays]).asnumpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert np.abs(expected).max() > 1e-3
    h = some(99, *expected.shape)
    for place, gradient in enumerate(gradients(lambda F, *inputs: block(*inputs), arrays, [h])):
        by_differences = differences(equation, arrays, place, h)
        assert by_differences.any()
        if place == without:
            assert not gradient.any()
        else:
            np.testing.assert_allclose(gradient, by_differences, rtol=1e-3, atol=1e-5)
