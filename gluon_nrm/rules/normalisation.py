"""The transpose of a normalisation: multiplication by its frozen scale."""

from __future__ import annotations

from gluon_nrm.typing import Operators, Tensor


def scale_filters(F: Operators, weight: Tensor, scale: Tensor) -> Tensor:
    """Fold a normalisation's transpose, ``h -> scale . h`` per channel, into the filters before it.

    Scaling filters (out, in, kh, kw) by (out,) costs less than scaling the image that they render.
    """
    return F.broadcast_mul(weight, F.reshape(scale, shape=(-1, 1, 1, 1)))
