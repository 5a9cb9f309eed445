"""Exports written by hand: a linear classifier whose every number a test can compute by itself."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import mxnet as mx
import numpy as np
import pytest

from gluon_nrm.predict import manifest as m

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime")),
    reason="onnx and onnxruntime are not installed",
)
BACKENDS = ["mxnet", pytest.param("onnxruntime", marks=needs_onnx)]
MEAN, STD = (100.0, 120.0, 90.0), (50.0, 60.0, 70.0)
CLASSES = ("ant", "bee", "cat", "dög")


class Linear:
    """scores = W x + b of normalised images; it renders W^T of the best class's one-hot code."""

    def __init__(self, shape: Tuple[int, int, int] = (3, 4, 5), seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.shape = shape
        size = int(np.prod(shape))
        self.weight = (rng.standard_normal((len(CLASSES), size)) / np.sqrt(size)).astype(np.float32)
        self.bias = rng.standard_normal(len(CLASSES)).astype(np.float32)

    def normalise(self, pixels: np.ndarray) -> np.ndarray:
        """Of pixels (B, C, H, W), by the book."""
        mean, std = self._constants()
        return (pixels - mean) / std

    def to_pixels(self, images: np.ndarray) -> np.ndarray:
        mean, std = self._constants()
        return images * std + mean

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Of normalised images."""
        return images.reshape(len(images), -1) @ self.weight.T + self.bias

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        powers = np.exp(self.scores(self.normalise(pixels)))
        return powers / powers.sum(axis=1, keepdims=True)

    def rendering(self, images: np.ndarray) -> np.ndarray:
        """Of normalised images, normalised."""
        return self.weight[self.scores(images).argmax(axis=1)].reshape(len(images), *self.shape)

    def _constants(self) -> List[np.ndarray]:
        return [np.array(each[: self.shape[0]])[None, :, None, None] for each in (MEAN, STD)]

    def symbol(self, rendering: bool) -> Any:
        data, weight = mx.sym.var("data"), mx.sym.var("weight")
        bias = mx.sym.var("bias")
        scores = mx.sym.FullyConnected(data, weight, bias, num_hidden=len(CLASSES), name="scores")
        if not rendering:
            return scores
        code = mx.sym.one_hot(mx.sym.argmax(scores, axis=1), len(CLASSES))
        return mx.sym.Group([scores, mx.sym.reshape(mx.sym.dot(code, weight), shape=(-1, *self.shape))])


def write_export(folder: Path, net: Linear, rendering: bool = False, **changes: Any) -> m.Manifest:
    """Write symbol, params and, where onnx is installed, ONNX, with their manifest."""
    folder.mkdir(parents=True)
    net.symbol(rendering).save(str(folder / "net-symbol.json"))
    parameters = {"arg:weight": mx.nd.array(net.weight), "arg:bias": mx.nd.array(net.bias)}
    mx.nd.save(str(folder / "net-0000.params"), parameters)
    files = {"net-symbol.json": "symbol", "net-0000.params": "params"}
    if importlib.util.find_spec("onnx") is not None:
        write_onnx(folder / "net.onnx", net, rendering)
        files["net.onnx"] = "onnx"
    outputs = [m.Output("logits", m.LOGITS, m.MAX), m.Output("rendering", m.RENDERING, m.MAX)]
    channels = net.shape[0]
    manifest = m.Manifest(
        version=m.VERSION,
        name="net",
        input=m.Input("data", [None, *net.shape], "float32", [0, 255], m.CALLER, [*MEAN[:channels]],
                      [*STD[:channels]]),
        outputs=outputs[: 1 + rendering],
        class_names=list(CLASSES),
        network="student",
        source=m.Source("net", "0", 0, "linear", "noise", 4, 1, None, None, "0"),
        test_error=None,
    )  # fmt: skip
    manifest = replace(manifest, **changes)
    return seal(folder, manifest, files)


def seal(folder: Path, manifest: m.Manifest, files: Dict[str, str]) -> m.Manifest:
    """Write the manifest with the checksums of the files as they are."""
    described = {name: m.describe_file(folder / name, form) for name, form in files.items()}
    manifest = replace(manifest, files=described)
    m.write_manifest(folder, manifest)
    return manifest


def reseal(folder: Path) -> None:
    """Write the manifest anew, as if the files had been exported so."""
    manifest = m.read_manifest(folder)
    seal(folder, manifest, {name: file.format for name, file in manifest.files.items()})


def write_onnx(path: Path, net: Linear, rendering: bool, input_name: str = "data") -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    size, (channels, height, width) = int(np.prod(net.shape)), net.shape
    nodes = [
        helper.make_node("Flatten", [input_name], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["logits"], transB=1),
    ]
    outputs: List[Tuple[str, Sequence[Any]]] = [("logits", ["B", len(CLASSES)])]
    constants = {"weight": net.weight, "bias": net.bias}
    if rendering:
        constants["shape"] = np.array([-1, *net.shape])
        nodes += [
            helper.make_node("ArgMax", ["logits"], ["best"], axis=1, keepdims=0),
            helper.make_node("Gather", ["weight", "best"], ["chosen"], axis=0),
            helper.make_node("Reshape", ["chosen", "shape"], ["rendering"]),
        ]
        outputs.append(("rendering", ["B", channels, height, width]))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, ["B", *net.shape])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    assert size == net.weight.shape[1]
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
