"""Removal of nodes that only training needs, and evaluation of constant parts of a graph."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

import mxnet as mx
import numpy as np

from gluon_nrm.errors import DeployError
from gluon_nrm.export.graph.inference_graph import Builder, InferenceGraph, rewrite
from gluon_nrm.export.graph.shapes import Shape
from gluon_nrm.graph import operators
from gluon_nrm.graph.node import Entry, Node

#: Identities in inference.
IDENTITIES = ("BlockGrad", "Dropout", "_copy", "identity")
#: Operators on one number that keep the shape.
OF_A_NUMBER = {
    "_minus_scalar": lambda value, number: value - number,
    "_mul_scalar": lambda value, number: value * number,
    "_plus_scalar": lambda value, number: value + number,
    "abs": lambda value, number: abs(value),
    "negative": lambda value, number: -value,
}
#: Scalar operators, with the number that makes them identities.
NEUTRAL = {"_div_scalar": 1.0, "_minus_scalar": 0.0, "_mul_scalar": 1.0, "_plus_scalar": 0.0}


def simplify(graph: InferenceGraph, shapes: Mapping[Entry, Shape]) -> InferenceGraph:
    """Remove dropout, gradient stops, random gates and noise of training, and slices that take all.

    Batch norms use their running statistics, and gamma 1 if it is fixed.

    Args:
        graph: a traced graph.
        shapes: shapes of its entries.

    Raises:
        DeployError: the graph draws random numbers in inference too.
    """
    simplified = rewrite(graph, _Simplify(graph, shapes))
    for node in simplified.nodes:
        if "random" in node.op or (node.op == "Dropout" and node.attrs.get("mode") == "always"):
            raise DeployError(
                f"{node} draws random numbers in inference too, so nothing exact can be exported; "
                "take it out of the network"
            )
    return simplified


class _Simplify:
    """The rule of ``simplify``; tracks entries that have one constant value."""

    def __init__(self, graph: InferenceGraph, shapes: Mapping[Entry, Shape]) -> None:
        self._graph, self._shapes = graph, shapes
        self._uniform: Dict[Entry, float] = {}

    def __call__(
        self, builder: Builder, node: Node, inputs: List[Entry], index: int
    ) -> Optional[Sequence[Entry]]:
        if self._does_nothing(node, index):
            return inputs[:1]
        if node.op == "BatchNorm":
            return _batch_norm(builder, node, inputs)
        values = [self._value(builder, entry) for entry in inputs]
        number = self._number(node, values)
        if number is not None:
            # kept for nodes that need its shape; pruned if there is none
            made = builder.add(node.op, inputs, node.name, **node.attrs)
            self._uniform[made] = number
            return [made]
        return self._with_numbers(builder, node, inputs, values)

    def _value(self, builder: Builder, entry: Entry) -> Optional[float]:
        """Return the number that an entry holds everywhere, as far as it is known; else None."""
        array = builder.value(entry)
        return 0.0 if array is not None and not array.any() else self._uniform.get(entry)

    def _does_nothing(self, node: Node, index: int) -> bool:
        if node.op in IDENTITIES:
            return node.attrs.get("mode", "training") != "always"
        if node.op in ("Cast", "amp_cast"):
            return node.get("dtype", "") == "float32"
        if node.op == "slice_axis":
            return self._shapes[Entry(index)] == self._shapes[node.inputs[0]] and node.get("axis", 1) != 0
        return node.op in NEUTRAL and float(node.get("scalar", 1.0)) == NEUTRAL[node.op]

    @staticmethod
    def _number(node: Node, values: List[Optional[float]]) -> Optional[float]:
        """Return the constant value of a node's output; None if it is not constant."""
        if node.op in ("zeros_like", "ones_like"):
            return float(node.op == "ones_like")
        if node.op in OF_A_NUMBER and values[0] is not None:
            return float(OF_A_NUMBER[node.op](values[0], float(node.get("scalar", 0.0))))
        if node.op in ("broadcast_like", "reshape_like", "slice_axis"):
            return values[0]
        if node.op in ("broadcast_mul", "elemwise_mul") and 0.0 in values:
            # features and random numbers are finite
            return 0.0
        if node.op in ("elemwise_add", "elemwise_sub", "elemwise_mul") and None not in values:
            first, second = (value or 0.0 for value in values)
            if node.op == "elemwise_mul":
                return first * second
            return first + second if node.op == "elemwise_add" else first - second
        return None

    @staticmethod
    def _with_numbers(
        builder: Builder, node: Node, inputs: List[Entry], values: List[Optional[float]]
    ) -> Optional[Sequence[Entry]]:
        """Rewrite products with a constant and sums with zeros."""
        if node.op == "elemwise_mul" and values.count(None) == 1:
            place = values.index(None)
            return [builder.add("_mul_scalar", [inputs[place]], node.name, scalar=values[1 - place])]
        if node.op in ("add_n", "elemwise_add") and 0.0 in values:
            kept = [entry for entry, value in zip(inputs, values) if value != 0.0]
            if len(kept) == 1:
                return kept
            return [builder.add("add_n", kept, node.name, num_args=len(kept))]
        return None


def _batch_norm(builder: Builder, node: Node, inputs: List[Entry]) -> Sequence[Entry]:
    values = [builder.value(entry) for entry in inputs[1:]]
    if any(value is None for value in values):
        raise DeployError(f"{node} has parameters that depend on the image, which cannot be exported")
    gamma, _, mean, variance = (value for value in values if value is not None)
    epsilon = float(node.get("eps", 1e-3))
    if node.get("fix_gamma", True):
        inputs = [inputs[0], builder.constant(np.ones_like(gamma), f"{node.name}_ones"), *inputs[2:]]
    norm = builder.add(
        "BatchNorm", inputs, node.name, eps=epsilon, fix_gamma=False, use_global_stats=True,
        axis=node.get("axis", 1),
    )  # fmt: skip
    # its further outputs, the statistics, are constants in inference
    inverse = (1 / np.sqrt(variance.astype(np.float64) + epsilon)).astype(np.float32)
    used = {"mean": mean, "inverse": inverse}
    return [norm, *(builder.constant(value, f"{node.name}_{name}") for name, value in used.items())]


def compute_constants(graph: InferenceGraph) -> InferenceGraph:
    """Replace nodes that do not depend on the image by their values."""

    def rule(builder: Builder, node: Node, inputs: List[Entry], index: int) -> Optional[Sequence[Entry]]:
        """Return constants for the outputs of a node; None if an input depends on the image."""
        values = [builder.value(entry) for entry in inputs]
        if any(value is None for value in values) or "random" in node.op:
            return None
        arrays = [mx.nd.array(value) for value in values]
        results: List[Any] = operators.run(mx.nd, node, arrays)
        return [
            builder.constant(result.asnumpy(), f"{node.name}_value{place}")
            for place, result in enumerate(results)
        ]

    return rewrite(graph, rule)
