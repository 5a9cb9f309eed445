"""The free latents of a traced network: one block for each rectifier and each max-pooling, or for both."""

from __future__ import annotations

from typing import Dict, List, Mapping, Optional, Union

import numpy as np
from mxnet.gluon.parameter import Parameter

from gluon_nrm.graph.latents import RECTIFIERS
from gluon_nrm.graph.node import Entry
from gluon_nrm.graph.rendering_plan import RenderingPlan
from gluon_nrm.graph.transpose import Site, windows_of
from gluon_nrm.models.interface.passes import FreeLatents
from gluon_nrm.rules.windows import Windows


def free_latents(plan: RenderingPlan, parameters: Mapping[str, Parameter]) -> List[FreeLatents]:
    """List the blocks of a plan, from the image upwards.

    A max-pooling whose windows tile its input, and the rectifier directly before it, are one block if nothing
    else reads the rectifier.

    Args:
        plan: the network's rendering plan.
        parameters: the network's parameters, by structural name, for learned slopes.
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
        fused_slope = None if rectifier is None else _slope(plan, rectifier, parameters)
        state = None if rectifier is None else place[rectifier]
        blocks.append(FreeLatents(site.inputs[0][1:], fused_slope, _windows(site), state, place[index]))
    return blocks


def _windows(site: Site) -> Windows:
    return Windows(site.size, site.size) if site.node.get("global_pool", False) else windows_of(site)


def _fused_rectifier(plan: RenderingPlan, pool: int, parameters: Mapping[str, Parameter]) -> Optional[int]:
    """Return the rectifier that forms one block with a pooling, or None."""
    sites, readers = plan.sites, plan.branches.graph.consumers()
    source = sites[pool].node.inputs[0].node
    while source in sites and sites[source].node.op == "Dropout":
        source = sites[source].node.inputs[0].node
    alone = source in sites and len(readers[Entry(source)]) == 1
    if not (alone and _windows(sites[pool]).tile and sites[source].node.op in RECTIFIERS):
        return None
    return source if isinstance(_slope(plan, source, parameters), float) else None


def _slope(plan: RenderingPlan, index: int, parameters: Mapping[str, Parameter]) -> Union[float, np.ndarray]:
    """Slope of a rectifier: a number or, if it is learned, one for each feature map, (C,)."""
    node = plan.sites[index].node
    if node.op != "LeakyReLU":
        return 0.0
    if node.get("act_type", "leaky") == "leaky":
        return float(node.get("slope", 0.25))
    name = plan.branches.graph.parameters[node.inputs[1].node]
    slopes: np.ndarray = parameters[name].data().asnumpy()
    return slopes
