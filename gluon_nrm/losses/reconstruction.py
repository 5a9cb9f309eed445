"""Reconstruction of the image from its rendering (Theorem 3.3b)."""

from __future__ import annotations

from typing import Any, Tuple

from mxnet.gluon import HybridBlock

from gluon_nrm.typing import Operators, Tensor


class Reconstruction(HybridBlock):
    """Half the mean squared difference of pixels: 1/2 || x - h(0) ||^2 / pixels, weighted over the branches.

    Called with images (B, C, H, W) and the rendered image of each branch, of the same shape. The gradient
    flows into the rendered images. Range [0, inf).
    """

    def __init__(self, alphas: Tuple[float, ...] = (1.0,), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._alphas = alphas

    def hybrid_forward(self, F: Operators, x: Tensor, *renderings: Tensor) -> Tensor:
        losses = [
            F.mean(F.square(each - x), axis=0, exclude=True) * (0.5 * alpha)
            for alpha, each in zip(self._alphas, renderings)
        ]
        return losses[0] if len(losses) == 1 else losses[0] + losses[1]
