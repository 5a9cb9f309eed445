"""From a network to the graph that is exported."""

from __future__ import annotations

from typing import Optional

from gluon_nrm.export.canonical import name_nodes, use_common_operators
from gluon_nrm.export.fold import fold
from gluon_nrm.export.inference_graph import InferenceGraph
from gluon_nrm.export.mixtures import merge_mixtures
from gluon_nrm.export.shapes import infer_shapes
from gluon_nrm.export.simplify import compute_constants, simplify
from gluon_nrm.export.source import Normalisation, Wanted, read_graph
from gluon_nrm.models import Network


def prepare_graph(net: Network, wanted: Wanted, folded: Optional[Normalisation] = None) -> InferenceGraph:
    """Trace a network, take out what only training needs, and fold what can be folded.

    Args:
        net: initialised.
        wanted: what to export.
        folded: have the graph take pixels in place of normalised images.

    Raises:
        DeployError: something in it cannot be exported; the message names it.
    """
    graph, image = compute_constants(read_graph(net, wanted, folded)), net.input_shape
    graph = compute_constants(simplify(graph, infer_shapes(graph, image)))
    graph = fold(merge_mixtures(graph, infer_shapes(graph, image)))
    return name_nodes(use_common_operators(graph, infer_shapes(graph, image)))
