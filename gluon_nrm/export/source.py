"""What an export computes, in terms of the network: for the graph, and for the comparison with it."""

from __future__ import annotations

import json
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple

import mxnet as mx
import numpy as np

from gluon_nrm.errors import DeployError
from gluon_nrm.export.inference_graph import IMAGE, InferenceGraph, prune
from gluon_nrm.graph.node import Entry, Node
from gluon_nrm.models import Network
from gluon_nrm.predict.manifest import BOTH, LOGITS, MAX, MIN, PROBABILITIES, RENDERING, Output
from gluon_nrm.typing import Operators, Tensor

#: Branches whose latents each head uses, by their place in the network.
BRANCHES = {MAX: (0,), MIN: (1,), BOTH: (0, 1)}


class Wanted(NamedTuple):
    """What is exported of a network."""

    #: whose logits: "max", "min", or "both", the weighted sum
    head: str
    #: also what the class that these logits predict renders, by each branch of the head
    rendering: bool = False
    #: probabilities in place of logits
    softmax: bool = False

    @property
    def outputs(self) -> Tuple[Output, ...]:
        """What comes out, in order."""
        what = PROBABILITIES if self.softmax else LOGITS
        renderings = [
            Output(RENDERING if self.head != BOTH else f"{RENDERING}_{name}", RENDERING, name)
            for name in (MAX, MIN)
            if self.rendering and self.head in (name, BOTH)
        ]
        return (Output(what, what, self.head), *renderings)


def choose(net: Network, head: Optional[str], rendering: bool, softmax: bool, where: str) -> Wanted:
    """Decide what to export; ``head`` None is what the network predicts by.

    Raises:
        DeployError: the network has no such branch or does not render.
    """
    head = head or (BOTH if net.options.maxmin else MAX)
    if head != MAX and not net.options.maxmin:
        raise DeployError(
            f"--head {head}: the network of {where} has one branch (model.maxmin is false); leave --head out"
        )
    if rendering and not net.options.render:
        raise DeployError(
            f"--with-rendering: the network of {where} does not render (model.render is false); leave it out"
        )
    return Wanted(head, rendering, softmax)


def run_network(F: Operators, net: Network, x: Tensor, wanted: Wanted) -> Dict[str, Tensor]:
    """Compute the outputs of an export from normalised images (B, C, H, W), on arrays or symbols."""
    inferences = net.infer(x)
    prediction = net.predict(inferences)
    scores = {
        BOTH: prediction.logits, MAX: prediction.logits_max, MIN: prediction.logits_min,
    }[wanted.head]  # fmt: skip
    first, *renderings = wanted.outputs
    found = {first.name: F.softmax(scores) if wanted.softmax else scores}
    if renderings:
        code = F.one_hot(F.argmax(scores, axis=1), net.classes)
        for output, branch in zip(renderings, BRANCHES[wanted.head]):
            found[output.name] = net.render(F, code, inferences[branch], branch).image
    return found


class Normalisation(NamedTuple):
    """(pixels - mean) / std, of each channel, (C,)."""

    mean: np.ndarray[Any, Any]
    std: np.ndarray[Any, Any]

    def undo(self, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Turn normalised images (B, C, H, W) into pixels."""
        mean, std = (each.astype(np.float32)[:, None, None] for each in self)
        return images * std + mean


def read_graph(net: Network, wanted: Wanted, folded: Optional[Normalisation] = None) -> InferenceGraph:
    """Trace a network with its values.

    Args:
        net: initialised.
        wanted: what to export.
        folded: have the graph take pixels, and render in pixels.
    """
    image = mx.sym.var(IMAGE)
    x, constants = image, {}
    if folded is not None:
        constants = {
            name: value.astype(np.float32)[None, :, None, None] for name, value in folded._asdict().items()
        }
        mean, std = (mx.sym.var(name) for name in constants)
        x = mx.sym.broadcast_div(mx.sym.broadcast_sub(image, mean), std)
    found = run_network(mx.sym, net, x, wanted)
    if folded is not None:
        for output in wanted.outputs[1:]:
            scaled = mx.sym.broadcast_mul(found[output.name], std)
            found[output.name] = mx.sym.broadcast_add(scaled, mean)
    values = {
        parameter.name: parameter.data(parameter.list_ctx()[0]).asnumpy()
        for parameter in net.collect_params().values()
    }
    return read_symbols(found, {**values, **constants})


def read_symbols(symbols: Mapping[str, Any], values: Mapping[str, np.ndarray[Any, Any]]) -> InferenceGraph:
    """Read symbols that are outputs by name, with the values of their variables but for the image's."""
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
    outputs = {name: Entry(head[0], head[1]) for name, head in zip(symbols, description["heads"])}
    return prune(InferenceGraph(nodes, outputs, values))


def reference(
    net: Network, images: np.ndarray[Any, Any], wanted: Wanted, folded: Optional[Normalisation], device: Any
) -> Dict[str, np.ndarray[Any, Any]]:
    """Outputs of the network itself for normalised images, in the units of the export."""
    outputs = run_network(mx.nd, net, mx.nd.array(images, ctx=device), wanted)
    found = {name: value.asnumpy() for name, value in outputs.items()}
    if folded is not None:
        found.update({output.name: folded.undo(found[output.name]) for output in wanted.outputs[1:]})
    return found
