"""Operators that take every value by itself, and sums of several tensors, in ONNX."""

from __future__ import annotations

import math
from typing import Callable, Dict

from gluon_nrm.export.to_onnx.place import Place, converts

#: ONNX's enumeration of types.
FLOAT, INT64 = 1, 7

UNARY = {
    "abs": "Abs", "exp": "Exp", "log": "Log", "negative": "Neg", "relu": "Relu", "sigmoid": "Sigmoid",
    "softsign": "Softsign", "sqrt": "Sqrt", "tanh": "Tanh", "BlockGrad": "Identity", "Dropout": "Identity",
    "_copy": "Identity",
}  # fmt: skip
BINARY = {
    "broadcast_add": "Add", "broadcast_div": "Div", "broadcast_maximum": "Max", "broadcast_minimum": "Min",
    "broadcast_mul": "Mul", "broadcast_sub": "Sub", "elemwise_add": "Add", "elemwise_div": "Div",
    "elemwise_mul": "Mul", "elemwise_sub": "Sub", "_maximum": "Max", "_minimum": "Min", "add_n": "Sum",
    "batch_dot": "MatMul",
}  # fmt: skip
#: With a number on the right; those beginning with "_r" have it on the left.
SCALAR = {
    "_div_scalar": "Div", "_maximum_scalar": "Max", "_minimum_scalar": "Min", "_minus_scalar": "Sub",
    "_mul_scalar": "Mul", "_plus_scalar": "Add", "_power_scalar": "Pow", "_rdiv_scalar": "Div",
    "_rminus_scalar": "Sub",
}  # fmt: skip
COMPARISONS = {
    "equal": "Equal", "greater": "Greater", "greater_equal": "GreaterOrEqual", "lesser": "Less",
    "lesser_equal": "LessOrEqual",
}  # fmt: skip
ACTIVATIONS = {
    "relu": "Relu", "sigmoid": "Sigmoid", "softrelu": "Softplus", "softsign": "Softsign", "tanh": "Tanh",
}  # fmt: skip


@converts(*UNARY)
def unary(place: Place) -> str:
    """A function of one tensor."""
    return place.add(UNARY[place.node.op], place.inputs[0])


@converts(*BINARY)
def binary(place: Place) -> str:
    """A function of several tensors."""
    if any(place.node.get(key, False) for key in ("transpose_a", "transpose_b")):
        raise place.fail("transposes what it multiplies")
    return place.add(BINARY[place.node.op], *place.inputs)


@converts(*SCALAR)
def with_number(place: Place) -> str:
    """A function of a tensor and a number."""
    operands = [place.inputs[0], place.number(float(place.node.get("scalar", 1.0)))]
    return place.add(SCALAR[place.node.op], *(operands[::-1] if place.node.op.startswith("_r") else operands))


@converts(
    *(f"broadcast_{name}" for name in COMPARISONS), *(f"_{name}_scalar" for name in COMPARISONS),
)  # fmt: skip
def comparison(place: Place) -> str:
    """1 where it holds, 0 elsewhere."""
    if place.node.op.endswith("_scalar"):
        name, other = place.node.op[1 : -len("_scalar")], place.number(float(place.node.get("scalar", 0.0)))
    else:
        name, other = place.node.op[len("broadcast_") :], place.inputs[1]
    return place.add("Cast", place.add(COMPARISONS[name], place.inputs[0], other), to=FLOAT)


@converts("Activation")
def activation(place: Place) -> str:
    """ReLU and its kin."""
    kind = place.node.get("act_type", "")
    if kind not in ACTIVATIONS:
        raise place.fail(f"is an activation of type {kind!r}")
    return place.add(ACTIVATIONS[kind], place.inputs[0])


@converts("LeakyReLU")
def leaky_relu(place: Place) -> str:
    """Leaky and parametric ReLU, ELU, SELU, GELU."""
    kind, slope = place.node.get("act_type", "leaky"), float(place.node.get("slope", 0.25))
    forms: Dict[str, Callable[[], str]] = {
        "leaky": lambda: place.add("LeakyRelu", place.inputs[0], alpha=slope),
        "elu": lambda: place.add("Elu", place.inputs[0], alpha=slope),
        "selu": lambda: place.add("Selu", place.inputs[0]),
        "gelu": lambda: _gelu(place),
        "prelu": lambda: _parametric(place),
    }
    if kind not in forms:
        raise place.fail(f"is an activation of type {kind!r}")
    return forms[kind]()


def _parametric(place: Place) -> str:
    x, slopes = place.inputs
    per_channel = place.integers([-1, *[1] * (len(place.output) - 2)])
    return place.add("PRelu", x, place.add("Reshape", slopes, per_channel))


def _gelu(place: Place) -> str:
    """Compute x (1 + erf(x / sqrt(2))) / 2."""
    x = place.inputs[0]
    erf = place.add("Erf", place.add("Mul", x, place.number(math.sqrt(0.5))))
    return place.add("Mul", place.add("Mul", x, place.number(0.5)), place.add("Add", erf, place.number(1.0)))


@converts("clip")
def clip(place: Place) -> str:
    """Between two numbers."""
    bounds = [place.number(float(place.node.get(key, 0.0))) for key in ("a_min", "a_max")]
    return place.add("Clip", place.inputs[0], *bounds)


@converts("hard_sigmoid")
def hard_sigmoid(place: Place) -> str:
    """Compute clip(alpha x + beta, 0, 1)."""
    alpha, beta = float(place.node.get("alpha", 0.2)), float(place.node.get("beta", 0.5))
    return place.add("HardSigmoid", place.inputs[0], alpha=alpha, beta=beta)


@converts("square")
def square(place: Place) -> str:
    """Compute x x."""
    return place.add("Mul", place.inputs[0], place.inputs[0])


@converts("rsqrt")
def rsqrt(place: Place) -> str:
    """Compute 1 / sqrt(x)."""
    return place.add("Reciprocal", place.add("Sqrt", place.inputs[0]))


@converts("softmax", "log_softmax")
def softmax(place: Place) -> str:
    """Along one axis."""
    if place.node.get("temperature", None) not in (None, 1.0) or len(place.inputs) > 1:
        raise place.fail("has a temperature or lengths")
    op = "Softmax" if place.node.op == "softmax" else "LogSoftmax"
    return place.add(op, place.inputs[0], axis=int(place.node.get("axis", -1)))
