"""The rendering pass of a traced network: from a class code down to the image (equation 5, Appendix B.7)."""

from __future__ import annotations

import operator
from typing import Callable, Dict, List, Mapping, NamedTuple, Sequence

from gluon_nrm.graph.node import Entry
from gluon_nrm.graph.rendering_plan import RenderingPlan
from gluon_nrm.graph.transpose import RULES, RuleInputs
from gluon_nrm.typing import Operators, Tensor


class GraphRendering(NamedTuple):
    """Result of one rendering pass."""

    #: (B, C, H, W), before its norm
    image: Tensor
    #: h(l) at each feature of the plan, before its norm, (B, C, H, W)
    features: List[Tensor]
    #: rendering onto the output of each matched convolution without a feature, (B, C, H, W), by node
    own: Dict[int, Tensor]
    #: rendering where each bias of the plan is added, t(l) . s(l) . h(l), (B, C, H, W)
    routed: List[Tensor]


def render_graph(
    F: Operators,
    plan: RenderingPlan,
    code: Tensor,
    latents: Mapping[int, List[Tensor]],
    weights: Mapping[int, Tensor],
    normalise: Callable[[int, Tensor], Tensor],
    scaled: bool,
    zero: bool = False,
    dtype: str = "float32",
) -> GraphRendering:
    """Render a class code (B, K).

    Args:
        F: the operator module.
        plan: the network's rendering plan.
        code: the class code.
        latents: latents or constants of each node that has some.
        weights: weight of each node that has one.
        normalise: apply the rendering norm of a feature, given its number.
        scaled: multiply by the frozen scale of inference's norms.
        zero: render the zero image's path, without dropout; its batch size is 1 down to the first latents of
            the images.
        dtype: precision of convolutions.
    """
    graph = plan.branches.graph
    add = F.broadcast_add if zero else operator.add
    onto: Dict[Entry, Tensor] = {graph.output: code}
    features: Dict[int, Tensor] = {}
    taps: Dict[int, Tensor] = {}
    numbers = {entry: number for number, entry in enumerate(plan.features)}
    for index in reversed(range(len(graph.nodes))):
        entry = Entry(index)
        if index not in plan.sites:
            continue
        site, h = plan.sites[index], onto[entry]
        if entry in numbers:
            # a vector is rendered as maps of one pixel
            features[numbers[entry]] = _as_maps(F, h, site.output)
            h = normalise(numbers[entry], features[numbers[entry]])
            h = F.reshape(h, shape=(0, 0)) if len(site.output) == 2 else h
        taps[index] = h
        given = RuleInputs(latents.get(index, []), weights.get(index), scaled, not zero, dtype)
        rendered = RULES[site.node.op](F, site, h, given)
        for source, depends, part in zip(site.node.inputs, site.signal, rendered):
            if depends and part is not None:
                onto[source] = add(onto[source], part) if source in onto else part
    own = {pair.convolution: taps[pair.convolution] for pair in plan.pairs if pair.feature is None}
    return GraphRendering(
        onto[Entry(graph.image)], [features[number] for number in range(len(plan.features))], own,
        [_as_maps(F, taps[bias.node], plan.sites[bias.node].output) for bias in plan.biases],
    )  # fmt: skip


def _as_maps(F: Operators, h: Tensor, shape: Sequence[int]) -> Tensor:
    return F.reshape(h, shape=(0, 0, 1, 1)) if len(shape) == 2 else h
