"""ONNX forms of element-wise operators."""

from __future__ import annotations

import math
from typing import Callable, Dict

from gluon_nrm.export.to_onnx.node_conversion import NodeConversion, converts

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
#: Operators with a number on the right; names that begin with "_r" have it on the left.
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
def unary(conversion: NodeConversion) -> str:
    """Convert a function of one tensor."""
    return conversion.add(UNARY[conversion.node.op], conversion.inputs[0])


@converts(*BINARY)
def binary(conversion: NodeConversion) -> str:
    """Convert a function of several tensors."""
    if any(conversion.node.get(key, False) for key in ("transpose_a", "transpose_b")):
        raise conversion.fail("transposes what it multiplies")
    return conversion.add(BINARY[conversion.node.op], *conversion.inputs)


@converts(*SCALAR)
def with_number(conversion: NodeConversion) -> str:
    """Convert a function of a tensor and a number."""
    operands = [conversion.inputs[0], conversion.number(float(conversion.node.get("scalar", 1.0)))]
    return conversion.add(
        SCALAR[conversion.node.op], *(operands[::-1] if conversion.node.op.startswith("_r") else operands)
    )


@converts(
    *(f"broadcast_{name}" for name in COMPARISONS), *(f"_{name}_scalar" for name in COMPARISONS),
)  # fmt: skip
def comparison(conversion: NodeConversion) -> str:
    """Compare; the result is 1 or 0 as float32."""
    if conversion.node.op.endswith("_scalar"):
        name, other = (
            conversion.node.op[1 : -len("_scalar")],
            conversion.number(float(conversion.node.get("scalar", 0.0))),
        )
    else:
        name, other = conversion.node.op[len("broadcast_") :], conversion.inputs[1]
    return conversion.add("Cast", conversion.add(COMPARISONS[name], conversion.inputs[0], other), to=FLOAT)


@converts("Activation")
def activation(conversion: NodeConversion) -> str:
    """Convert ReLU, sigmoid, softplus, softsign and tanh."""
    kind = conversion.node.get("act_type", "")
    if kind not in ACTIVATIONS:
        raise conversion.fail(f"is an activation of type {kind!r}")
    return conversion.add(ACTIVATIONS[kind], conversion.inputs[0])


@converts("LeakyReLU")
def leaky_relu(conversion: NodeConversion) -> str:
    """Convert leaky and parametric ReLU, ELU, SELU and GELU."""
    kind, slope = conversion.node.get("act_type", "leaky"), float(conversion.node.get("slope", 0.25))
    forms: Dict[str, Callable[[], str]] = {
        "leaky": lambda: conversion.add("LeakyRelu", conversion.inputs[0], alpha=slope),
        "elu": lambda: conversion.add("Elu", conversion.inputs[0], alpha=slope),
        "selu": lambda: conversion.add("Selu", conversion.inputs[0]),
        "gelu": lambda: _gelu(conversion),
        "prelu": lambda: _parametric(conversion),
    }
    if kind not in forms:
        raise conversion.fail(f"is an activation of type {kind!r}")
    return forms[kind]()


def _parametric(conversion: NodeConversion) -> str:
    x, slopes = conversion.inputs
    per_channel = conversion.integers([-1, *[1] * (len(conversion.output) - 2)])
    return conversion.add("PRelu", x, conversion.add("Reshape", slopes, per_channel))


def _gelu(conversion: NodeConversion) -> str:
    """Compute x (1 + erf(x / sqrt(2))) / 2."""
    x = conversion.inputs[0]
    erf = conversion.add("Erf", conversion.add("Mul", x, conversion.number(math.sqrt(0.5))))
    return conversion.add(
        "Mul",
        conversion.add("Mul", x, conversion.number(0.5)),
        conversion.add("Add", erf, conversion.number(1.0)),
    )


@converts("clip")
def clip(conversion: NodeConversion) -> str:
    """Clip between two numbers."""
    bounds = [conversion.number(float(conversion.node.get(key, 0.0))) for key in ("a_min", "a_max")]
    return conversion.add("Clip", conversion.inputs[0], *bounds)


@converts("hard_sigmoid")
def hard_sigmoid(conversion: NodeConversion) -> str:
    """Compute clip(alpha x + beta, 0, 1)."""
    alpha, beta = float(conversion.node.get("alpha", 0.2)), float(conversion.node.get("beta", 0.5))
    return conversion.add("HardSigmoid", conversion.inputs[0], alpha=alpha, beta=beta)


@converts("square")
def square(conversion: NodeConversion) -> str:
    """Compute x x."""
    return conversion.add("Mul", conversion.inputs[0], conversion.inputs[0])


@converts("rsqrt")
def rsqrt(conversion: NodeConversion) -> str:
    """Compute 1 / sqrt(x)."""
    return conversion.add("Reciprocal", conversion.add("Sqrt", conversion.inputs[0]))


@converts("softmax", "log_softmax")
def softmax(conversion: NodeConversion) -> str:
    """Compute the softmax or its logarithm along one axis."""
    if conversion.node.get("temperature", None) not in (None, 1.0) or len(conversion.inputs) > 1:
        raise conversion.fail("has a temperature or lengths")
    op = "Softmax" if conversion.node.op == "softmax" else "LogSoftmax"
    return conversion.add(op, conversion.inputs[0], axis=int(conversion.node.get("axis", -1)))
