"""A network traced to an inference graph, and its outputs as the reference for the comparison."""

from __future__ import annotations

import json
from typing import Dict, Mapping, NamedTuple, Optional

import mxnet as mx
import numpy as np

from gluon_nrm.export.graph.inference_graph import InferenceGraph, prune
from gluon_nrm.graph.node import Entry, Node
from gluon_nrm.models import Network
from gluon_nrm.predict.chosen_network import OutputChoice, run_network
from gluon_nrm.predict.manifest import IMAGE


class Normalisation(NamedTuple):
    """(pixels - mean) / std, of each channel, (C,)."""

    mean: np.ndarray
    std: np.ndarray

    def undo(self, images: np.ndarray) -> np.ndarray:
        """Turn normalised images (B, C, H, W) into pixels."""
        mean, std = (each.astype(np.float32)[:, None, None] for each in self)
        return images * std + mean


def trace_network(
    net: Network, choice: OutputChoice, normalisation: Optional[Normalisation] = None
) -> InferenceGraph:
    """Trace a network, with the values of its parameters.

    Args:
        net: initialised.
        choice: the outputs to export.
        normalisation: have the graph take pixels, and render in pixels.
    """
    image = mx.sym.var(IMAGE)
    x, constants = image, {}
    if normalisation is not None:
        constants = {
            name: value.astype(np.float32)[None, :, None, None]
            for name, value in normalisation._asdict().items()
        }
        mean, std = (mx.sym.var(name) for name in constants)
        x = mx.sym.broadcast_div(mx.sym.broadcast_sub(image, mean), std)
    found = run_network(mx.sym, net, x, choice)
    if normalisation is not None:
        for output in choice.outputs[1:]:
            scaled = mx.sym.broadcast_mul(found[output.name], std)
            found[output.name] = mx.sym.broadcast_add(scaled, mean)
    values = {
        parameter.name: parameter.data(parameter.list_ctx()[0]).asnumpy()
        for parameter in net.collect_params().values()
    }
    return read_symbols(found, {**values, **constants})


def read_symbols(symbols: Mapping[str, mx.sym.Symbol], values: Mapping[str, np.ndarray]) -> InferenceGraph:
    """Convert output symbols by name, and the values of all variables but the image, to a graph."""
    description = json.loads(mx.sym.Group(list(symbols.values())).tojson())
    nodes = tuple(
        Node(
            each["op"],
            each["name"],
            {key: text for key, text in each.get("attrs", {}).items() if not key.startswith("__")},
            tuple(Entry(source, output) for source, output, *_ in each["inputs"]),
        )
        for each in description["nodes"]
    )
    outputs = {name: Entry(node, output) for name, (node, output, *_) in zip(symbols, description["heads"])}
    return prune(InferenceGraph(nodes, outputs, values))


def reference(
    net: Network,
    images: np.ndarray,
    choice: OutputChoice,
    normalisation: Optional[Normalisation],
    device: mx.Context,
) -> Dict[str, np.ndarray]:
    """Compute the network's own outputs of normalised images (B, C, H, W), in the units of the export."""
    outputs = run_network(mx.nd, net, mx.nd.array(images, ctx=device), choice)
    found = {name: value.asnumpy() for name, value in outputs.items()}
    if normalisation is not None:
        found.update({output.name: normalisation.undo(found[output.name]) for output in choice.outputs[1:]})
    return found
