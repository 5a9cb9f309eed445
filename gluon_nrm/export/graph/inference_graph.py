"""A graph for inference: operators and constant arrays, and rewriting of such graphs.

``gluon_nrm.graph`` describes networks that train, with parameters by name. Here every variable but the image
has a value. ``rewrite`` applies a rule to one node after the other and returns a new graph.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from gluon_nrm.graph.node import Entry, Node
from gluon_nrm.predict.manifest import IMAGE


@dataclass(frozen=True)
class InferenceGraph:
    """Operators in the order in which they run.

    Attributes:
        nodes: operators and variables; the only variable without an array is the image.
        outputs: entries of the outputs by name, in order.
        arrays: values of the variables by name.
    """

    nodes: Tuple[Node, ...]
    outputs: Mapping[str, Entry]
    arrays: Mapping[str, np.ndarray]

    def readers(self) -> Dict[Entry, int]:
        """Count how often each entry is read, by nodes and as an output."""
        found: Dict[Entry, int] = {}
        for entry in itertools.chain(*(node.inputs for node in self.nodes), self.outputs.values()):
            found[entry] = found.get(entry, 0) + 1
        return found

    def count(self, *ops: str) -> int:
        """Count the nodes of some operators."""
        return sum(node.op in ops for node in self.nodes)


class Builder:
    """Nodes and constants of a new graph, with unique names."""

    def __init__(self) -> None:
        self.nodes: List[Node] = []
        #: entry of the old graph -> entry of the new graph
        self.moved: Dict[Entry, Entry] = {}
        self.arrays: Dict[str, np.ndarray] = {}
        self._names: Dict[str, int] = {}
        self._constants: Dict[int, Entry] = {}

    def add(self, op: str, inputs: Iterable[Entry], name: str, **attrs: Any) -> Entry:
        """Add an operator and return its first output; ``attrs`` become strings."""
        texts = {key: value if isinstance(value, str) else str(value) for key, value in attrs.items()}
        self.nodes.append(Node(op, self._unique(name), texts, tuple(inputs)))
        return Entry(len(self.nodes) - 1)

    def image(self) -> Entry:
        """Add the image."""
        return self.add("null", (), IMAGE)

    def constant(self, value: np.ndarray, name: str) -> Entry:
        """Add a constant; adding the same array again returns the first entry."""
        if id(value) not in self._constants:
            entry = self.add("null", (), name)
            self._constants[id(value)] = entry
            self.arrays[self.nodes[entry.node].name] = value
        return self._constants[id(value)]

    def node(self, entry: Entry) -> Node:
        """Return the node that an entry is an output of."""
        return self.nodes[entry.node]

    def value(self, entry: Entry) -> Optional[np.ndarray]:
        """Return the value of a constant entry; None for others."""
        node = self.node(entry)
        return self.arrays.get(node.name) if node.variable else None

    def graph(self, outputs: Mapping[str, Entry]) -> InferenceGraph:
        """Return the new graph without nodes that no output depends on."""
        return prune(InferenceGraph(tuple(self.nodes), outputs, self.arrays))

    def _unique(self, name: str) -> str:
        count = self._names.get(name, 0)
        self._names[name] = count + 1
        return name if count == 0 else self._unique(f"{name}_{count}")


#: Called with the new graph, a node of the old graph, the node's inputs in the new graph and its index in the
#: old one; returns the node's outputs in the new graph, or None to copy the node.
Rule = Callable[[Builder, Node, List[Entry], int], Optional[Sequence[Entry]]]


def rewrite(graph: InferenceGraph, rule: Rule) -> InferenceGraph:
    """Apply a rule to every node and return the new graph."""
    builder, outputs_read = Builder(), _outputs_read(graph)
    moved = builder.moved
    for index, node in enumerate(graph.nodes):
        if node.variable:
            value = graph.arrays.get(node.name)
            moved[Entry(index)] = builder.image() if value is None else builder.constant(value, node.name)
            continue
        inputs = [moved[entry] for entry in node.inputs]
        outputs = rule(builder, node, inputs, index)
        if outputs is None:
            made = builder.add(node.op, inputs, node.name, **node.attrs).node
            outputs = [Entry(made, place) for place in range(outputs_read.get(index, 1))]
        moved.update({Entry(index, place): entry for place, entry in enumerate(outputs)})
    return builder.graph({name: moved[entry] for name, entry in graph.outputs.items()})


def prune(graph: InferenceGraph) -> InferenceGraph:
    """Remove nodes that no output depends on."""
    needed = {entry.node for entry in graph.outputs.values()}
    for index in reversed(range(len(graph.nodes))):
        if index in needed:
            needed.update(entry.node for entry in graph.nodes[index].inputs)
    places = {index: place for place, index in enumerate(sorted(needed))}

    def moved(entry: Entry) -> Entry:
        """Return an entry with its number in the smaller graph."""
        return Entry(places[entry.node], entry.output)

    nodes = tuple(
        Node(node.op, node.name, node.attrs, tuple(map(moved, node.inputs)))
        for node in (graph.nodes[index] for index in places)
    )
    arrays = {node.name: graph.arrays[node.name] for node in nodes if node.name in graph.arrays}
    return InferenceGraph(nodes, {name: moved(entry) for name, entry in graph.outputs.items()}, arrays)


def _outputs_read(graph: InferenceGraph) -> Dict[int, int]:
    """Number of outputs of each node, up to the last one that is read."""
    found: Dict[int, int] = {}
    for entry in graph.readers():
        found[entry.node] = max(found.get(entry.node, 1), entry.output + 1)
    return found
