"""A node of the graph under conversion, and the ONNX nodes that compute it."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from gluon_nrm.errors import DeployError
from gluon_nrm.graph.node import Node
from gluon_nrm.option_names import option

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


class ModelFacts:
    """Nodes and constants of the ONNX model, in order."""

    def __init__(self) -> None:
        self.nodes: List[OnnxNode] = []
        self.constants: Dict[str, np.ndarray] = {}


class NodeConversion:
    """A node of the graph under conversion; collects the ONNX nodes that compute it.

    Attributes:
        node: the node.
        inputs: names of its input tensors.
        shapes: shapes of the inputs for a batch of one.
        output: shape of its first output for a batch of one.
        doubled: the same shape for a batch of two.
    """

    def __init__(
        self, model: ModelFacts, node: Node, inputs: Sequence[str], shapes: Sequence[Shape], output: Shape,
        doubled: Shape,
    ) -> None:  # fmt: skip
        self._model, self.node, self.inputs = model, node, list(inputs)
        self.shapes, self.output, self.doubled = list(shapes), output, doubled
        self._made = 0

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add an ONNX node with one output and return the output's name."""
        return self.add_several(op, 1, *inputs, **attributes)[0]

    def add_several(self, op: str, outputs: int, *inputs: str, **attributes: Any) -> List[str]:
        """Add an ONNX node and return the names of its outputs."""
        names = [self._name() for _ in range(outputs)]
        self._model.nodes.append(OnnxNode(op, inputs, tuple(names), attributes))
        return names

    def number(self, value: float) -> str:
        """Add a float32 constant."""
        return self.constant(np.array(value, dtype=np.float32))

    def integers(self, values: Sequence[int]) -> str:
        """Add an int64 constant, such as a shape or axes."""
        return self.constant(np.array(values, dtype=np.int64))

    def constant(self, value: np.ndarray) -> str:
        """Add a constant."""
        name = self._name()
        self._model.constants[name] = value
        return name

    def fail(self, what: str) -> DeployError:
        """Make the error that this node cannot be converted; ``what`` completes "it ..."."""
        other = option("formats", ["symbol"])
        return DeployError(f"{self.node} {what}, which has no ONNX form here; export with {other}")

    def _name(self) -> str:
        self._made += 1
        return f"{self.node.name}:{self._made}"


#: Converts a node; returns the names of its outputs.
Converter = Callable[[NodeConversion], Sequence[str]]
CONVERTERS: Dict[str, Converter] = {}


def converts(*ops: str) -> Callable[[Callable[[NodeConversion], Any]], Callable[[NodeConversion], Any]]:
    """Register a function as the converter of some operators; it returns one name or several."""

    def register(function: Callable[[NodeConversion], Any]) -> Callable[[NodeConversion], Any]:
        """Register ``function`` for each operator."""

        def convert(conversion: NodeConversion) -> Sequence[str]:
            """Call ``function`` and return its names as a list."""
            made = function(conversion)
            return [made] if isinstance(made, str) else list(made)

        for op in ops:
            CONVERTERS[op] = convert
        return function

    return register
