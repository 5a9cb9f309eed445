"""The free latents of a traced network: a block a rectifier, a block a max-pooling, or one of both."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from mxnet.gluon.parameter import Parameter

from gluon_nrm.graph.latents import RECTIFIERS
from gluon_nrm.graph.node import Entry
from gluon_nrm.graph.rendering_plan import RenderingPlan
from gluon_nrm.graph.transpose import Site, windows_of
from gluon_nrm.models.interface.passes import FreeLatents
from gluon_nrm.rules.windows import Windows


def free_latents(plan: RenderingPlan, parameters: Mapping[str, Parameter]) -> List[FreeLatents]:
    """List the blocks of a plan, from the image upwards.

    A max-pooling over windows that tile its input, directly behind a rectifier that nothing else reads, makes
    one block with it.

    Args:
        plan: the network's.
        parameters: the network's, by structural name; learned slopes are read.
    """
    place = {index: number for number, index in enumerate(plan.latents)}
    rectifiers = {index for index in plan.latents if plan.sites[index].node.op in RECTIFIERS}
    before: Dict[int, int] = {}
    for index in plan.latents:
        found = None if index in rectifiers else _fused_rectifier(plan, index, parameters)
        if found is not None:
            before[index] = found
    blocks = []
    for index in sorted(set(plan.latents) - set(before.values())):
        site = plan.sites[index]
        if index in rectifiers:
            slope = _slope(plan, index, parameters)
            blocks.append(FreeLatents(site.output[1:], slope, None, state=place[index]))
            continue
        rectifier = before.get(index)
        slope = None if rectifier is None else _slope(plan, rectifier, parameters)
        state = None if rectifier is None else place[rectifier]
        blocks.append(FreeLatents(site.inputs[0][1:], slope, _windows(site), state, place[index]))
    return blocks


def _windows(site: Site) -> Windows:
    return Windows(site.size, site.size) if site.node.get("global_pool", False) else windows_of(site)


def _fused_rectifier(plan: RenderingPlan, pool: int, parameters: Mapping[str, Parameter]) -> Optional[int]:
    """Return the rectifier that a pooling makes one block with, if there is one."""
    sites, readers = plan.sites, plan.branches.graph.consumers()
    source = sites[pool].node.inputs[0].node
    while source in sites and sites[source].node.op == "Dropout":
        source = sites[source].node.inputs[0].node
    alone = source in sites and len(readers[Entry(source)]) == 1
    if not (alone and _windows(sites[pool]).tile and sites[source].node.op in RECTIFIERS):
        return None
    return source if isinstance(_slope(plan, source, parameters), float) else None


def _slope(plan: RenderingPlan, index: int, parameters: Mapping[str, Parameter]) -> Any:
    """Slope of a rectifier: a number, or an array of one a feature map where it is learned."""
    node = plan.sites[index].node
    if node.op != "LeakyReLU":
        return 0.0
    if node.get("act_type", "leaky") == "leaky":
        return float(node.get("slope", 0.25))
    name = plan.branches.graph.parameters[node.inputs[1].node]
    return parameters[name].data().asnumpy()
