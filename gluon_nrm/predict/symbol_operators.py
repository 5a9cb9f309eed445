"""Operators that an exported symbol may use, and the allowed values of their arguments."""

from __future__ import annotations

import ast
import re
from typing import Any, Dict, Mapping, NamedTuple, Optional

#: Most inputs of a node, and largest integer in an argument.
MOST_INPUTS, LARGEST = 4096, 2**20
#: Most letters of an argument, and most numbers in it.
LONGEST, MOST_NUMBERS = 4096, 512


class Operator(NamedTuple):
    """Number of inputs and outputs of an operator; ``outputs`` None: given by its arguments."""

    least: int
    most: int
    outputs: Optional[int] = 1


_ONE, _TWO, _SEVERAL = Operator(1, 1), Operator(2, 2), Operator(1, MOST_INPUTS)
_QUANTISED = ("act", "batch_norm", "concat", "conv", "elemwise_add", "elemwise_mul", "flatten",
              "fully_connected", "pooling")  # fmt: skip

OPERATORS: Dict[str, Operator] = {
    **dict.fromkeys((
        "Activation", "BlockGrad", "Cast", "Dropout", "Flatten", "L2Normalization", "LRN", "Pad", "Pooling",
        "Reshape", "SoftmaxActivation", "SwapAxis", "UpSampling", "_contrib_AdaptiveAvgPooling2D",
        "_contrib_BilinearResize2D", "_contrib_arange_like", "_copy", "_div_scalar", "_equal_scalar",
        "_greater_equal_scalar", "_greater_scalar", "_lesser_equal_scalar", "_lesser_scalar",
        "_maximum_scalar", "_minimum_scalar", "_minus_scalar", "_mul_scalar", "_not_equal_scalar",
        "_plus_scalar", "_power_scalar", "_rdiv_scalar", "_rminus_scalar", "abs", "amp_cast", "argmax",
        "broadcast_axis", "broadcast_to", "clip", "col2im", "depth_to_space", "exp", "expand_dims", "gelu",
        "hard_sigmoid", "im2col", "log", "log_softmax", "max", "mean", "min", "negative", "norm", "one_hot",
        "ones_like", "relu", "repeat", "reverse", "rsqrt", "shape_array", "sigmoid", "size_array", "slice",
        "slice_axis", "softmax", "softsign", "space_to_depth", "sqrt", "square", "squeeze", "sum", "tanh",
        "tile", "transpose", "zeros_like",
    ), _ONE),
    **dict.fromkeys((
        "_maximum", "_minimum", "batch_dot", "broadcast_add", "broadcast_div", "broadcast_equal",
        "broadcast_greater", "broadcast_greater_equal", "broadcast_lesser", "broadcast_lesser_equal",
        "broadcast_like", "broadcast_maximum", "broadcast_minimum", "broadcast_mul", "broadcast_not_equal",
        "broadcast_sub", "dot", "elemwise_add", "elemwise_div", "elemwise_mul", "elemwise_sub",
        "reshape_like", "slice_like",
    ), _TWO),
    **dict.fromkeys(("Concat", "add_n", "stack"), _SEVERAL),
    **dict.fromkeys(("Convolution", "Deconvolution", "FullyConnected"), Operator(2, 3)),
    **dict.fromkeys(("GroupNorm", "InstanceNorm", "LayerNorm"), Operator(3, 3)),
    **dict.fromkeys(("_arange", "_ones", "_zeros"), Operator(0, 0)),
    **dict.fromkeys(("SliceChannel", "_split_v2"), Operator(1, 1, None)),
    "BatchNorm": Operator(5, 5), "Crop": Operator(1, 2), "LeakyReLU": Operator(1, 2),
    "_contrib_quantize_v2": Operator(1, 1, 3), "_contrib_dequantize": Operator(3, 3),
    "_contrib_requantize": Operator(3, 3, 3),
    **{f"_contrib_quantized_{name}": Operator(3, MOST_INPUTS, 3) for name in _QUANTISED},
}  # fmt: skip
#: int8 layers with merged operators, which form a graph inside the node.
MERGED: Dict[str, Operator] = {
    name: Operator(2, 16, 3) for name in ("_sg_mkldnn_conv", "_sg_mkldnn_fully_connected")
}

_POSITIVE = frozenset({
    "block_size", "depth", "dilate", "height", "kernel", "nsize", "num_args", "num_filter", "num_group",
    "num_groups", "num_hidden", "num_outputs", "output_size", "repeats", "reps", "scale", "size", "stride",
    "target_shape", "width",
})  # fmt: skip
_NOT_NEGATIVE = frozenset({"adj", "begin_list", "dim1", "dim2", "offset", "pad", "pad_width", "workspace"})
_AXES = frozenset({"axes", "axis", "dim", "dim1", "dim2", "lhs_axes", "rhs_axes"})
_SHAPES = frozenset({"shape"})
#: Largest side of a window.
_WINDOW, _WINDOWS = 4096, frozenset({"adj", "dilate", "kernel", "pad", "pad_width", "stride"})
MOST_AXES = 8


def read_argument(text: str) -> Any:
    """Read an argument as MXNet writes it: numbers, tuples, ``None``, or a word such as ``relu``.

    Raises:
        ValueError: it is none of these.
    """
    if len(text) > LONGEST:
        raise ValueError("is too long")
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        return {"None": None, "True": True, "False": False, "true": True, "false": False}.get(text, text)
    if not re.fullmatch(r"[-+0-9.eE,() \[\]NoneLinfa]*", text):
        raise ValueError("is no number, tuple or word")
    try:
        return ast.literal_eval(text.replace("L", ""))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise ValueError("is no number, tuple or word") from None


def check_argument(key: str, text: str) -> None:
    """Check one argument of an operator.

    Raises:
        ValueError: its value is in no export; the message says why, after the argument's name.
    """
    value = read_argument(text)
    numbers = list(value) if isinstance(value, (list, tuple)) else [value]
    if len(numbers) > MOST_NUMBERS:
        raise ValueError("has too many numbers")
    least, most = _bounds(key)
    for number in numbers:
        if isinstance(number, (list, tuple, dict, set)):
            raise ValueError("is nested")
        if isinstance(number, int) and not least <= number <= most:
            raise ValueError(f"is {number}, which is not in {least} to {most}")


def _bounds(key: str) -> Any:
    """Smallest and largest integer of an argument."""
    if key in _AXES:
        return -MOST_AXES, MOST_AXES
    least = 1 if key in _POSITIVE else 0 if key in _NOT_NEGATIVE else -4 if key in _SHAPES else -LARGEST
    return least, _WINDOW if key in _WINDOWS else LARGEST


def outputs_of(op: str, arguments: Mapping[str, str]) -> int:
    """Return the number of outputs of a node that others may read.

    Raises:
        ValueError: an argument that says so is missing or is no number.
    """
    operator = OPERATORS.get(op) or MERGED[op]
    if operator.outputs is not None:
        return operator.outputs
    if op == "SliceChannel":
        found = read_argument(arguments.get("num_outputs", ""))
    else:
        found = read_argument(arguments.get("sections", "0")) or len(_indices(arguments))
    if not isinstance(found, int) or not 1 <= found <= MOST_INPUTS:
        raise ValueError("does not say how many outputs it has")
    return found


def _indices(arguments: Mapping[str, str]) -> Any:
    found = read_argument(arguments.get("indices", "()"))
    return found if isinstance(found, (list, tuple)) else ()
