"""Normalisation after one rendering step, for each branch and the zero image's path."""

from __future__ import annotations

from typing import Any, Tuple

from mxnet.gluon import HybridBlock, nn

from gluon_nrm.layers.normalisation import BatchNorm, InstanceNorm
from gluon_nrm.layers.options import NRMOptions
from gluon_nrm.typing import Operators, Tensor

Pair = Tuple[int, int]


class RenderNorms(HybridBlock):
    """Batch norms of the branches (shared or separate), and the instance norm of the zero image's path.

    Without rendering norms each of them is the identity. As a block it is the Max branch's norm,
    (B, C, H, W) to the same shape.

    Args:
        channels: channels C of the rendering.
        size: its height and width.
        options: the network's options.
        zero: build the instance norm; the rendered image of the zero image's path has none.
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
        """Normalise a rendering (B, C, H, W) of branch 0 (Max) or 1 (Min)."""
        return self.branches[min(branch, len(self.branches) - 1)](h)[0] if self._on else h

    def normalise_zero(self, h: Tensor) -> Tensor:
        """Normalise a rendering (B, C, H, W) of the zero image's path."""
        return self.zero(h)[0] if self._zero else h
