"""Conversion of a network to the inference graph that is exported."""

from __future__ import annotations

from typing import Optional

from gluon_nrm.export.common_operators import name_nodes, use_common_operators
from gluon_nrm.export.fold import fold
from gluon_nrm.export.graph.inference_graph import InferenceGraph
from gluon_nrm.export.graph.shapes import infer_shapes
from gluon_nrm.export.mixtures import merge_mixtures
from gluon_nrm.export.simplify import compute_constants, simplify
from gluon_nrm.export.trace_network import Normalisation, trace_network
from gluon_nrm.models import Network
from gluon_nrm.predict.chosen_network import OutputChoice


def network_to_graph(
    net: Network, choice: OutputChoice, normalisation: Optional[Normalisation] = None, *, folding: bool = True
) -> InferenceGraph:
    """Trace a network, remove the nodes that only training needs, and fold norms and factors into its layers.

    Args:
        net: initialised.
        choice: the outputs to export.
        normalisation: have the graph take pixels in place of normalised images.
        folding: fold norms and factors; False is for the comparison in benchmarks/folding.py.

    Raises:
        DeployError: something in it cannot be exported; the message names it.
    """
    graph, image = compute_constants(trace_network(net, choice, normalisation)), net.input_shape
    graph = compute_constants(simplify(graph, infer_shapes(graph, image)))
    if folding:
        graph = fold(merge_mixtures(graph, infer_shapes(graph, image)))
    return name_nodes(use_common_operators(graph, infer_shapes(graph, image)))
