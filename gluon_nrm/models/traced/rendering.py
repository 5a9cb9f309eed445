"""Rendering of a traced network, for one branch or for the zero image's path."""

from __future__ import annotations

from typing import Any, List, Mapping, Sequence

from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import Parameter

from gluon_nrm.graph.latents import is_parametric, with_slope
from gluon_nrm.graph.render import render_graph
from gluon_nrm.graph.rendering_plan import RenderingPlan
from gluon_nrm.layers.render_norms import RenderNorms
from gluon_nrm.layers.shared_parameters import share
from gluon_nrm.models.interface.passes import Rendering
from gluon_nrm.typing import Operators, Tensor

#: Number for the zero image's path in place of a branch.
ZERO_PATH = -1


class TracedRendering(HybridBlock):
    """Render class codes (B, K) through ``latents`` and ``frozen`` of an ``Inference``, to a ``Rendering``.

    In the zero image's path ``matched`` is empty, the image is not normalised, and learned slopes are put
    into the states.

    Args:
        plan: the network's rendering plan.
        parameters: the network's parameters, by structural name; filters and class templates are shared.
        norms: rendering norms of each feature, then of the image.
        branch: 0 Max, 1 Min, or ``ZERO_PATH``.
        learned: indices of the plan's biases that are ``Network.path_biases``.
        scaled: multiply by the frozen scale of inference's norms.
        dtype: precision of convolutions.
    """

    def __init__(
        self,
        plan: RenderingPlan,
        parameters: Mapping[str, Parameter],
        norms: Sequence[RenderNorms],
        branch: int,
        learned: Sequence[int],
        scaled: bool,
        dtype: str = "float32",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._plan, self._branch, self._norms = plan, branch, list(norms)
        self._learned, self._scaled, self._dtype = list(learned), scaled, dtype
        for place, norm in enumerate(norms):
            self.register_child(norm, f"norm{place}")
        graph = plan.branches.graph
        self._weights = {
            index: f"weight{index}"
            for index, site in plan.sites.items()
            if site.node.op in ("Convolution", "FullyConnected")
        }
        self._slopes = {
            index: f"slope{index}"
            for index, site in plan.sites.items()
            if branch == ZERO_PATH and is_parametric(site)
        }
        for index, name in {**self._weights, **self._slopes}.items():
            share(self, name, parameters[graph.parameters[graph.nodes[index].inputs[1].node]])

    def hybrid_forward(
        self,
        F: Operators,
        code: Tensor,
        latents: List[List[Tensor]],
        frozen: List[List[Tensor]],
        **weights: Tensor,
    ) -> Rendering:
        zero, known = self._branch == ZERO_PATH, dict(zip(self._plan.recorded, [*latents, *frozen]))
        for index, name in self._slopes.items():
            known[index] = [with_slope(F, self._plan.sites[index], known[index][0], weights[name])]
        found = render_graph(
            F, self._plan, code, known,
            {index: weights[name] for index, name in self._weights.items()},
            self._normalise, self._scaled, zero, self._dtype,
        )  # fmt: skip
        masked = [found.routed[place] for place in self._learned]
        if zero:
            return Rendering(found.image, found.features, [], masked, found.routed)
        matched = [
            found.own[pair.convolution] if pair.feature is None else found.features[pair.feature]
            for pair in self._plan.pairs
        ]
        image = self._norms[-1].normalise(found.image, self._branch)
        return Rendering(image, found.features, matched, masked, found.routed)

    def _normalise(self, feature: int, h: Tensor) -> Tensor:
        norms = self._norms[feature]
        return norms.normalise_zero(h) if self._branch == ZERO_PATH else norms.normalise(h, self._branch)
