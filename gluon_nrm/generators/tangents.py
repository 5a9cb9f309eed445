"""Tangents of the manifold of images that a generator has learned (Kumar et al. 2017).

The images near G(z) are G(z) + J dz, J = dG/dz of shape (N, Z) for images of N numbers. The directions in
which they spread most are the left singular vectors of J with the largest singular values. J is never written
down: the products J^T u are exact, by autograd, and J v is a central difference, which needs no second
derivative and has an error of the order of the squared step.
"""

from __future__ import annotations

from typing import Any, Callable, List

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from gluon_nrm.errors import ModelError
from gluon_nrm.typing import Tensor

#: Length of the step of a central difference, in units of a code.
STEP = 1e-2
#: Power iterations. Each one multiplies the share of the k-th direction over the one after by the squared
#: ratio of their singular values.
ITERATIONS = 3


def tangent_directions(
    generator: HybridBlock,
    codes: Tensor,
    count: int,
    rng: np.random.Generator,
    iterations: int = ITERATIONS,
    step: float = STEP,
) -> np.ndarray:
    """Compute the dominant directions of a generator's Jacobian at each code, largest first.

    Orthogonal iteration on J^T J from random directions, then a singular value decomposition within the
    subspace that it found. Runs eagerly, in prediction mode, so that no image depends on the others of its
    batch, on the device of the codes. No gradient of a parameter and no running statistic changes.

    Args:
        generator: codes (B, Z) to images (B, C, H, W).
        codes: (B, Z).
        count: number k of directions, at most Z and at most the numbers of an image.
        rng: draws the first directions.
        iterations: power iterations.
        step: length of the step of a central difference, in units of a code.

    Returns:
        Directions of length 1, orthogonal to each other, (k, B, C, H, W); NaN throughout if the generator has
        diverged.

    Raises:
        ModelError: there are not so many directions.
    """
    with mx.autograd.predict_mode():
        shape = generator(codes).shape
    batch, size = codes.shape
    if not 1 <= count <= min(size, int(np.prod(shape[1:]))):
        raise ModelError(
            f"a generator of codes of {size} numbers has 1 to {size} tangent directions, not more than its "
            f"images have numbers; {count} are asked for"
        )
    jacobian = _Jacobian(generator, codes, step)
    inner = _orthonormal(rng.standard_normal((batch, size, count)))
    for _ in range(iterations):
        inner = _orthonormal(jacobian.pull(jacobian.push(inner)))
    found = _orthonormal(jacobian.push(inner))
    return np.moveaxis(found, 2, 0).reshape((count, *shape)).astype(np.float32)


def random_tangent(directions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a direction of length 1 in the span of orthonormal directions, all alike probable.

    Args:
        directions: of ``tangent_directions``, (k, B, C, H, W).
        rng: draws it, for each image.

    Returns:
        (B, C, H, W).
    """
    weights = rng.standard_normal(directions.shape[:2])
    weights /= np.linalg.norm(weights, axis=0)
    return np.einsum("kb,kb...->b...", weights, directions).astype(np.float32)


class _Jacobian:
    """Products with the Jacobian J of a generator at codes (B, Z), and with its transpose."""

    def __init__(self, generator: HybridBlock, codes: Tensor, step: float) -> None:
        self._generator, self._step = generator, step
        self._codes = codes.copy()
        self._codes.attach_grad()

    def push(self, directions: np.ndarray) -> np.ndarray:
        """Multiply by J: directions of codes (B, Z, k) to directions of images (B, N, k)."""
        return self._each(directions, self._push)

    def pull(self, directions: np.ndarray) -> np.ndarray:
        """Multiply by J^T: directions of images (B, N, k) to directions of codes (B, Z, k)."""
        with mx.autograd.record(train_mode=False):
            images = self._generator(self._codes)

        def product(direction: Tensor) -> Tensor:
            (found,) = mx.autograd.grad(
                [images], [self._codes], [direction.reshape(images.shape)],
                retain_graph=True, train_mode=False,
            )  # fmt: skip
            return found

        return self._each(directions, product)

    def _each(self, directions: np.ndarray, product: Callable[[Tensor], Tensor]) -> np.ndarray:
        found: List[Any] = []
        for place in range(directions.shape[2]):
            made = product(mx.nd.array(directions[:, :, place], ctx=self._codes.context))
            found.append(made.reshape((len(self._codes), -1)).asnumpy())
        return np.stack(found, axis=2)

    def _push(self, direction: Tensor) -> Tensor:
        with mx.autograd.pause():
            ends = [self._generator(self._codes + sign * self._step * direction) for sign in (1, -1)]
            return (ends[0] - ends[1]) / (2 * self._step)


def _orthonormal(columns: np.ndarray) -> np.ndarray:
    """Left singular vectors of each matrix (B, N, k), (B, N, k), largest first; NaN if one is not finite."""
    if not np.isfinite(columns).all():
        return np.full_like(columns, np.nan)
    left, _, _ = np.linalg.svd(columns.astype(np.float64), full_matrices=False)
    return left
