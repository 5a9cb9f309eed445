"""ONNX forms of operators that reshape, slice, repeat, reduce or index."""

from __future__ import annotations

from typing import List, Tuple

import numpy as np

from gluon_nrm.export.to_onnx.elementwise import FLOAT, INT64
from gluon_nrm.export.to_onnx.node_conversion import END, NodeConversion, converts

REDUCTIONS = {"max": "ReduceMax", "mean": "ReduceMean", "min": "ReduceMin", "sum": "ReduceSum"}


def _target(conversion: NodeConversion) -> str:
    """Add the shape of the output, with -1 for the length that grows with the batch."""
    return conversion.integers([
        -1 if one != two else one for one, two in zip(conversion.output, conversion.doubled)
    ])  # fmt: skip


@converts("Reshape", "expand_dims", "reshape_like", "squeeze")
def reshape(conversion: NodeConversion) -> str:
    """Reshape."""
    return conversion.add("Reshape", conversion.inputs[0], _target(conversion))


@converts("Flatten")
def flatten(conversion: NodeConversion) -> str:
    """Flatten all axes but the first."""
    return conversion.add("Flatten", conversion.inputs[0], axis=1)


@converts("transpose")
def transpose(conversion: NodeConversion) -> str:
    """Permute axes."""
    axes = conversion.node.get("axes", ()) or tuple(reversed(range(len(conversion.output))))
    return conversion.add("Transpose", conversion.inputs[0], perm=list(axes))


@converts("SwapAxis")
def swap_axes(conversion: NodeConversion) -> str:
    """Exchange two axes."""
    order = list(range(len(conversion.output)))
    first, second = int(conversion.node.get("dim1", 0)), int(conversion.node.get("dim2", 0))
    order[first], order[second] = order[second], order[first]
    return conversion.add("Transpose", conversion.inputs[0], perm=order)


@converts("Concat")
def concat(conversion: NodeConversion) -> str:
    """Concatenate along one axis."""
    return conversion.add("Concat", *conversion.inputs, axis=int(conversion.node.get("dim", 1)))


@converts("stack")
def stack(conversion: NodeConversion) -> str:
    """Stack along a new axis."""
    axis = int(conversion.node.get("axis", 0))
    axes = conversion.integers([axis])
    return conversion.add(
        "Concat", *[conversion.add("Unsqueeze", x, axes) for x in conversion.inputs], axis=axis
    )


@converts("SliceChannel")
def split(conversion: NodeConversion) -> List[str]:
    """Split into equal parts along an axis; ``squeeze_axis`` removes the axis."""
    axis, parts = int(conversion.node.get("axis", 1)), int(conversion.node.get("num_outputs", 1))
    length = conversion.shapes[0][axis] // parts
    made = conversion.add_several(
        "Split", parts, conversion.inputs[0], conversion.integers([length] * parts), axis=axis
    )
    if not conversion.node.get("squeeze_axis", False):
        return made
    return [conversion.add("Squeeze", part, conversion.integers([axis])) for part in made]


@converts("slice_axis")
def slice_axis(conversion: NodeConversion) -> str:
    """Slice one axis."""
    begin, end = conversion.node.get("begin", 0), conversion.node.get("end", None)
    return _slice(conversion, [begin], [end], [int(conversion.node.get("axis", 0))], [1])


@converts("slice")
def slice_several(conversion: NodeConversion) -> str:
    """Slice the first axes."""
    begins, ends = conversion.node.get("begin", ()), conversion.node.get("end", ())
    steps = [step or 1 for step in conversion.node.get("step", ()) or [1] * len(begins)]
    if any(step < 0 for step in steps):
        raise conversion.fail("runs backwards")
    return _slice(conversion, list(begins), list(ends), list(range(len(begins))), steps)


def _slice(conversion: NodeConversion, begins: list, ends: list, axes: List[int], steps: List[int]) -> str:
    return conversion.add(
        "Slice", conversion.inputs[0], conversion.integers([begin or 0 for begin in begins]),
        conversion.integers([END if end is None else end for end in ends]), conversion.integers(axes),
        conversion.integers(steps),
    )  # fmt: skip


@converts("Pad")
def pad(conversion: NodeConversion) -> str:
    """Pad; MXNet lists begin and end axis by axis, ONNX all begins, then all ends."""
    widths = conversion.node.get("pad_width", ())
    mode = {"constant": "constant", "edge": "edge", "reflect": "reflect"}[
        conversion.node.get("mode", "constant")
    ]
    value = conversion.number(float(conversion.node.get("constant_value", 0.0)))
    return conversion.add(
        "Pad", conversion.inputs[0], conversion.integers([*widths[::2], *widths[1::2]]), value, mode=mode
    )


@converts("UpSampling")
def upsampling(conversion: NodeConversion) -> str:
    """Repeat every pixel in a square."""
    if conversion.node.get("sample_type", "") != "nearest" or len(conversion.inputs) > 1:
        raise conversion.fail("interpolates")
    scale = float(conversion.node.get("scale", 1))
    return _enlarge(conversion, (1.0, 1.0, scale, scale))


@converts("repeat")
def repeat(conversion: NodeConversion) -> str:
    """Repeat along an axis."""
    axis = conversion.node.get("axis", None)
    if axis is None or len(conversion.output) != 4:
        raise conversion.fail("repeats along no axis of a feature map")
    scales = [1.0] * 4
    scales[axis] = float(conversion.node.get("repeats", 1))
    return _enlarge(conversion, tuple(scales))


def _enlarge(conversion: NodeConversion, scales: Tuple[float, ...]) -> str:
    return conversion.add(
        "Resize",
        conversion.inputs[0],
        "",
        conversion.constant(np.array(scales, dtype=np.float32)),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


@converts("zeros_like", "ones_like")
def filled(conversion: NodeConversion) -> str:
    """Fill the shape of the input with one number."""
    # by arithmetic, so that every runtime can infer the shape
    zeros = conversion.add("Mul", conversion.inputs[0], conversion.number(0.0))
    return (
        zeros if conversion.node.op == "zeros_like" else conversion.add("Add", zeros, conversion.number(1.0))
    )


@converts("_contrib_arange_like")
def numbers_along(conversion: NodeConversion) -> str:
    """Make evenly spaced numbers, one per entry of an axis."""
    if conversion.node.get("axis", None) is None or conversion.output != conversion.doubled:
        raise conversion.fail("counts pixels or images")
    start, step = float(conversion.node.get("start", 0.0)), float(conversion.node.get("step", 1.0))
    places = np.arange(conversion.output[0]) // int(conversion.node.get("repeat", 1))
    return conversion.constant((start + step * places).astype(np.float32))


@converts("broadcast_axis", "broadcast_to")
def spread(conversion: NodeConversion) -> str:
    """Repeat along axes of length 1; a length of 1 in ONNX's Expand keeps the axis."""
    lengths = [1 if one == before else one for one, before in zip(conversion.output, conversion.shapes[0])]
    if conversion.output[0] != conversion.shapes[0][0] or len(conversion.output) != len(conversion.shapes[0]):
        raise conversion.fail("repeats along the axis of images")
    return conversion.add("Expand", conversion.inputs[0], conversion.integers(lengths))


@converts("broadcast_like")
def spread_like(conversion: NodeConversion) -> str:
    """Repeat along axes of length 1 up to another tensor's shape."""
    return conversion.add("Expand", conversion.inputs[0], conversion.add("Shape", conversion.inputs[1]))


@converts(*REDUCTIONS)
def reduction(conversion: NodeConversion) -> str:
    """Reduce over some axes, or all."""
    axes = conversion.node.get("axis", None)
    axes = [axes] if isinstance(axes, int) else list(axes or range(len(conversion.shapes[0])))
    axes = [axis % len(conversion.shapes[0]) for axis in axes]
    if conversion.node.get("exclude", False):
        axes = [axis for axis in range(len(conversion.shapes[0])) if axis not in axes]
    kept = int(bool(conversion.node.get("keepdims", False)))
    if conversion.node.op == "sum":
        return conversion.add("ReduceSum", conversion.inputs[0], conversion.integers(axes), keepdims=kept)
    return conversion.add(REDUCTIONS[conversion.node.op], conversion.inputs[0], axes=axes, keepdims=kept)


@converts("argmax")
def argmax(conversion: NodeConversion) -> str:
    """Find the index of the maximum, as float32 like MXNet."""
    axis, kept = int(conversion.node.get("axis", 0)), int(bool(conversion.node.get("keepdims", False)))
    return conversion.add(
        "Cast", conversion.add("ArgMax", conversion.inputs[0], axis=axis, keepdims=kept), to=FLOAT
    )


@converts("one_hot")
def one_hot(conversion: NodeConversion) -> str:
    """Encode indices one-hot along a new last axis."""
    values = np.array(
        [conversion.node.get("off_value", 0.0), conversion.node.get("on_value", 1.0)], dtype=np.float32
    )
    indices = conversion.add("Cast", conversion.inputs[0], to=INT64)
    depth = conversion.integers([int(conversion.node.get("depth", 1))])
    return conversion.add("OneHot", indices, depth, conversion.constant(values), axis=-1)


@converts("dot")
def dot(conversion: NodeConversion) -> str:
    """Multiply two matrices."""
    if (
        any(conversion.node.get(key, False) for key in ("transpose_a", "transpose_b"))
        or len(conversion.output) != 2
    ):
        raise conversion.fail("is no plain product of two matrices")
    return conversion.add("MatMul", *conversion.inputs)


@converts("Cast", "amp_cast")
def cast(conversion: NodeConversion) -> str:
    """Cast to float32, the only type in the graph."""
    if conversion.node.get("dtype", "") != "float32":
        raise conversion.fail("leaves float32")
    return conversion.add("Cast", conversion.inputs[0], to=FLOAT)
