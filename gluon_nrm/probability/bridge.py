"""Convert between a network's ``Inference`` and the probability model's discrete variables.

An ``Inference`` holds the latents, the z of the model, and constants: the affine maps of norms with running
statistics, and the biases. A bridge reads both, and renders through other values of z. It runs on arrays and
on traced symbols.
"""

from __future__ import annotations

from typing import List, Sequence

import numpy as np

from gluon_nrm.errors import ModelError
from gluon_nrm.models.interface.network import Network
from gluon_nrm.models.interface.passes import FreeLatents, Inference, Rendering
from gluon_nrm.probability.latents import Latent, OverlappingWindows, States, TiledWindows
from gluon_nrm.typing import Operators, Tensor


class Bridge:
    """The free latents and the constants of one branch of a network.

    Args:
        net: a network that renders.
        branch: 0 Max, 1 Min.

    Attributes:
        latents: the blocks of free latents, from the image upwards.
        biases: number of biases b(l).
        normalised: True if inference has norms, which are frozen.

    Raises:
        ModelError: the network does not render, or has no such branch.
    """

    def __init__(self, net: Network, branch: int = 0) -> None:
        if branch >= len(net.options.branches):
            raise ModelError(
                f"the network has {len(net.options.branches)} branch(es), so there is none {branch}"
            )
        if not net.renders:
            raise ModelError(
                "this network does not render (model.render is false), so it is no generative model; train "
                "one that does"
            )
        self._net, self._branch = net, branch
        self._blocks = net.free_latents
        self.latents: List[Latent] = [_latent(block) for block in self._blocks]
        self.biases, self.normalised = net.bias_count, net.normalised

    def maps(self, F: Operators, inference: Inference) -> List[Tensor]:
        """Inferred latents, one map (B, *shape) for each block; all tied pixels of a window are kept."""
        maps = []
        for block in self._blocks:
            found = [
                _joined(F, inference.latents[place])
                for place in (block.position, block.state)
                if place is not None
            ]
            maps.append(found[0] * found[1] if len(found) > 1 else found[0])
        return maps

    def constants(self, F: Operators, inference: Inference) -> List[Tensor]:
        """Constants of the rendering pass, followed by the ``biases`` biases, (C,) each."""
        return [array for entry in inference.frozen for array in entry] + inference.shifts

    def render(
        self, F: Operators, code: Tensor, maps: Sequence[Tensor], constants: Sequence[Tensor]
    ) -> Rendering:
        """Render class codes (B, K) through values of the free latents."""
        latents: List[List[Tensor]] = [[] for _ in range(self._places)]
        for block, latent, map_ in zip(self._blocks, self.latents, maps):
            own = [map_]
            if isinstance(latent, OverlappingWindows):
                split = F.SliceChannel(map_, num_outputs=latent.shape[1], axis=2, squeeze_axis=True)
                own = list(split) if latent.shape[1] > 1 else [split]
            if block.position is not None:
                latents[block.position] = own
            if block.state is not None:
                # the map of a block of both is s . t: given as t, beside states that are all 1
                latents[block.state] = own if block.position is None else [F.ones_like(map_)]
        given = iter(constants)
        frozen = [[next(given) for _ in range(size)] for size in self._net.frozen_sizes]
        return self._net.render(F, code, Inference(None, latents, frozen), self._branch)

    @property
    def _places(self) -> int:
        """Number of entries in ``Inference.latents``."""
        return sum((block.state is not None) + (block.position is not None) for block in self._blocks)


def _joined(F: Operators, maps: List[Tensor]) -> Tensor:
    """Join the maps of one latent."""
    return F.stack(*maps, axis=2) if len(maps) > 1 else maps[0]


def _latent(block: FreeLatents) -> Latent:
    """Make the discrete variables of a block."""
    if block.windows is None:
        assert block.slope is not None  # a block has a state, a position or both
        return States(block.shape, block.slope)
    if block.windows.tile:
        slope = None if block.slope is None else float(block.slope)
        return TiledWindows(block.shape, block.windows.kernel, slope)
    return OverlappingWindows(block.shape[0], _inside(block))


def _inside(block: FreeLatents) -> np.ndarray:
    """Mask of the pooling positions that lie inside the image, (places, windows)."""
    assert block.windows is not None
    where, (height, width) = block.windows, block.shape[1:]
    rows, columns = where.output_size((height, width))
    y = np.arange(rows)[:, None] * where.stride[0] - where.pad[0] + np.arange(where.kernel[0])
    x = np.arange(columns)[:, None] * where.stride[1] - where.pad[1] + np.arange(where.kernel[1])
    in_y, in_x = (y >= 0) & (y < height), (x >= 0) & (x < width)
    inside = in_y[:, None, :, None] & in_x[None, :, None, :]  # rows, columns, kernel
    return inside.reshape(rows * columns, -1).T
