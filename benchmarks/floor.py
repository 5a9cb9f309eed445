"""The floor under a training step: the time that its convolutions alone take.

The convolutions are read off the traced graph, with the shapes they have there, and run one after the other
on arrays of those shapes: forward, and backward towards whatever the step needs a gradient of. What a step
takes beyond this is norms, masks, statistics, losses and overhead.
"""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, List, NamedTuple, Set, Tuple, Union

import mxnet as mx
from mxnet.gluon import Constant, HybridBlock

from gluon_nrm.losses.objective import Objective

Shape = Tuple[int, ...]
#: A node of a graph's JSON.
Node = Dict[str, Any]

#: Operators that let no gradient through.
_CONSTANT = re.compile(
    r"BlockGrad|zeros_like|ones_like|shape_array|size_array|argmax|argmin|one_hot|sign|"
    r"_?(broadcast_)?(not_)?(greater|lesser|equal)(_equal)?(_scalar)?"
)
_ATTRIBUTES = ("kernel", "pad", "stride", "dilate", "num_filter", "num_group")


class ConvolutionCall(NamedTuple):
    """One convolution of the graph: attributes, shapes of image and filters, what backward has to compute."""

    attributes: Dict[str, str]
    data: Shape
    weight: Shape
    data_gradient: bool
    weight_gradient: bool


def convolution_calls(
    block: Union[HybridBlock, Objective], inputs: Dict[str, Shape], train: bool = True
) -> List[ConvolutionCall]:
    """Read the convolutions of a block.

    Convolutions with constant filters, which are other operators in disguise (sums, copies), are left out.

    Args:
        block: a block, or an objective.
        inputs: the names of its arguments and their shapes, in order; of an objective, its ``inputs``.
        train: whether the block is trained; False leaves out everything backward.
    """
    if isinstance(block, Objective):
        whole = block.symbol()
    else:
        outputs = block(*[mx.sym.var(name) for name in inputs])
        whole = mx.sym.Group(outputs) if isinstance(outputs, list) else outputs
    graph = json.loads(whole.tojson())
    nodes = graph["nodes"]
    shape_of = _shapes(whole, inputs)
    parameters = block.collect_params()
    filters = {name for name, each in parameters.items() if not isinstance(each, Constant)}
    learn = _depending(nodes, {name for name in filters if parameters[name].grad_req != "null"}, _passes)
    made_of_filters = _depending(nodes, filters, lambda node: True)
    reached = _reached(nodes, [head[0] for head in graph["heads"]])

    calls = []
    for place, node in enumerate(nodes):
        if node["op"] != "Convolution" or node["inputs"][1][0] not in made_of_filters:
            continue
        sources = [(source[0], source[1]) for source in node["inputs"][:2]]
        data, weight = (shape_of[source] for source in sources)
        back = [train and place in reached and source[0] in learn for source in sources]
        calls.append(ConvolutionCall(node["attrs"], data, weight, *back))
    return calls


def _shapes(outputs: Any, inputs: Dict[str, Shape]) -> Dict[Tuple[int, int], Shape]:
    """Shape of every value of a graph: by node and output, for several nodes may have one name."""
    internals = outputs.get_internals()
    _, shapes, _ = internals.infer_shape(**inputs)
    entries = json.loads(internals.tojson())["heads"]
    return {(node, output): shape for (node, output, _), shape in zip(entries, shapes)}


def floor_run(calls: List[ConvolutionCall]) -> Callable[[], None]:
    """Make the work whose time is the floor: one run of every call."""
    runs = [_runner(call) for call in calls]

    def run() -> None:
        for each in runs:
            each()

    return run


def _passes(node: Node) -> bool:
    return _CONSTANT.fullmatch(node["op"]) is None


def _depending(nodes: List[Node], names: Set[str], through: Callable[[Node], bool]) -> Set[int]:
    """Nodes that are one of the named variables or, by operators that ``through`` admits, made from one."""
    found: Set[int] = set()
    for place, node in enumerate(nodes):  # inputs come before what uses them
        if node["op"] == "null":
            if node["name"] in names:
                found.add(place)
        elif through(node) and any(source[0] in found for source in node["inputs"]):
            found.add(place)
    return found


def _reached(nodes: List[Node], heads: List[int]) -> Set[int]:
    """Nodes that a gradient flows back to from the heads."""
    found = set(heads)
    for place in reversed(range(len(nodes))):
        if place in found and nodes[place]["op"] != "null" and _passes(nodes[place]):
            found.update(source[0] for source in nodes[place]["inputs"])
    return found


def _runner(call: ConvolutionCall) -> Callable[[], None]:
    data, weight = mx.nd.random.normal(shape=call.data), mx.nd.random.normal(shape=call.weight)
    attributes = {name: _value(text) for name, text in call.attributes.items() if name in _ATTRIBUTES}
    for array, wanted in ((data, call.data_gradient), (weight, call.weight_gradient)):
        if wanted:
            array.attach_grad()

    def run() -> None:
        if not (call.data_gradient or call.weight_gradient):
            mx.nd.Convolution(data, weight, no_bias=True, **attributes)
            return
        with mx.autograd.record():
            output = mx.nd.Convolution(data, weight, no_bias=True, **attributes)
        output.backward()

    return run


def _value(text: str) -> Any:
    return tuple(map(int, text.strip("()").split(","))) if text.startswith("(") else int(text)
