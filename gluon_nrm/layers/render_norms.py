"""The normalisation after one rendering step: of each branch, and of the zero-image path."""

from __future__ import annotations

from typing import Any, Tuple

from mxnet.gluon import HybridBlock, nn

from gluon_nrm.layers.normalisation import BatchNorm, InstanceNorm
from gluon_nrm.layers.options import NRMOptions
from gluon_nrm.typing import Operators, Tensor

Pair = Tuple[int, int]


class RenderNorms(HybridBlock):
    """Batch norms of the branches (one for both, or one each) and the instance norm of the zero-image path.

    Where rendering norms are off every one of them is the identity. As a block it is the Max branch's norm.

    Args:
        channels: channels of the rendering.
        size: height and width of it.
        options: the network's switches.
        zero: whether the zero-image path passes here (it does not at the image).
    """

    def __init__(
        self, channels: int, size: Pair, options: NRMOptions, zero: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._on = options.render_norm != "none"
        self._zero = self._on and zero and options.path_norm == "layerwise"
        own = options.maxmin and options.render_norm_branches == "separate"
        with self.name_scope():
            self.branches = nn.HybridSequential()
            if self._on:
                for _ in range(2 if own else 1):
                    self.branches.add(BatchNorm(channels))
            if self._zero:
                self.zero = InstanceNorm(channels, size)

    def hybrid_forward(self, F: Operators, h: Tensor) -> Tensor:
        return self.normalise(h, 0)

    def normalise(self, h: Tensor, branch: int) -> Tensor:
        """Normalise what the ``branch``-th branch rendered."""
        return self.branches[min(branch, len(self.branches) - 1)](h)[0] if self._on else h

    def normalise_zero(self, h: Tensor) -> Tensor:
        """Normalise what the zero-image path rendered."""
        return self.zero(h)[0] if self._zero else h
