"""The prior score eta of a rendering path (Definition 3.1)."""

from __future__ import annotations

from typing import Sequence

from gluon_nrm.typing import Operators, Tensor


def prior_score(F: Operators, biases: Sequence[Tensor], routed: Sequence[Tensor]) -> Tensor:
    """Compute eta(y, z) = sum_l < b(l), t(l) . s(l) . h(l) > (Definition 3.1), (B,).

    Args:
        F: the operator module.
        biases: bias of every layer, (C,); with batch norm, the shift of its affine map.
        routed: ``Rendering.routed`` of every layer, (B, C, H, W).
    """
    total = 0.0
    for bias, h in zip(biases, routed):
        total = total + F.dot(F.sum(h, axis=(2, 3)), bias)
    return total
