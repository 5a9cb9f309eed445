"""Rewriting of operators to those that MXNet fuses and quantises, and naming of nodes."""

from __future__ import annotations

import re
from typing import Dict, List, Mapping, Optional, Sequence

from gluon_nrm.export.graph.inference_graph import Builder, InferenceGraph, rewrite
from gluon_nrm.export.graph.shapes import Shape
from gluon_nrm.graph.node import Entry, Node

#: Names of a layer's operands.
OPERANDS = {
    "BatchNorm": ("data", "gamma", "beta", "mean", "var"),
    "Convolution": ("data", "weight", "bias"),
    "FullyConnected": ("data", "weight", "bias"),
}


def use_common_operators(graph: InferenceGraph, shapes: Mapping[Entry, Shape]) -> InferenceGraph:
    """Rewrite ReLUs and global average poolings to the operators that MXNet fuses and quantises.

    Args:
        graph: the graph to rewrite.
        shapes: shapes of its entries.
    """

    def rule(builder: Builder, node: Node, inputs: List[Entry], index: int) -> Optional[Sequence[Entry]]:
        """Return the replacement of a node; None keeps it."""
        leaky = node.op == "LeakyReLU" and node.get("act_type", "leaky") == "leaky"
        if node.op == "relu" or (leaky and float(node.get("slope", 0.25)) == 0.0):
            return [builder.add("Activation", inputs, node.name, act_type="relu")]
        to_one = node.op == "_contrib_AdaptiveAvgPooling2D" and shapes[Entry(index)][2:] == (1, 1)
        mean = node.op == "mean" and not node.get("exclude", False)
        if not (to_one or (mean and node.get("axis", ()) in ((2, 3), [2, 3]))):
            return None
        pooled = builder.add("Pooling", inputs, node.name, kernel=(1, 1), global_pool=True, pool_type="avg")
        if len(shapes[Entry(index)]) == 4:
            return [pooled]
        return [builder.add("Flatten", [pooled], f"{node.name}_flat")]

    return rewrite(graph, rule)


def name_nodes(graph: InferenceGraph) -> InferenceGraph:
    """Name nodes by operator and number, outputs by their names, constants by their reader."""
    outputs = {entry: name for name, entry in graph.outputs.items()}
    counts: Dict[str, int] = {}
    names: Dict[int, str] = {}
    for index, node in enumerate(graph.nodes):
        if node.variable:
            continue
        plain = re.sub(r"(?<=[a-z])(?=[A-Z])|^_(contrib_)?", "_", node.op).strip("_").lower()
        names[index] = outputs.get(Entry(index)) or f"{plain}{counts.get(plain, 0)}"
        counts[plain] = counts.get(plain, 0) + (Entry(index) not in outputs)
        operands = OPERANDS.get(node.op, ())
        for place, entry in enumerate(node.inputs):
            if graph.nodes[entry.node].name in graph.arrays and entry.node not in names:
                what = operands[place] if place < len(operands) else f"constant{place}"
                names[entry.node] = f"{names[index]}_{what}"
    nodes = tuple(
        Node(node.op, names.get(index, node.name), node.attrs, node.inputs)
        for index, node in enumerate(graph.nodes)
    )
    arrays = {
        names[index]: graph.arrays[node.name]
        for index, node in enumerate(graph.nodes)
        if node.name in graph.arrays
    }
    return InferenceGraph(nodes, graph.outputs, arrays)
