"""ONNX forms of layers with weights, norms and poolings."""

from __future__ import annotations

from typing import Dict, List, Tuple

import mxnet as mx
import numpy as np

from gluon_nrm.export.to_onnx.node_conversion import END, NodeConversion, converts
from gluon_nrm.graph.node import Node
from gluon_nrm.rules.windows import Windows

GEOMETRY = ("kernel", "stride", "pad", "dilate")
LOWEST = float(np.finfo(np.float32).min)


def _window(node: Node) -> Dict[str, List[int]]:
    """Make the attributes that convolutions and poolings share; ONNX pads by all begins, then all ends."""
    return {
        "kernel_shape": list(node.pair("kernel", 1)),
        "strides": list(node.pair("stride", 1)),
        "pads": [*node.pair("pad", 0)] * 2,
    }


@converts("Convolution")
def convolution(conversion: NodeConversion) -> str:
    """Convert a two-dimensional convolution, NCHW."""
    if len(conversion.output) != 4 or conversion.node.get("layout", None) not in (None, "NCHW"):
        raise conversion.fail("is not two-dimensional NCHW")
    return conversion.add(
        "Conv",
        *conversion.inputs,
        **_window(conversion.node),
        dilations=list(conversion.node.pair("dilate", 1)),
        group=int(conversion.node.get("num_group", 1)),
    )


@converts("FullyConnected")
def fully_connected(conversion: NodeConversion) -> str:
    """Convert a fully connected layer of the flattened input, or along its last axis."""
    x, weight, *bias = conversion.inputs
    if not conversion.node.get("flatten", True):
        product = conversion.add("MatMul", x, conversion.add("Transpose", weight, perm=[1, 0]))
        return conversion.add("Add", product, *bias) if bias else product
    if len(conversion.shapes[0]) != 2:
        x = conversion.add("Flatten", x, axis=1)
    return conversion.add("Gemm", x, weight, *bias, transB=1)


@converts("BatchNorm")
def batch_norm(conversion: NodeConversion) -> str:
    """Convert a batch norm with running statistics, over axis 1."""
    if conversion.node.get("axis", 1) != 1:
        raise conversion.fail("does not normalise the channels, axis 1")
    return conversion.add(
        "BatchNormalization", *conversion.inputs, epsilon=float(conversion.node.get("eps", 1e-3))
    )


@converts("InstanceNorm")
def instance_norm(conversion: NodeConversion) -> str:
    """Convert an instance norm."""
    return conversion.add(
        "InstanceNormalization", *conversion.inputs, epsilon=float(conversion.node.get("eps", 1e-3))
    )


@converts("Pooling")
def pooling(conversion: NodeConversion) -> str:
    """Convert max, average and sum pooling; windows may reach over the edge."""
    node, x = conversion.node, conversion.inputs[0]
    kind = node.get("pool_type", "max")
    if kind not in ("max", "avg", "sum") or len(conversion.output) != 4:
        raise conversion.fail("pools in another way than by maximum, average or sum over height and width")
    if node.get("global_pool", False):
        if kind == "max":
            return conversion.add("GlobalMaxPool", x)
        mean = conversion.add("GlobalAveragePool", x)
        pixels = conversion.shapes[0][2] * conversion.shapes[0][3]
        return mean if kind == "avg" else conversion.add("Mul", mean, conversion.number(pixels))
    attributes = _window(node)
    edge = _beyond(conversion)
    begins = attributes["pads"]
    if any(beyond + pad >= kernel for beyond, pad, kernel in zip(edge, begins, attributes["kernel_shape"])):
        raise conversion.fail("has windows that hold no pixel")
    if attributes["kernel_shape"] == [1, 1] and not any((*edge, *begins)):
        # onnxruntime refuses a padding before a pooling of single pixels
        strides = conversion.integers(attributes["strides"])
        ranges = [conversion.integers(each) for each in ([0, 0], [END, END], [2, 3])]
        return conversion.add("Slice", x, *ranges, strides)
    if any(edge):
        # explicit: runtimes differ in the divisor of windows that reach over the edge
        widths = conversion.integers([0, 0, 0, 0, 0, 0, *edge])
        x = conversion.add("Pad", x, widths, conversion.number(LOWEST if kind == "max" else 0.0))
    if kind == "max":
        return conversion.add("MaxPool", x, **attributes)
    if kind == "avg" and not any(edge):
        counted = int(bool(node.get("count_include_pad", True)))
        return conversion.add("AveragePool", x, **attributes, count_include_pad=counted)
    mean = conversion.add("AveragePool", x, **attributes, count_include_pad=1)
    total = conversion.add("Mul", mean, conversion.number(float(np.prod(attributes["kernel_shape"]))))
    return (
        total if kind == "sum" else conversion.add("Div", total, conversion.constant(_divisors(conversion)))
    )


def _beyond(conversion: NodeConversion) -> Tuple[int, int]:
    """Count the rows and columns by which the last windows exceed the padded image."""
    node = conversion.node
    convention = node.get("pooling_convention", "valid")
    if convention not in ("valid", "full"):
        raise conversion.fail(f"pools by the convention {convention!r}")
    windows = Windows(
        node.pair("kernel", 1), node.pair("stride", 1), node.pair("pad", 0), full=convention == "full"
    )
    return windows.over_the_edge((conversion.shapes[0][2], conversion.shapes[0][3]))


def _divisors(conversion: NodeConversion) -> np.ndarray:
    """Return the divisor of each window's sum in MXNet, (1, 1, H', W')."""
    ones = mx.nd.ones((1, 1, *conversion.shapes[0][2:]))
    mean = mx.nd.Pooling(ones, **conversion.node.attrs)
    total = mx.nd.Pooling(ones, **{**conversion.node.attrs, "pool_type": "sum"})
    divisors: np.ndarray = (total / mean).asnumpy()
    return divisors


@converts("im2col")
def im2col(conversion: NodeConversion) -> str:
    """Convert im2col, (B, C * positions, windows), to a convolution with one-hot filters."""
    channels = conversion.shapes[0][1]
    columns = conversion.add(
        "Conv",
        conversion.inputs[0],
        conversion.constant(_places(conversion.node, channels)),
        **_window(conversion.node),
        dilations=list(conversion.node.pair("dilate", 1)),
        group=channels,
    )
    return conversion.add("Reshape", columns, conversion.integers([0, conversion.output[1], -1]))


@converts("col2im")
def col2im(conversion: NodeConversion) -> str:
    """Convert col2im, the transpose of ``im2col``, to a transposed convolution with one-hot filters."""
    node, channels = conversion.node, conversion.output[1]
    size: List[int] = []
    ends: List[int] = []
    for axis in range(2):
        kernel, stride, pad, dilate = (node.pair(key, key != "pad")[axis] for key in GEOMETRY)
        beyond = conversion.output[2 + axis] + 2 * pad - dilate * (kernel - 1) - 1
        size.append(beyond // stride + 1)
        ends.append(beyond % stride)  # rows that no window covers are zero
    windows = conversion.add(
        "Reshape", conversion.inputs[0], conversion.integers([0, conversion.shapes[0][1], *size])
    )
    return conversion.add(
        "ConvTranspose",
        windows,
        conversion.constant(_places(node, channels)),
        **_window(node),
        dilations=list(node.pair("dilate", 1)),
        group=channels,
        output_padding=ends,
    )


def _places(node: Node, channels: int) -> np.ndarray:
    """Make one-hot filters, one for each position of a window and each channel."""
    kernel = node.pair("kernel", 1)
    places = kernel[0] * kernel[1]
    one_hot = np.eye(places, dtype=np.float32).reshape(places, 1, *kernel)
    return np.tile(one_hot, (channels, 1, 1, 1))
