"""Shapes of all arrays in a traced network."""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from io import StringIO
from typing import Dict, List, Mapping, Tuple

import mxnet as mx
from mxnet.gluon.parameter import Parameter

from gluon_nrm.errors import ModelError
from gluon_nrm.graph import operators
from gluon_nrm.graph.node import Entry, Graph
from gluon_nrm.typing import Tensor

Shape = Tuple[int, ...]


def map_size(shape: Shape) -> Tuple[int, int]:
    """Height and width of feature maps (B, C, H, W); (1, 1) for features (B, C)."""
    height, width = shape[2:] or (1, 1)
    return height, width


def infer_shapes(
    graph: Graph, parameters: Mapping[str, Parameter], input_shape: Tuple[int, ...]
) -> Dict[Entry, Shape]:
    """Infer the shape of every entry for one image (batch size 1), without changing any parameter.

    Args:
        graph: the traced network.
        parameters: by structural name.
        input_shape: channels, height and width of the images.

    Raises:
        ModelError: the network cannot process images of this shape.
    """
    entries, symbols = _symbols(graph, parameters)
    group = mx.sym.Group(symbols)
    given = {graph.nodes[graph.image].name: (1, *input_shape)}
    for parameter in parameters.values():
        if parameter.shape is not None and all(length > 0 for length in parameter.shape):
            given[parameter.name] = parameter.shape
    try:
        with redirect_stdout(StringIO()):  # MXNet prints its arguments before it raises
            _, outputs, _ = group.infer_shape(**given)
    except mx.base.MXNetError as problem:
        raise ModelError(
            f"images of {'x'.join(map(str, input_shape))} (channels, height, width) do not go through the "
            f"network: {_reason(problem)};\nuse images of another size, or a network with fewer poolings"
        ) from problem
    return dict(zip(entries, outputs))


def complete_parameters(
    graph: Graph, parameters: Mapping[str, Parameter], shapes: Mapping[Entry, Shape]
) -> None:
    """Set the shapes of parameters that are not known yet."""
    for index, name in graph.parameters.items():
        parameters[name].shape = shapes[Entry(index)]


def check_scores(shape: Shape, classes: int) -> None:
    """Check that a network's output, of ``shape`` for one image, is class scores.

    Raises:
        ModelError: it has another shape.
    """
    if tuple(shape[1:]) != (classes,):
        raise ModelError(
            f"the network returns {'x'.join(map(str, shape[1:])) or 'one number'} an image where there are "
            f"{classes} classes; build it for {classes} classes"
        )


def _symbols(graph: Graph, parameters: Mapping[str, Parameter]) -> Tuple[List[Entry], List[Tensor]]:
    values: Dict[Entry, Tensor] = {
        Entry(index): parameters[name].var() for index, name in graph.parameters.items()
    }
    values[Entry(graph.image)] = mx.sym.var(graph.nodes[graph.image].name)
    for index, node in enumerate(graph.nodes):
        if not node.variable:
            outputs = operators.run(mx.sym, node, [values[entry] for entry in node.inputs], name=node.name)
            values.update({Entry(index, place): output for place, output in enumerate(outputs)})
    return list(values), list(values.values())


def _reason(problem: Exception) -> str:
    """MXNet's message without stack addresses, time and source file."""
    lines = [line.strip() for line in str(problem).splitlines()]
    telling = [line for line in lines if "Check failed" in line or "Error in" in line]
    return re.sub(r"\[[\d:]+\] \S+: ", "", (telling or lines)[0].split("Error: ")[-1])
