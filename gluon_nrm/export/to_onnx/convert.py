"""Conversion of an inference graph to an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Tuple

from gluon_nrm.errors import DeployError
from gluon_nrm.export.graph.inference_graph import InferenceGraph
from gluon_nrm.export.graph.shapes import infer_shapes
from gluon_nrm.export.to_onnx import (
    arrays,  # noqa: F401  (they register converters)
    elementwise,  # noqa: F401  (they register converters)
    layers,  # noqa: F401  (they register converters)
)
from gluon_nrm.export.to_onnx.node_conversion import CONVERTERS, OPSET, ModelFacts, NodeConversion
from gluon_nrm.graph.node import Entry
from gluon_nrm.option_names import option
from gluon_nrm.storage import files

#: Version of the file format that belongs to the opset; every runtime since 2021 reads it.
IR_VERSION = 8
EXTRA = 'run: pip install "gluon_nrm[onnx]", or pip install -r requirements-dev.txt in a checkout'


def import_onnx() -> Any:
    """Import ``onnx``.

    Raises:
        DeployError: it is not installed.
    """
    try:
        import onnx
    except ImportError as problem:
        needs = option("formats", ["onnx"])
        raise DeployError(f"{needs} needs the package onnx ({problem}); {EXTRA}") from problem
    return onnx


def convert(graph: InferenceGraph, image: Tuple[int, int, int]) -> Tuple[ModelFacts, Dict[str, List[Any]]]:
    """Convert every node.

    Args:
        graph: what is exported.
        image: channels, height and width.

    Returns:
        Nodes and constants, and the shape of each output with the batch's length as "batch".

    Raises:
        DeployError: an operator, or a use of it, has no converter; the message names the node.
    """
    model, one, two = ModelFacts(), infer_shapes(graph, image, 1), infer_shapes(graph, image, 2)
    tensors: Dict[Entry, str] = {}
    for index, node in enumerate(graph.nodes):
        if node.variable:
            tensors[Entry(index)] = node.name
            if node.name in graph.arrays:
                model.constants[node.name] = graph.arrays[node.name]
            continue
        if node.op not in CONVERTERS:
            other = option("formats", ["symbol"])
            raise DeployError(f"{node} has no ONNX form here; export with {other}")
        inputs = [tensors[entry] for entry in node.inputs]
        conversion = NodeConversion(
            model, node, inputs, [one[entry] for entry in node.inputs], one[Entry(index)], two[Entry(index)]
        )
        made = CONVERTERS[node.op](conversion)
        tensors.update({Entry(index, number): name for number, name in enumerate(made)})
    _rename(model, {tensors[entry]: name for name, entry in graph.outputs.items()})
    shapes = {name: ["batch", *one[entry][1:]] for name, entry in graph.outputs.items()}
    return model, shapes


def _rename(model: ModelFacts, names: Dict[str, str]) -> None:
    """Rename tensors."""
    model.nodes = [
        node._replace(
            inputs=tuple(names.get(name, name) for name in node.inputs),
            outputs=tuple(names.get(name, name) for name in node.outputs),
        )
        for node in model.nodes
    ]


def write_onnx(graph: InferenceGraph, image: Tuple[int, int, int], path: Path, title: str) -> None:
    """Write an ONNX model of opset 13 with any batch size, and check it with ONNX's checker.

    Args:
        graph: what is exported.
        image: channels, height and width.
        path: the file.
        title: name of the graph in it.

    Raises:
        DeployError: ``onnx`` is not installed, a node has no converter, or the model is too large for a file.
    """
    onnx = import_onnx()
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    model, shapes = convert(graph, image)
    nodes = [
        helper.make_node(
            each.op, list(each.inputs), list(each.outputs), name=each.outputs[0], **each.attributes
        )
        for each in model.nodes
    ]
    made = helper.make_graph(
        nodes,
        title,
        [helper.make_tensor_value_info(graph.nodes[_image(graph)].name, kind, ["batch", *image])],
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items()],
        [onnx.numpy_helper.from_array(value, name) for name, value in model.constants.items()],
    )
    proto = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="gluon_nrm"
    )
    try:
        data = proto.SerializeToString()
        onnx.checker.check_model(data, full_check=True)
    except (ValueError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as problem:
        raise DeployError(
            f"{path.name} is no valid ONNX model ({problem}); export with {option('formats', ['symbol'])}"
        ) from problem
    with files.os_errors(DeployError, "write", path):
        files.write_bytes(path, data)


def _image(graph: InferenceGraph) -> int:
    return next(
        index for index, node in enumerate(graph.nodes) if node.variable and node.name not in graph.arrays
    )
