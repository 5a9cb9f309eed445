"""Means, variances and instance normalisation, from operators that are cheap on every device.

On the CPU, ``F.mean`` over axes and ``F.InstanceNorm`` cost many times what average pooling does, and the
gradient of ``F.Pooling`` is slow where its input comes from a convolution (another memory layout);
``AdaptiveAvgPooling2D`` has neither fault. This is the one place to look for a faster formulation.
"""

from __future__ import annotations

from typing import List

from gluon_nrm.typing import Operators, Tensor

EPSILON = 1e-5


def spatial_mean(F: Operators, x: Tensor) -> Tensor:
    """Mean over height and width: (B, C, H, W) to (B, C, 1, 1)."""
    return F.contrib.AdaptiveAvgPooling2D(x, output_size=1)


def spatial_moments(F: Operators, x: Tensor) -> List[Tensor]:
    """Mean of every channel of every image, and of its square: (B, C, H, W) to two (B, C, 1, 1).

    Their means over the batch give the channel's moments; the caller takes those for all layers at once.
    """
    return [spatial_mean(F, x), spatial_mean(F, x * x)]


def instance_norm(F: Operators, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """Normalise every channel of every image by its own statistics; gamma and beta are (C,)."""
    mean = spatial_mean(F, x)
    # the difference of two rounded numbers can fall below zero where the variance is zero
    variance = F.relu(spatial_mean(F, x * x) - mean * mean)
    scale = F.broadcast_mul(F.rsqrt(variance + EPSILON), F.reshape(gamma, shape=(1, -1, 1, 1)))
    centred = F.broadcast_sub(x, mean)
    return F.broadcast_add(F.broadcast_mul(centred, scale), F.reshape(beta, shape=(1, -1, 1, 1)))
