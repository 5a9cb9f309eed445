"""Conversion of an inference graph to symbols, and the shapes of its entries."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import mxnet as mx

from gluon_nrm.export.graph.inference_graph import InferenceGraph
from gluon_nrm.graph import operators
from gluon_nrm.graph.node import Entry

Shape = Tuple[int, ...]


def to_symbols(graph: InferenceGraph) -> Dict[Entry, Any]:
    """Make the MXNet symbol of every entry, under the names of the nodes."""
    symbols: Dict[Entry, Any] = {}
    for index, node in enumerate(graph.nodes):
        if node.variable:
            # shapes in the file: whoever binds it gives the image's shape only
            value = graph.arrays.get(node.name)
            shape = None if value is None else value.shape
            symbols[Entry(index)] = mx.sym.var(node.name, shape=shape, dtype="float32")
            continue
        inputs = [symbols[entry] for entry in node.inputs]
        made = operators.run(mx.sym, node, inputs, name=node.name)
        symbols.update({Entry(index, place): each for place, each in enumerate(made)})
    return symbols


def infer_shapes(graph: InferenceGraph, image: Tuple[int, int, int], batch: int = 1) -> Dict[Entry, Shape]:
    """Infer the shape of every entry for a batch of images of (C, H, W)."""
    symbols = to_symbols(graph)
    given: Dict[str, Shape] = {name: value.shape for name, value in graph.arrays.items()}
    given.update({
        node.name: (batch, *image) for node in graph.nodes if node.variable and node.name not in given
    })  # fmt: skip
    entries: List[Entry] = list(symbols)
    _, found, _ = mx.sym.Group([symbols[entry] for entry in entries]).infer_shape(**given)
    return dict(zip(entries, found))
