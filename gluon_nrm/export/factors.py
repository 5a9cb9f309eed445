"""Moving of constant factors, such as the signs of a Min branch, into the next layer with weights."""

from __future__ import annotations

from typing import List, Optional, Sequence

import numpy as np

from gluon_nrm.export.affine import layer_with
from gluon_nrm.export.graph.inference_graph import Builder
from gluon_nrm.graph.node import Entry, Node

#: Operators with f(c x) = c f(x) in their first input.
LINEAR = (
    "Flatten", "Reshape", "UpSampling", "_contrib_AdaptiveAvgPooling2D", "expand_dims", "mean",
    "reshape_like", "slice_axis", "squeeze", "sum", "transpose",
)  # fmt: skip
#: Operators with f(c x) = c f(x) if c > 0.
POSITIVE = ("LeakyReLU", "max", "min", "relu")


def take_factor(builder: Builder, node: Node, inputs: List[Entry]) -> Optional[Sequence[Entry]]:
    """Multiply a factor of a layer's input into its weight."""
    factor, weight = builder.node(inputs[0]), builder.value(inputs[1])
    bias = builder.value(inputs[2]) if len(inputs) > 2 else np.zeros(1)
    if factor.op != "_mul_scalar" or weight is None or bias is None:
        return None
    scaled = weight.astype(np.float64) * float(factor.get("scalar", 1.0))
    return [layer_with(builder, node, factor.inputs[0], scaled, np.broadcast_to(bias, weight.shape[:1]))]


def move_factor(builder: Builder, node: Node, inputs: List[Entry]) -> Optional[Sequence[Entry]]:
    """Move factors of a node's inputs behind the node, towards the next layer."""
    factors = [_factor(builder, entry) for entry in inputs]
    bare = [
        entry if factor == 1.0 else builder.node(entry).inputs[0] for entry, factor in zip(inputs, factors)
    ]
    if node.op in ("negative", "_mul_scalar"):
        own = -1.0 if node.op == "negative" else float(node.get("scalar", 1.0))
        return [_times(builder, bare[0], own * factors[0], node.name)]
    if set(factors) == {1.0}:
        return None
    if node.op in ("elemwise_add", "elemwise_sub") and factors[0] == -factors[1]:
        other = "elemwise_sub" if node.op == "elemwise_add" else "elemwise_add"
        return [_times(builder, builder.add(other, bare, node.name), factors[0], node.name)]
    if node.op in ("elemwise_add", "elemwise_sub", "add_n", "Concat"):
        common = factors[0] if len(set(factors)) == 1 else None
    elif node.op in ("broadcast_mul", "elemwise_mul"):
        common = factors[0] * factors[1]
    else:
        common = factors[0] if _lets_through(node, factors[0]) else None
        bare[1:] = inputs[1:]
    if common is None or common == 1.0:
        return None
    return [_times(builder, builder.add(node.op, bare, node.name, **node.attrs), common, node.name)]


def _lets_through(node: Node, factor: float) -> bool:
    if node.op == "Pooling":
        kind = node.get("pool_type", "max")
        return kind in ("avg", "sum") or (kind == "max" and factor > 0)
    if node.op == "Activation":
        return factor > 0 and node.get("act_type", "") == "relu"
    if node.op == "LeakyReLU" and node.get("act_type", "leaky") not in ("leaky", "prelu"):
        return False
    return node.op in LINEAR or (node.op in POSITIVE and factor > 0)


def _factor(builder: Builder, entry: Entry) -> float:
    node = builder.node(entry)
    return float(node.get("scalar", 1.0)) if node.op == "_mul_scalar" else 1.0


def _times(builder: Builder, entry: Entry, factor: float, name: str) -> Entry:
    return entry if factor == 1.0 else builder.add("_mul_scalar", [entry], f"{name}_factor", scalar=factor)
