"""Operators that move, cut, repeat, reduce or index, in ONNX."""

from __future__ import annotations

from typing import List, Tuple

import numpy as np

from gluon_nrm.export.to_onnx.elementwise import FLOAT, INT64
from gluon_nrm.export.to_onnx.place import END, Place, converts

#: Past every end.
REDUCTIONS = {"max": "ReduceMax", "mean": "ReduceMean", "min": "ReduceMin", "sum": "ReduceSum"}


def _target(place: Place) -> str:
    """The shape of the output as ONNX wants it: -1 for the length that grows with the batch."""
    return place.integers([
        -1 if one != two else one for one, two in zip(place.output, place.doubled)
    ])  # fmt: skip


@converts("Reshape", "expand_dims", "reshape_like", "squeeze")
def reshape(place: Place) -> str:
    """Values in their order."""
    return place.add("Reshape", place.inputs[0], _target(place))


@converts("Flatten")
def flatten(place: Place) -> str:
    """All but the first axis."""
    return place.add("Flatten", place.inputs[0], axis=1)


@converts("transpose")
def transpose(place: Place) -> str:
    """Exchange axes."""
    axes = place.node.get("axes", ()) or tuple(reversed(range(len(place.output))))
    return place.add("Transpose", place.inputs[0], perm=list(axes))


@converts("SwapAxis")
def swap_axes(place: Place) -> str:
    """Exchange two axes."""
    order = list(range(len(place.output)))
    first, second = int(place.node.get("dim1", 0)), int(place.node.get("dim2", 0))
    order[first], order[second] = order[second], order[first]
    return place.add("Transpose", place.inputs[0], perm=order)


@converts("Concat")
def concat(place: Place) -> str:
    """Along one axis."""
    return place.add("Concat", *place.inputs, axis=int(place.node.get("dim", 1)))


@converts("stack")
def stack(place: Place) -> str:
    """Along a new axis."""
    axis = int(place.node.get("axis", 0))
    axes = place.integers([axis])
    return place.add("Concat", *[place.add("Unsqueeze", x, axes) for x in place.inputs], axis=axis)


@converts("SliceChannel")
def split(place: Place) -> List[str]:
    """Cut into equal parts along an axis, which may go."""
    axis, parts = int(place.node.get("axis", 1)), int(place.node.get("num_outputs", 1))
    length = place.shapes[0][axis] // parts
    made = place.add_several("Split", parts, place.inputs[0], place.integers([length] * parts), axis=axis)
    if not place.node.get("squeeze_axis", False):
        return made
    return [place.add("Squeeze", part, place.integers([axis])) for part in made]


@converts("slice_axis")
def slice_axis(place: Place) -> str:
    """Cut one axis."""
    begin, end = place.node.get("begin", 0), place.node.get("end", None)
    return _slice(place, [begin], [end], [int(place.node.get("axis", 0))], [1])


@converts("slice")
def slice_several(place: Place) -> str:
    """Cut the first axes."""
    begins, ends = place.node.get("begin", ()), place.node.get("end", ())
    steps = [step or 1 for step in place.node.get("step", ()) or [1] * len(begins)]
    if any(step < 0 for step in steps):
        raise place.fail("runs backwards")
    return _slice(place, list(begins), list(ends), list(range(len(begins))), steps)


def _slice(place: Place, begins: list, ends: list, axes: List[int], steps: List[int]) -> str:
    return place.add(
        "Slice", place.inputs[0], place.integers([begin or 0 for begin in begins]),
        place.integers([END if end is None else end for end in ends]), place.integers(axes),
        place.integers(steps),
    )  # fmt: skip


@converts("Pad")
def pad(place: Place) -> str:
    """MXNet lists begin and end of each axis in turn, ONNX all begins, then all ends."""
    widths = place.node.get("pad_width", ())
    mode = {"constant": "constant", "edge": "edge", "reflect": "reflect"}[place.node.get("mode", "constant")]
    value = place.number(float(place.node.get("constant_value", 0.0)))
    return place.add("Pad", place.inputs[0], place.integers([*widths[::2], *widths[1::2]]), value, mode=mode)


@converts("UpSampling")
def upsampling(place: Place) -> str:
    """Repeat every pixel over a square."""
    if place.node.get("sample_type", "") != "nearest" or len(place.inputs) > 1:
        raise place.fail("interpolates")
    scale = float(place.node.get("scale", 1))
    return _enlarge(place, (1.0, 1.0, scale, scale))


@converts("repeat")
def repeat(place: Place) -> str:
    """Repeat along an axis."""
    axis = place.node.get("axis", None)
    if axis is None or len(place.output) != 4:
        raise place.fail("repeats along no axis of a feature map")
    scales = [1.0] * 4
    scales[axis] = float(place.node.get("repeats", 1))
    return _enlarge(place, tuple(scales))


def _enlarge(place: Place, scales: Tuple[float, ...]) -> str:
    return place.add(
        "Resize", place.inputs[0], "", place.constant(np.array(scales, dtype=np.float32)), mode="nearest",
        coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip


@converts("zeros_like", "ones_like")
def filled(place: Place) -> str:
    """One number, in the shape of the input."""
    # by arithmetic, so that every runtime can tell the shape beforehand
    zeros = place.add("Mul", place.inputs[0], place.number(0.0))
    return zeros if place.node.op == "zeros_like" else place.add("Add", zeros, place.number(1.0))


@converts("_contrib_arange_like")
def numbers_along(place: Place) -> str:
    """Evenly spaced numbers, as many as an axis is long."""
    if place.node.get("axis", None) is None or place.output != place.doubled:
        raise place.fail("counts pixels or images")
    start, step = float(place.node.get("start", 0.0)), float(place.node.get("step", 1.0))
    places = np.arange(place.output[0]) // int(place.node.get("repeat", 1))
    return place.constant((start + step * places).astype(np.float32))


@converts("broadcast_axis", "broadcast_to")
def spread(place: Place) -> str:
    """Repeat along axes of length 1; ONNX's Expand keeps a length where it is told 1."""
    lengths = [1 if one == before else one for one, before in zip(place.output, place.shapes[0])]
    if place.output[0] != place.shapes[0][0] or len(place.output) != len(place.shapes[0]):
        raise place.fail("repeats along the axis of images")
    return place.add("Expand", place.inputs[0], place.integers(lengths))


@converts("broadcast_like")
def spread_like(place: Place) -> str:
    """Repeat along axes of length 1 up to another tensor's shape."""
    return place.add("Expand", place.inputs[0], place.add("Shape", place.inputs[1]))


@converts(*REDUCTIONS)
def reduction(place: Place) -> str:
    """Over some axes, or all."""
    axes = place.node.get("axis", None)
    axes = [axes] if isinstance(axes, int) else list(axes or range(len(place.shapes[0])))
    axes = [axis % len(place.shapes[0]) for axis in axes]
    if place.node.get("exclude", False):
        axes = [axis for axis in range(len(place.shapes[0])) if axis not in axes]
    kept = int(bool(place.node.get("keepdims", False)))
    if place.node.op == "sum":
        return place.add("ReduceSum", place.inputs[0], place.integers(axes), keepdims=kept)
    return place.add(REDUCTIONS[place.node.op], place.inputs[0], axes=axes, keepdims=kept)


@converts("argmax")
def argmax(place: Place) -> str:
    """MXNet's indices are float32."""
    axis, kept = int(place.node.get("axis", 0)), int(bool(place.node.get("keepdims", False)))
    return place.add("Cast", place.add("ArgMax", place.inputs[0], axis=axis, keepdims=kept), to=FLOAT)


@converts("one_hot")
def one_hot(place: Place) -> str:
    """Along a new last axis."""
    values = np.array([place.node.get("off_value", 0.0), place.node.get("on_value", 1.0)], dtype=np.float32)
    indices = place.add("Cast", place.inputs[0], to=INT64)
    depth = place.integers([int(place.node.get("depth", 1))])
    return place.add("OneHot", indices, depth, place.constant(values), axis=-1)


@converts("dot")
def dot(place: Place) -> str:
    """Of two matrices."""
    if any(place.node.get(key, False) for key in ("transpose_a", "transpose_b")) or len(place.output) != 2:
        raise place.fail("is no plain product of two matrices")
    return place.add("MatMul", *place.inputs)


@converts("Cast", "amp_cast")
def cast(place: Place) -> str:
    """To float32, which all of the graph is."""
    if place.node.get("dtype", "") != "float32":
        raise place.fail("leaves float32")
    return place.add("Cast", place.inputs[0], to=FLOAT)
