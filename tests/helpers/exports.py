"""Networks of every family that is exported, shallow ones of the zoos, and ways to run what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

import mxnet as mx
import numpy as np
from shallow import shallow

from gluon_nrm.export.graph.inference_graph import InferenceGraph
from gluon_nrm.export.symbol_files import BoundModel, read_files, run_once, to_symbol, write_files
from gluon_nrm.export.trace_network import read_symbols
from gluon_nrm.graph import operators
from gluon_nrm.graph.node import Entry
from gluon_nrm.graph.trace import IMAGE
from gluon_nrm.models import Network, get_model, initialise

GREY, RGB = (1, 8, 8), (3, 32, 32)
CLASSES = 10


def randomise(net: Network, seed: int = 0) -> None:
    """Norms and biases as training leaves them, none of them 0 or 1; filters stay as initialised.

    (With random filters the deepest networks round worse than what they are compared to.)
    """
    rng = np.random.default_rng(seed)
    for name, parameter in net.collect_params().items():
        if name.endswith(("gamma", "running_var")):
            parameter.set_data(mx.nd.array(rng.uniform(0.5, 1.5, parameter.shape)))
        elif not name.endswith("weight"):
            parameter.set_data(mx.nd.array(0.3 * rng.standard_normal(parameter.shape)))


class Family(NamedTuple):
    """How to build a network."""

    name: str
    shape: Tuple[int, int, int]
    options: Dict[str, Any]

    def build(self) -> Network:
        with shallow():
            net = initialise(get_model(self.name, CLASSES, self.shape, **self.options), seed=0)
        randomise(net)
        return net


PLAIN: Dict[str, Any] = {"render": False}
FAMILIES: Dict[str, Family] = {
    "NRM": Family("digits_cnn", GREY, {"path_norm": "none"}),
    "NRM with RPN, dropout": Family("digits_cnn", GREY, {"dropout": 0.5, "released_bias": True}),
    "NRM without norms": Family("digits_cnn", GREY, {"norm": "none", "render_norm": "none"}),
    "Max-Min": Family("digits_cnn", GREY, {"maxmin": True, "render_norm_branches": "separate"}),
    "exact transpose": Family("lenet_small", (1, 28, 28), {
        "maxmin": True, "path_norm": "mode", "render_norm": "none", "slope": 0.0}),
    "Max-Min of any": Family("gluon.resnet18_v2", RGB, {"maxmin": True, **PLAIN}),
    "ResNeXt Shake-Shake": Family("digits_shake_resnext", GREY, {"maxmin": True, **PLAIN}),
    "SE-ResNeXt-50": Family("se_resnext50_32x4d", RGB, {"maxmin": True, **PLAIN}),
    "ResNet NRM": Family("digits_resnet", GREY, {"maxmin": True}),
    "DenseNet NRM": Family("digits_densenet", GREY, {"maxmin": True}),
    "overlapping pooling": Family("gluon.resnet18_v1", RGB, {}),
    "Improved GAN": Family("gan_digits", GREY, {"noise": 0.3, **PLAIN}),
    "ALI": Family("ali_digits", GREY, PLAIN),
    "clipped": Family("gluon.mobilenetv2_0.25", RGB, PLAIN),
}  # fmt: skip


def images(shape: Tuple[int, ...], batch: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((batch, *shape), np.float32)


def run_graph(graph: InferenceGraph, **inputs: np.ndarray) -> List[np.ndarray]:
    """Run a graph node by node on arrays; what has no value in it is given."""
    values: Dict[Entry, Any] = {}
    for index, node in enumerate(graph.nodes):
        if node.variable:
            values[Entry(index)] = mx.nd.array({**graph.arrays, **inputs}[node.name])
            continue
        made = operators.run(mx.nd, node, [values[entry] for entry in node.inputs])
        values.update({Entry(index, place): value for place, value in enumerate(made)})
    return [values[entry].asnumpy() for entry in graph.outputs.values()]


def runners(graph: InferenceGraph, folder: Path, shape: Tuple[int, ...]) -> Dict[str, Callable[..., Any]]:
    """Write a graph's files, and give what reads and runs them, by name."""
    paths = folder / "net-symbol.json", folder / "net-0000.params"
    write_files(paths, *to_symbol(graph))
    return {
        "SymbolBlock": lambda x: run_once(paths, x),
        "Module": BoundModel(read_files(paths), 1, shape),
    }


def graph_of(**outputs: Any) -> Callable[..., InferenceGraph]:
    """Read symbols of the image (``data``) as a graph; called with the values of their variables."""
    return lambda **values: read_symbols(outputs, values)


def image() -> Any:
    return mx.sym.var(IMAGE)


def off(found: List[np.ndarray], expected: Dict[str, np.ndarray]) -> float:
    """Largest difference of any output, relative to that output's largest value."""
    assert [each.shape for each in found] == [each.shape for each in expected.values()]
    return max(
        float(np.abs(one - other).max() / np.abs(other).max()) for one, other in zip(found, expected.values())
    )
