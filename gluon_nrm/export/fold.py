"""Folding of norms, biases and factors into adjacent layers with weights."""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple

from gluon_nrm.export.affine import LAYERS, fold_into, read_affine
from gluon_nrm.export.factors import move_factor, take_factor
from gluon_nrm.export.graph.inference_graph import Builder, InferenceGraph, rewrite
from gluon_nrm.graph.node import Entry, Node


def fold(graph: InferenceGraph) -> InferenceGraph:
    """Fold norms, biases and factors, as far as that is exact, until nothing changes."""
    folded = rewrite(graph, _Fold(graph))
    while _shape(folded) != _shape(graph):
        graph, folded = folded, rewrite(folded, _Fold(folded))
    return folded


def _shape(graph: InferenceGraph) -> List[Tuple[str, Tuple[Entry, ...]]]:
    return [(node.op, node.inputs) for node in graph.nodes]


class _Fold:
    """The rule of ``fold``."""

    def __init__(self, graph: InferenceGraph) -> None:
        self._readers = graph.readers()

    def __call__(
        self, builder: Builder, node: Node, inputs: List[Entry], index: int
    ) -> Optional[Sequence[Entry]]:
        if not inputs:
            return None
        if node.op in LAYERS:
            return take_factor(builder, node, inputs)
        place = next((place for place, entry in enumerate(inputs) if builder.value(entry) is None), 0)
        layer = builder.node(inputs[place])
        if layer.op in (*LAYERS, "BatchNorm") and self._readers[node.inputs[place]] == 1:
            affine = read_affine(builder, node, inputs, place, layer)
            folded = None if affine is None else fold_into(builder, layer, affine)
            if folded is not None:
                return [folded]
        return move_factor(builder, node, inputs)
