"""Tangents of a generator against the singular vectors of its whole Jacobian."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import HybridBlock, nn
from oracle import some

from gluon_nrm.errors import ModelError
from gluon_nrm.generators.generator import ImageGenerator, make_generator
from gluon_nrm.generators.tangents import random_tangent, tangent_directions

Z = 5


def linear(weight: np.ndarray) -> HybridBlock:
    """A generator of images of (1, 3, 4)."""
    made = nn.HybridSequential()
    made.add(nn.Dense(12, in_units=Z), nn.HybridLambda(lambda F, x: F.reshape(x, (0, 1, 3, 4))))
    made.initialize()
    made[0].weight.set_data(mx.nd.array(weight))
    made.hybridize()
    return made


def small() -> ImageGenerator:
    made = make_generator((2, 4, 4), Z, 6, [-1, -2], [1, 2])
    mx.random.seed(3)
    made.initialize()
    rng = np.random.default_rng(0)
    for name, parameter in made.collect_params().items():
        if name.endswith("direction") or len(parameter.shape) > 1 and parameter.grad_req != "null":
            parameter.set_data(mx.nd.array(rng.standard_normal(parameter.shape)))
    made.hybridize(static_alloc=True, static_shape=True)  # as in training
    return made


def jacobians(generator: HybridBlock, codes: np.ndarray, step: float = 1e-2) -> np.ndarray:
    """By central differences for each code number, (B, N, Z)."""
    columns = []
    for place in range(codes.shape[1]):
        ends = []
        for sign in (1, -1):
            moved = codes.copy()
            moved[:, place] += sign * step
            ends.append(generator(mx.nd.array(moved)).asnumpy().reshape(len(codes), -1))
        columns.append((ends[0] - ends[1]) / (2 * step))
    return np.stack(columns, axis=2).astype(np.float64)


def test_a_linear_generator_has_its_singular_vectors_everywhere() -> None:
    left, _, right = np.linalg.svd(some(1, 12, Z).astype(np.float64), full_matrices=False)
    weight = (left * [8, 4, 2, 1, 0.5]) @ right
    codes = mx.nd.array(some(2, 3, Z))
    found = tangent_directions(linear(weight), codes, 3, np.random.default_rng(0), iterations=12)
    assert found.shape == (3, 3, 1, 3, 4)
    for place in range(3):
        along = found[place].reshape(3, 12) @ left[:, place]
        np.testing.assert_allclose(np.abs(along), 1, atol=1e-4)


def test_a_generator_with_its_whole_jacobian() -> None:
    generator, codes = small(), some(21, 4, Z)
    found = tangent_directions(generator, mx.nd.array(codes), 2, np.random.default_rng(0), iterations=30)
    expected, sizes, _ = np.linalg.svd(jacobians(generator, codes), full_matrices=False)
    assert (sizes[:, :2] / sizes[:, 1:3] > 1.1).all()  # so the test can tell one from the next
    for place in range(2):
        along = np.einsum("bn,bn->b", found[place].reshape(4, -1), expected[:, :, place])
        np.testing.assert_allclose(np.abs(along), 1, atol=1e-3)
    # and not those of another code
    assert np.abs(np.einsum("bn,bn->b", found[0].reshape(4, -1)[::-1], expected[:, :, 0])).min() < 0.9


def test_directions_are_orthonormal_and_a_seed_repeats_them() -> None:
    generator, codes = small(), mx.nd.array(some(2, 4, Z))
    runs = [tangent_directions(generator, codes, 3, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    flat = runs[0].reshape(3, 4, -1)
    products = np.einsum("ibn,jbn->bij", flat, flat)
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(3), (4, 3, 3)), atol=1e-5)
    assert np.array_equal(runs[0], runs[1]) and not np.array_equal(runs[0], runs[2])


def test_a_random_tangent_lies_in_the_span() -> None:
    directions = tangent_directions(small(), mx.nd.array(some(2, 4, Z)), 3, np.random.default_rng(0))
    drawn = random_tangent(directions, np.random.default_rng(1))
    assert drawn.shape == (4, 2, 4, 4) and drawn.dtype == np.float32
    weights = np.einsum("kbchw,bchw->kb", directions, drawn)
    np.testing.assert_allclose(np.einsum("kb,kbchw->bchw", weights, directions), drawn, atol=1e-5)
    np.testing.assert_allclose((drawn**2).sum(axis=(1, 2, 3)), 1, rtol=1e-5)
    assert np.abs(weights).max() < 1 and not np.array_equal(
        drawn, random_tangent(directions, np.random.default_rng(2))
    )


def test_nothing_of_the_generator_changes() -> None:
    generator = small()
    codes = mx.nd.array(some(2, 4, Z))
    parameters = generator.collect_params().values()
    for parameter in parameters:
        if parameter.grad_req != "null":
            parameter.grad()[:] = 7
    before = [parameter.data().asnumpy() for parameter in parameters]
    tangent_directions(generator, codes, 2, np.random.default_rng(0))
    mx.nd.waitall()
    for parameter, value in zip(parameters, before):
        assert np.array_equal(parameter.data().asnumpy(), value)
        assert parameter.grad_req == "null" or (parameter.grad().asnumpy() == 7).all()
    assert codes.grad is None


@pytest.mark.parametrize("count", [0, Z + 1])
def test_more_directions_than_there_are(count: int) -> None:
    with pytest.raises(ModelError, match=f"has 1 to {Z} tangent directions, .*; {count} are asked for"):
        tangent_directions(small(), mx.nd.array(some(2, 4, Z)), count, np.random.default_rng(0))


def test_a_diverged_generator_gives_nan() -> None:
    weight = some(1, 12, Z)
    weight[0, 0] = np.inf
    found = tangent_directions(linear(weight), mx.nd.array(some(2, 3, Z)), 2, np.random.default_rng(0))
    assert found.shape == (2, 3, 1, 3, 4) and np.isnan(found).all()
