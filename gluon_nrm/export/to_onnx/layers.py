"""Layers with weights, norms and poolings in ONNX."""

from __future__ import annotations

from typing import Dict, List, Tuple

import mxnet as mx
import numpy as np

from gluon_nrm.export.to_onnx.place import END, Place, converts
from gluon_nrm.graph.node import Node
from gluon_nrm.rules.windows import Windows

GEOMETRY = ("kernel", "stride", "pad", "dilate")
LOWEST = float(np.finfo(np.float32).min)


def _window(node: Node) -> Dict[str, List[int]]:
    """Attributes that convolutions and poolings share; ONNX lists begins, then ends, of the padding."""
    return {
        "kernel_shape": list(node.pair("kernel", 1)),
        "strides": list(node.pair("stride", 1)),
        "pads": [*node.pair("pad", 0)] * 2,
    }


@converts("Convolution")
def convolution(place: Place) -> str:
    """Two-dimensional, NCHW."""
    if len(place.output) != 4 or place.node.get("layout", None) not in (None, "NCHW"):
        raise place.fail("is not two-dimensional NCHW")
    return place.add(
        "Conv", *place.inputs, **_window(place.node), dilations=list(place.node.pair("dilate", 1)),
        group=int(place.node.get("num_group", 1)),
    )  # fmt: skip


@converts("FullyConnected")
def fully_connected(place: Place) -> str:
    """Of the flattened input, or along its last axis."""
    x, weight, *bias = place.inputs
    if not place.node.get("flatten", True):
        product = place.add("MatMul", x, place.add("Transpose", weight, perm=[1, 0]))
        return place.add("Add", product, *bias) if bias else product
    if len(place.shapes[0]) != 2:
        x = place.add("Flatten", x, axis=1)
    return place.add("Gemm", x, weight, *bias, transB=1)


@converts("BatchNorm")
def batch_norm(place: Place) -> str:
    """With running statistics, over axis 1."""
    if place.node.get("axis", 1) != 1:
        raise place.fail("does not normalise the channels, axis 1")
    return place.add("BatchNormalization", *place.inputs, epsilon=float(place.node.get("eps", 1e-3)))


@converts("InstanceNorm")
def instance_norm(place: Place) -> str:
    """Of each channel of each image."""
    return place.add("InstanceNormalization", *place.inputs, epsilon=float(place.node.get("eps", 1e-3)))


@converts("Pooling")
def pooling(place: Place) -> str:
    """Max, average and sum; windows may reach over the edge."""
    node, x = place.node, place.inputs[0]
    kind = node.get("pool_type", "max")
    if kind not in ("max", "avg", "sum") or len(place.output) != 4:
        raise place.fail("pools in another way than by maximum, average or sum over height and width")
    if node.get("global_pool", False):
        if kind == "max":
            return place.add("GlobalMaxPool", x)
        mean = place.add("GlobalAveragePool", x)
        pixels = place.shapes[0][2] * place.shapes[0][3]
        return mean if kind == "avg" else place.add("Mul", mean, place.number(pixels))
    attributes = _window(node)
    edge = _beyond(place)
    begins = attributes["pads"]
    if any(beyond + pad >= kernel for beyond, pad, kernel in zip(edge, begins, attributes["kernel_shape"])):
        raise place.fail("has windows that hold no pixel")
    if attributes["kernel_shape"] == [1, 1] and not any((*edge, *begins)):
        # onnxruntime refuses a padding before a pooling of single pixels
        strides = place.integers(attributes["strides"])
        ranges = [place.integers(each) for each in ([0, 0], [END, END], [2, 3])]
        return place.add("Slice", x, *ranges, strides)
    if any(edge):
        # explicit: runtimes differ in the divisor of windows that reach over the edge
        widths = place.integers([0, 0, 0, 0, 0, 0, *edge])
        x = place.add("Pad", x, widths, place.number(LOWEST if kind == "max" else 0.0))
    if kind == "max":
        return place.add("MaxPool", x, **attributes)
    if kind == "avg" and not any(edge):
        counted = int(bool(node.get("count_include_pad", True)))
        return place.add("AveragePool", x, **attributes, count_include_pad=counted)
    mean = place.add("AveragePool", x, **attributes, count_include_pad=1)
    total = place.add("Mul", mean, place.number(float(np.prod(attributes["kernel_shape"]))))
    return total if kind == "sum" else place.add("Div", total, place.constant(_divisors(place)))


def _beyond(place: Place) -> Tuple[int, int]:
    """Rows and columns beyond the padded image over which the last windows reach."""
    node = place.node
    convention = node.get("pooling_convention", "valid")
    if convention not in ("valid", "full"):
        raise place.fail(f"pools by the convention {convention!r}")
    windows = Windows(
        node.pair("kernel", 1), node.pair("stride", 1), node.pair("pad", 0), full=convention == "full"
    )
    return windows.over_the_edge((place.shapes[0][2], place.shapes[0][3]))


def _divisors(place: Place) -> np.ndarray:
    """By what MXNet divides the sum of each window: (1, 1, H', W')."""
    ones = mx.nd.ones((1, 1, *place.shapes[0][2:]))
    mean = mx.nd.Pooling(ones, **place.node.attrs)
    total = mx.nd.Pooling(ones, **{**place.node.attrs, "pool_type": "sum"})
    divisors: np.ndarray = (total / mean).asnumpy()
    return divisors


@converts("im2col")
def im2col(place: Place) -> str:
    """Pixels of each window as channels, (B, C * places, windows), by filters of a single one."""
    channels = place.shapes[0][1]
    columns = place.add(
        "Conv", place.inputs[0], place.constant(_places(place.node, channels)), **_window(place.node),
        dilations=list(place.node.pair("dilate", 1)), group=channels,
    )  # fmt: skip
    return place.add("Reshape", columns, place.integers([0, place.output[1], -1]))


@converts("col2im")
def col2im(place: Place) -> str:
    """The transpose of ``im2col``: what stands at the places of all windows, added up into an image."""
    node, channels = place.node, place.output[1]
    size: List[int] = []
    ends: List[int] = []
    for axis in range(2):
        kernel, stride, pad, dilate = (node.pair(key, key != "pad")[axis] for key in GEOMETRY)
        beyond = place.output[2 + axis] + 2 * pad - dilate * (kernel - 1) - 1
        size.append(beyond // stride + 1)
        ends.append(beyond % stride)  # rows that no window covers come out as zeros
    windows = place.add("Reshape", place.inputs[0], place.integers([0, place.shapes[0][1], *size]))
    return place.add(
        "ConvTranspose", windows, place.constant(_places(node, channels)), **_window(node),
        dilations=list(node.pair("dilate", 1)), group=channels, output_padding=ends,
    )  # fmt: skip


def _places(node: Node, channels: int) -> np.ndarray:
    """One filter for each place of a window, 1 there and 0 elsewhere, for each channel."""
    kernel = node.pair("kernel", 1)
    places = kernel[0] * kernel[1]
    one_hot = np.eye(places, dtype=np.float32).reshape(places, 1, *kernel)
    return np.tile(one_hot, (channels, 1, 1, 1))
