"""The fully connected layer, and its transpose with the same weight."""

from __future__ import annotations

from gluon_nrm.typing import Operators, Tensor


def transpose_fully_connected(
    F: Operators,
    h: Tensor,  # (B, units)
    weight: Tensor,  # (units, in)
) -> Tensor:
    """Render through a fully connected layer: (B, units) to (B, in).

    For the classifier and a one-hot class code this picks the class template mu_y (Definition 3.1).
    """
    return F.dot(h, weight)
