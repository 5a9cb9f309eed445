"""A node of the graph under conversion, and the ONNX nodes that compute it."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from gluon_nrm.errors import DeployError
from gluon_nrm.graph.node import Node

Shape = Tuple[int, ...]
OPSET = 13
#: End of a slice that takes all.
END = np.iinfo(np.int64).max


class OnnxNode(NamedTuple):
    """A node of the ONNX model: operator, names of inputs and outputs, attributes."""

    op: str
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]
    attributes: Dict[str, Any]


class Model:
    """Nodes and constants of the ONNX model, in order."""

    def __init__(self) -> None:
        self.nodes: List[OnnxNode] = []
        self.constants: Dict[str, np.ndarray] = {}


class Place:
    """One node that is converted.

    Attributes:
        node: the node.
        inputs: names of the tensors that it reads.
        shapes: their shapes, for a batch of one.
        output: shape of its first output, for a batch of one; ``doubled``: for a batch of two.
    """

    def __init__(
        self, model: Model, node: Node, inputs: Sequence[str], shapes: Sequence[Shape], output: Shape,
        doubled: Shape,
    ) -> None:  # fmt: skip
        self._model, self.node, self.inputs = model, node, list(inputs)
        self.shapes, self.output, self.doubled = list(shapes), output, doubled
        self._made = 0

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add an ONNX node of one output, and return its name."""
        return self.add_several(op, 1, *inputs, **attributes)[0]

    def add_several(self, op: str, outputs: int, *inputs: str, **attributes: Any) -> List[str]:
        """Add an ONNX node, and return the names of its outputs."""
        names = [self._name() for _ in range(outputs)]
        self._model.nodes.append(OnnxNode(op, inputs, tuple(names), attributes))
        return names

    def number(self, value: float) -> str:
        """Add a float32 constant."""
        return self.constant(np.array(value, dtype=np.float32))

    def integers(self, values: Sequence[int]) -> str:
        """Add a constant of int64s, as shapes and axes are."""
        return self.constant(np.array(values, dtype=np.int64))

    def constant(self, value: np.ndarray) -> str:
        """Add a constant."""
        name = self._name()
        self._model.constants[name] = value
        return name

    def fail(self, what: str) -> DeployError:
        """Return the error that this node cannot be converted because it ``what``."""
        return DeployError(f"{self.node} {what}, which has no ONNX form here; export with --format symbol")

    def _name(self) -> str:
        self._made += 1
        return f"{self.node.name}:{self._made}"


#: Converts a node; returns the names of its outputs.
Converter = Callable[[Place], Sequence[str]]
CONVERTERS: Dict[str, Converter] = {}


def converts(*ops: str) -> Callable[[Callable[[Place], Any]], Callable[[Place], Any]]:
    """Register a function as the converter of some operators; it returns one name or several."""

    def register(function: Callable[[Place], Any]) -> Callable[[Place], Any]:
        def convert(place: Place) -> Sequence[str]:
            made = function(place)
            return [made] if isinstance(made, str) else list(made)

        for op in ops:
            CONVERTERS[op] = convert
        return function

    return register
