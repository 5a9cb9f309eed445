"""Trace a Gluon network to a graph."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Tuple

import mxnet as mx
from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import Parameter

from gluon_nrm.errors import ModelError
from gluon_nrm.graph.node import Entry, Graph, Node
from gluon_nrm.typing import Tensor

IMAGE = "data"


def trace(net: HybridBlock) -> Tuple[Graph, Dict[str, Parameter]]:
    """Trace a classifier of images to its graph, and list its parameters by structural name.

    Args:
        net: any network that can be hybridised, with one input and one output, initialised or not.

    Raises:
        ModelError: the network cannot be traced, has several inputs or outputs, or uses a variable that is
            not a parameter.
    """
    symbol = _symbol(net)
    parameters: Dict[str, Parameter] = net._collect_params_with_prefix()
    by_name: Dict[str, str] = {}
    for structural, parameter in parameters.items():
        by_name.setdefault(parameter.name, structural)
    graph = _read(json.loads(symbol.tojson()), by_name, _name(net))
    used = {parameters[name].name for name in graph.parameters.values()}
    # a parameter of several layers keeps all its names, as in parameter files
    return graph, {name: parameter for name, parameter in parameters.items() if parameter.name in used}


def _symbol(net: HybridBlock) -> Tensor:
    if not isinstance(net, HybridBlock):
        raise ModelError(
            f"{_name(net)} is not a HybridBlock, so it cannot be traced; derive it from gluon.HybridBlock"
        )
    try:
        symbol = net(mx.sym.var(IMAGE))
    except Exception as problem:  # the user's own forward function may raise anything
        reason = (str(problem).strip().splitlines() or [""])[0]
        raise ModelError(
            f"{_name(net)} cannot be traced to a symbol ({type(problem).__name__}: {reason});\n"
            "its hybrid_forward may use the operators of F only: no x.shape, no numpy, one input"
        ) from problem
    outputs = len(symbol) if isinstance(symbol, (list, tuple)) else len(symbol.list_outputs())
    if outputs != 1:
        raise ModelError(
            f"{_name(net)} has {outputs} outputs; it must return the class scores alone, so wrap it in a "
            "block that picks them"
        )
    return symbol if not isinstance(symbol, (list, tuple)) else symbol[0]


def _read(description: Dict[str, Any], by_name: Dict[str, str], net: str) -> Graph:
    nodes: List[Node] = []
    image = -1
    parameters: Dict[int, str] = {}
    for index, each in enumerate(description["nodes"]):
        attrs = {key: text for key, text in each.get("attrs", {}).items() if not key.startswith("__")}
        inputs = tuple(Entry(source, output) for source, output, *_ in each["inputs"])
        nodes.append(Node(each["op"], each["name"], attrs, inputs))
        if each["op"] != "null":
            continue
        if each["name"] == IMAGE:
            image = index
        elif each["name"] in by_name:
            parameters[index] = by_name[each["name"]]
        else:
            raise ModelError(
                f"{net} uses a variable {each['name']!r} that is none of its parameters; register it with "
                "self.params.get"
            )
    if image < 0:
        raise ModelError(f"{net} does not use its input: its output is the same for every image")
    source, output, *_ = description["heads"][0]
    return Graph(tuple(nodes), image, Entry(source, output), parameters)


def _name(net: object) -> str:
    name = getattr(net, "name", "")
    return f"{type(net).__name__} {name!r}" if name else type(net).__name__
