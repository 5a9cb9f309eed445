"""The floor under a training step: the time that its convolutions alone take.

The convolutions are read off the traced objective, with the shapes they have there, and each is run by
itself, forward and backward, on arrays of those shapes. What a step takes beyond this is norms, masks,
statistics, losses and overhead.
"""

from __future__ import annotations

import json
from typing import Any, Dict, List, NamedTuple, Tuple

import mxnet as mx

from benchmarks.timing import median_seconds
from gluon_nrm.losses import Objective

Shape = Tuple[int, ...]


class ConvolutionCall(NamedTuple):
    """One convolution of the graph: attributes, shapes of image and filters, what backward has to compute."""

    attributes: Dict[str, str]
    data: Shape
    weight: Shape
    data_gradient: bool
    weight_gradient: bool


def convolution_calls(objective: Objective, images: Shape) -> List[ConvolutionCall]:
    """Read the convolutions of a traced objective for a batch of ``images`` (B, C, H, W)."""
    outputs = objective(mx.sym.var("images"), mx.sym.var("labels"))
    internals = outputs.get_internals()
    _, shapes, _ = internals.infer_shape(images=images, labels=images[:1])
    shape_of = dict(zip(internals.list_outputs(), shapes))
    nodes = json.loads(outputs.tojson())["nodes"]

    def entry(source: List[int]) -> Tuple[Shape, bool]:
        node = nodes[source[0]]
        variable = node["op"] == "null"
        names = (
            [node["name"]] if variable else [f"{node['name']}_output", f"{node['name']}_output{source[1]}"]
        )
        return next(shape_of[name] for name in names if name in shape_of), variable

    calls = []
    for node in nodes:
        if node["op"] != "Convolution":
            continue
        (data, is_image), (weight, bottom_up) = entry(node["inputs"][0]), entry(node["inputs"][1])
        # the zero image goes bottom-up alone, and acts through its states only: nothing flows back
        zero = bottom_up and data[0] == 1
        calls.append(ConvolutionCall(node["attrs"], data, weight, not (is_image or zero), not zero))
    return calls


def floor_seconds(calls: List[ConvolutionCall], repeats: int) -> float:
    """Add up the median times of the calls, forward and backward."""
    return sum(median_seconds(_runner(call), repeats) for call in calls)


def _runner(call: ConvolutionCall) -> Any:
    data, weight = mx.nd.random.normal(shape=call.data), mx.nd.random.normal(shape=call.weight)
    attributes = {name: _value(text) for name, text in call.attributes.items() if name in _ATTRIBUTES}
    for array, wanted in ((data, call.data_gradient), (weight, call.weight_gradient)):
        if wanted:
            array.attach_grad()

    def run() -> None:
        if not call.weight_gradient:
            mx.nd.Convolution(data, weight, no_bias=True, **attributes)
            return
        with mx.autograd.record():
            output = mx.nd.Convolution(data, weight, no_bias=True, **attributes)
        output.backward()

    return run


_ATTRIBUTES = ("kernel", "pad", "stride", "dilate", "num_filter", "num_group")


def _value(text: str) -> Any:
    return tuple(map(int, text.strip("()").split(","))) if text.startswith("(") else int(text)
