"""Per-channel affine maps: read from nodes, and folded into the layer before them.

A batch norm with running statistics computes y = scale x + shift for each channel. Behind a convolution or a
fully connected layer whose output nothing else reads, it is folded into the layer's filters and bias. New
weights are computed in float64.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional

import numpy as np

from gluon_nrm.export.graph.inference_graph import Builder
from gluon_nrm.graph.node import Entry, Node

LAYERS = ("Convolution", "FullyConnected")


class Affine(NamedTuple):
    """The map scale x + shift; each is of shape (C,), or (1,) for one number."""

    scale: np.ndarray
    shift: np.ndarray


def read_affine(
    builder: Builder, node: Node, inputs: List[Entry], place: int, layer: Node
) -> Optional[Affine]:
    """Read a node as an affine map of the output of ``layer``; None if it is none."""
    one = np.ones(1)
    if node.op == "BatchNorm":
        return _norm(builder, node, inputs) if node.get("axis", 1) == 1 else None
    if node.op in ("broadcast_add", "broadcast_sub", "broadcast_mul", "broadcast_div"):
        operand = _of_channels(builder.value(inputs[1 - place]), layer) if len(inputs) == 2 else None
        if operand is None:
            return None
        return {
            "broadcast_add": Affine(one, operand),
            "broadcast_sub": Affine(one, -operand) if place == 0 else Affine(-one, operand),
            "broadcast_mul": Affine(operand, 0 * one),
            "broadcast_div": Affine(1 / operand, 0 * one) if place == 0 and operand.all() else None,
        }[node.op]
    number = one * float(node.get("scalar", 1.0)) if node.op.endswith("_scalar") else one
    return {
        "_mul_scalar": Affine(number, 0 * one),
        "_div_scalar": Affine(1 / number, 0 * one),
        "_plus_scalar": Affine(one, number),
        "_minus_scalar": Affine(one, -number),
        "_rminus_scalar": Affine(-one, number),
        "negative": Affine(-one, 0 * one),
    }.get(node.op)


def _norm(builder: Builder, node: Node, inputs: List[Entry]) -> Optional[Affine]:
    values = [builder.value(entry) for entry in inputs[1:]]
    gamma, beta, mean, variance = (value.astype(np.float64) for value in values if value is not None)
    scale = gamma / np.sqrt(variance + float(node.get("eps", 1e-3)))
    return Affine(scale, beta - mean * scale)


def _of_channels(value: Optional[np.ndarray], layer: Node) -> Optional[np.ndarray]:
    """Return a constant operand as one number per channel of a layer's output; None if it is not."""
    if value is None:
        return None
    axes = 2 if layer.op == "FullyConnected" else 2 + len(layer.get("kernel", (1, 1)))
    shape = (1,) * (axes - value.ndim) + value.shape
    alike = len(shape) == axes and all(length == 1 for axis, length in enumerate(shape) if axis != 1)
    return value.reshape(-1).astype(np.float64) if alike else None


def fold_into(builder: Builder, layer: Node, affine: Affine) -> Optional[Entry]:
    """Add a layer that computes ``layer`` and the affine map behind it; None if it cannot."""
    if layer.op == "BatchNorm":
        return _norm_and(builder, layer, affine)
    weight = builder.value(layer.inputs[1])
    biased = len(layer.inputs) > 2
    bias = builder.value(layer.inputs[2]) if biased else np.zeros(1)
    along_an_axis = layer.op == "FullyConnected" and not layer.get("flatten", True)
    if weight is None or bias is None or along_an_axis:
        return None
    scale = affine.scale.reshape(-1, *(1,) * (weight.ndim - 1))
    shift = np.broadcast_to(bias * affine.scale + affine.shift, weight.shape[:1])
    return layer_with(builder, layer, layer.inputs[0], weight * scale, shift)


def _norm_and(builder: Builder, norm: Node, affine: Affine) -> Optional[Entry]:
    gamma, beta = (builder.value(entry) for entry in norm.inputs[1:3])
    if gamma is None or beta is None or norm.get("axis", 1) != 1:
        return None
    values = (gamma * affine.scale, beta * affine.scale + affine.shift)
    constants = [
        builder.constant(value.astype(np.float32), f"{norm.name}_{name}")
        for value, name in zip(values, ("gamma", "beta"))
    ]
    return builder.add("BatchNorm", [norm.inputs[0], *constants, *norm.inputs[3:]], norm.name, **norm.attrs)


def layer_with(builder: Builder, node: Node, x: Entry, weight: np.ndarray, bias: np.ndarray) -> Entry:
    """Add a layer like ``node`` with another input, weight and bias."""
    biased = bool(bias.any())
    values = [(weight, "weight"), (bias, "bias")][: 1 + biased]
    constants = [builder.constant(value.astype(np.float32), f"{node.name}_{name}") for value, name in values]
    return builder.add(node.op, [x, *constants], node.name, **{**node.attrs, "no_bias": str(not biased)})
