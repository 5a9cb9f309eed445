"""What the two kinds of network have in common as probability models: free latents, and the rest frozen.

A network's inference leaves behind latents that are free, the z of the model, and constants: the affine maps
that its norms are at their running statistics, and the biases. A bridge takes both out of an inference, and
puts other values of z back in their place, to be rendered. It runs on arrays and on traced symbols alike.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

import numpy as np
from mxnet.gluon.parameter import Parameter

from gluon_nrm.errors import ModelError
from gluon_nrm.graph.latents import RECTIFIERS
from gluon_nrm.graph.node import Entry
from gluon_nrm.graph.transpose import Site, windows_of
from gluon_nrm.models import NRM, Network, TracedNRM
from gluon_nrm.models.halves import Inferred
from gluon_nrm.models.network import BranchInference
from gluon_nrm.models.traced.inference import TracedBranch
from gluon_nrm.probability.latents import Latent, OverlappingWindows, States, Windows
from gluon_nrm.rules.windows import Windows as Geometry
from gluon_nrm.typing import Operators, Tensor


class Rendered(NamedTuple):
    """One rendering pass."""

    #: h(0), (B, C, H, W)
    image: Tensor
    #: h(l) entering each layer from above, from the image upwards
    heads: List[Tensor]
    #: t(l) . s(l) . h(l) where each bias is added
    routed: List[Tensor]


class Bridge:
    """Between a network and the probability model.

    Attributes:
        latents: the blocks of free latents, from the image upwards.
        normalised: whether inference has norms, which are then frozen.
    """

    latents: List[Latent]
    normalised: bool

    def maps(self, F: Operators, inference: Any) -> List[Tensor]:
        """The inferred latents, one map (B, *shape) a block; of pixels that tie in a window several win."""
        raise NotImplementedError

    def constants(self, F: Operators, inference: Any) -> List[Tensor]:
        """All else that rendering needs of an inference, and last the biases (``biases`` of them)."""
        raise NotImplementedError

    @property
    def biases(self) -> int:
        """Number of biases b(l)."""
        raise NotImplementedError

    def render(
        self, F: Operators, code: Tensor, maps: Sequence[Tensor], constants: Sequence[Tensor]
    ) -> Rendered:
        """Render class codes (B, K) through values of the free latents."""
        raise NotImplementedError


class ListBridge(Bridge):
    """Of a network built from a list of layers: a block a layer, s of its pixels or (s, t) of its windows."""

    def __init__(self, net: NRM, branch: int) -> None:
        self._net, self._branch = net, branch
        self.normalised = net.options.norm != "none"
        self.latents = []
        for layer in net.layers:
            shape, slope = (layer.bias.shape[0], *layer.inner), net.options.slope
            pools = layer.spec.pool > 1 and not layer.spec.average
            window = (layer.spec.pool, layer.spec.pool)
            self.latents.append(Windows(shape, window, slope) if pools else States(shape, slope))

    def maps(self, F: Operators, inference: BranchInference) -> List[Tensor]:
        """See ``Bridge``."""
        return [
            layer.latents[0] * layer.latents[1] if len(layer.latents) > 1 else layer.latents[0]
            for layer in inference.layers
        ]

    def constants(self, F: Operators, inference: BranchInference) -> List[Tensor]:
        """See ``Bridge``."""
        return [layer.affine[0] for layer in inference.layers] + [
            layer.affine[1] for layer in inference.layers
        ]

    @property
    def biases(self) -> int:
        """See ``Bridge``."""
        return len(self.latents)

    def render(
        self, F: Operators, code: Tensor, maps: Sequence[Tensor], constants: Sequence[Tensor]
    ) -> Rendered:
        """See ``Bridge``."""
        affine = zip(constants[: self.biases], constants[self.biases :])
        layers = []
        for latent, map_, pair in zip(self.latents, maps, affine):
            # the map of a window is s . t: given as t, beside states that are all 1
            latents = [F.ones_like(map_), map_] if isinstance(latent, Windows) else [map_]
            layers.append(Inferred(None, latents, None, list(pair)))
        found = self._net.render(code, BranchInference(layers, None), self._branch)
        return Rendered(found.image, found.heads, [layer.routed for layer in found.layers])


class TracedBridge(Bridge):
    """Of a traced network: a block a rectifier and a block a max-pooling.

    A max-pooling over windows that tile its input, directly behind a rectifier that nothing else reads, makes
    one block of both, (s, t) of its windows.
    """

    def __init__(self, net: TracedNRM, branch: int) -> None:
        self._net, self._branch, self._plan = net, branch, net.plan
        self._parameters: Mapping[str, Parameter] = net.network_parameters
        sites = self._plan.sites
        self.normalised = any(site.node.op == "BatchNorm" for site in sites.values())
        rectifiers = [index for index, site in sites.items() if site.node.op in RECTIFIERS]
        pools = [index for index in self._plan.latent if sites[index].node.op == "Pooling"]
        #: the rectifier in front of a pooling, where they make one block
        self._before = {pool: found for pool in pools for found in [self._fused(pool)] if found is not None}
        self._blocks = sorted({*rectifiers, *pools} - set(self._before.values()))
        self.latents = [self._latent(index) for index in self._blocks]

    def _fused(self, pool: int) -> Optional[int]:
        sites, readers = self._plan.sites, self._plan.branches.graph.consumers()
        source = sites[pool].node.inputs[0].node
        while source in sites and sites[source].node.op == "Dropout":
            source = sites[source].node.inputs[0].node
        alone = source in sites and len(readers[Entry(source)]) == 1
        tiles = windows_of(sites[pool]).tile or sites[pool].node.get("global_pool", False)
        if not (alone and tiles and sites[source].node.op in RECTIFIERS):
            return None
        return source if isinstance(self._slope(source), float) else None

    def _slope(self, index: int) -> Any:
        """Slope of a rectifier: a number, or an array of one a feature map."""
        node = self._plan.sites[index].node
        if node.op != "LeakyReLU":
            return 0.0
        if node.get("act_type", "leaky") == "leaky":
            return float(node.get("slope", 0.25))
        name = self._plan.branches.graph.parameters[node.inputs[1].node]
        return self._parameters[name].data().asnumpy()

    def _latent(self, index: int) -> Latent:
        site = self._plan.sites[index]
        if site.node.op in RECTIFIERS:
            return States(site.output[1:], self._slope(index))
        slope = self._slope(self._before[index]) if index in self._before else None
        if site.node.get("global_pool", False):
            return Windows(site.inputs[0][1:], site.size, slope)
        where = windows_of(site)
        if where.tile:
            return Windows(site.inputs[0][1:], where.kernel, slope)
        return OverlappingWindows(site.inputs[0][1], _inside(where, site))

    def maps(self, F: Operators, inference: TracedBranch) -> List[Tensor]:
        """See ``Bridge``."""
        found = dict(zip(self._plan.latent, inference.latents))
        maps = []
        for index in self._blocks:
            own = found[index]
            map_ = F.stack(*own, axis=2) if len(own) > 1 else own[0]
            maps.append(map_ * found[self._before[index]][0] if index in self._before else map_)
        return maps

    def constants(self, F: Operators, inference: TracedBranch) -> List[Tensor]:
        """See ``Bridge``."""
        found = dict(zip(self._plan.latent, inference.latents))
        fused = set(self._before.values())
        constants = []
        for index in self._constant_nodes():
            constants += [F.ones_like(found[index][0])] if index in fused else found[index]
        return constants + inference.shifts

    def _constant_nodes(self) -> List[int]:
        return [index for index in self._plan.latent if index not in self._blocks]

    @property
    def biases(self) -> int:
        """See ``Bridge``."""
        return len(self._plan.biases)

    def render(
        self, F: Operators, code: Tensor, maps: Sequence[Tensor], constants: Sequence[Tensor]
    ) -> Rendered:
        """See ``Bridge``."""
        given = iter(constants)
        latents: Dict[int, List[Tensor]] = {}
        for index in self._constant_nodes():
            count = 2 if self._plan.sites[index].node.op == "BatchNorm" else 1
            latents[index] = [next(given) for _ in range(count)]
        for index, latent, map_ in zip(self._blocks, self.latents, maps):
            latents[index] = [map_]
            if isinstance(latent, OverlappingWindows):
                places = latent.shape[1]
                split = F.SliceChannel(map_, num_outputs=places, axis=2, squeeze_axis=True)
                latents[index] = list(split) if places > 1 else [split]
        ordered = [latents[index] for index in self._plan.latent]
        found = self._net.render(code, TracedBranch(None, ordered, [], []), self._branch)
        return Rendered(found.image, found.heads, found.routed)


def _inside(where: Geometry, site: Site) -> np.ndarray:
    """Which place of which window lies on the image, (places, windows)."""
    (height, width), (rows, columns) = site.size, site.output[2:]
    y = np.arange(rows)[:, None] * where.stride[0] - where.pad[0] + np.arange(where.kernel[0])
    x = np.arange(columns)[:, None] * where.stride[1] - where.pad[1] + np.arange(where.kernel[1])
    in_y, in_x = (y >= 0) & (y < height), (x >= 0) & (x < width)
    inside = in_y[:, None, :, None] & in_x[None, :, None, :]  # rows, columns, kernel
    return inside.reshape(rows * columns, -1).T


def bridge_of(net: Network, branch: int = 0) -> Bridge:
    """Make the bridge of a network's branch (0 Max, 1 Min).

    Raises:
        ModelError: the network does not render, or has no such branch.
    """
    if branch >= len(net.options.branches):
        raise ModelError(f"the network has {len(net.options.branches)} branch(es), so there is none {branch}")
    if isinstance(net, NRM):
        return ListBridge(net, branch)
    if isinstance(net, TracedNRM):
        return TracedBridge(net, branch)
    raise ModelError(
        "this network does not render (model.render is false), so it is no generative model; train one that "
        "does"
    )

