"""The graph of a traced network: nodes in the order in which they run."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any, Dict, Mapping, NamedTuple, Tuple

Pair = Tuple[int, int]


class Entry(NamedTuple):
    """One output of a node."""

    node: int
    output: int = 0


@dataclass(frozen=True)
class Node:
    """One operator, or a variable (``op`` is "null")."""

    op: str
    name: str
    #: the operator's arguments, as MXNet writes them
    attrs: Mapping[str, str]
    inputs: Tuple[Entry, ...] = ()

    @property
    def variable(self) -> bool:
        """True for the image and for parameters."""
        return self.op == "null"

    def get(self, key: str, default: Any) -> Any:
        """Read an argument as a Python value; other strings, such as ``relu``, stay strings."""
        text = self.attrs.get(key)
        if text is None or text == "None":
            return default
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text

    def pair(self, key: str, default: int) -> Pair:
        """Read an argument that is a pair of integers; an empty one is ``default`` twice."""
        return tuple(self.get(key, ())) or (default, default)

    def __str__(self) -> str:
        """Name and operator, for messages."""
        return f"{self.name} ({self.op})"


@dataclass(frozen=True)
class Graph:
    """A network of one image input and one output.

    ``nodes`` are in topological order; ``parameters`` maps all variables except the image to their structural
    names (``features.0.weight``).
    """

    nodes: Tuple[Node, ...]
    image: int
    output: Entry
    parameters: Mapping[int, str]

    def consumers(self) -> Dict[Entry, Tuple[int, ...]]:
        """Nodes that read each entry; entries without readers are left out."""
        found: Dict[Entry, Tuple[int, ...]] = {}
        for index, node in enumerate(self.nodes):
            for entry in dict.fromkeys(node.inputs):
                found[entry] = (*found.get(entry, ()), index)
        return found
