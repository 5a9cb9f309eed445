"""Means, variances and instance normalisation, from operators that are cheap on every device.

``F.mean`` over axes, ``F.InstanceNorm`` and their gradients cost many times what pooling does on the CPU, so statistics
are built on global average pooling. This is the one place to look for a faster formulation.
"""

from __future__ import annotations

from typing import Tuple

from ..typing import Operators, Tensor

EPSILON = 1e-5


def spatial_mean(F: Operators, x: Tensor) -> Tensor:
    """Mean over height and width: (B, C, H, W) to (B, C, 1, 1)."""
    return F.Pooling(x, global_pool=True, pool_type="avg", kernel=(1, 1))


def _mean_and_variance(F: Operators, mean: Tensor, square: Tensor) -> Tuple[Tensor, Tensor]:
    # the difference of two rounded numbers can fall below zero where the variance is zero
    return mean, F.relu(square - mean * mean)


def channel_moments(F: Operators, x: Tensor) -> Tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel over batch and space: (B, C, H, W) to two (C,)."""

    def over_batch(y: Tensor) -> Tensor:
        return F.mean(F.reshape(spatial_mean(F, y), shape=(0, -1)), axis=0)

    return _mean_and_variance(F, over_batch(x), over_batch(x * x))


def instance_norm(F: Operators, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """Normalise every channel of every image by its own statistics; gamma and beta are (C,)."""
    mean, variance = _mean_and_variance(F, spatial_mean(F, x), spatial_mean(F, x * x))
    scale = F.broadcast_mul(F.rsqrt(variance + EPSILON), F.reshape(gamma, shape=(1, -1, 1, 1)))
    centred = F.broadcast_sub(x, mean)
    return F.broadcast_add(F.broadcast_mul(centred, scale), F.reshape(beta, shape=(1, -1, 1, 1)))
