"""Every operator's ONNX form against MXNet, in onnxruntime, at batch 1 and 3; and what has none."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict

import mxnet as mx
import numpy as np
import pytest
from exports import FAMILIES, graph_of, image, images, off, run_graph
from linear_export import needs_onnx

from gluon_nrm.errors import DeployError
from gluon_nrm.export.network_to_graph import network_to_graph
from gluon_nrm.export.to_onnx.convert import import_onnx, write_onnx
from gluon_nrm.export.to_onnx.node_conversion import CONVERTERS
from gluon_nrm.export.to_onnx.runtime import OnnxModel, import_onnxruntime
from gluon_nrm.export.trace_network import reference
from gluon_nrm.predict.chosen_network import choose_outputs

S = mx.sym
SHAPE = (4, 6, 7)

RNG = np.random.default_rng(0)
VALUES: Dict[str, np.ndarray] = {
    "filters": RNG.standard_normal((6, 4, 3, 2), np.float32),
    "grouped": RNG.standard_normal((6, 2, 3, 3), np.float32),
    "matrix": RNG.standard_normal((5, 168), np.float32),
    "along": RNG.standard_normal((5, 7), np.float32),
    "bias": RNG.standard_normal(6).astype(np.float32),
    "five": RNG.standard_normal(5).astype(np.float32),
    "channels": RNG.uniform(0.5, 1.5, (4,)).astype(np.float32),
    "others": RNG.uniform(0.5, 1.5, (4,)).astype(np.float32),
    "plane": RNG.standard_normal((1, 4, 1, 1)).astype(np.float32),
    "bilinear": RNG.standard_normal((4, 1, 4, 4)).astype(np.float32),
    "square": RNG.standard_normal((4, 4)).astype(np.float32),
}
V = {name: S.var(name) for name in VALUES}


def pool(kind: str, **options: Any) -> Callable[[Any], Any]:
    return lambda x: S.Pooling(x, **{"kernel": (3, 2), "pool_type": kind, **options})


def above_zero(function: Callable[[Any], Any], x: Any) -> Any:
    return function(S.abs(x) + 0.1)


def scores(x: Any) -> Any:
    return S.mean(x, axis=(2, 3))


CASES: Dict[str, Callable[[Any], Any]] = {
    "convolution": lambda x: S.Convolution(
        x, V["filters"], V["bias"], num_filter=6, kernel=(3, 2), stride=(2, 1), pad=(1, 0), dilate=(1, 2)),
    "grouped": lambda x: S.Convolution(
        x, V["grouped"], num_filter=6, kernel=(3, 3), num_group=2, no_bias=True),
    "dense": lambda x: S.FullyConnected(x, V["matrix"], V["five"], num_hidden=5),
    "dense along an axis": lambda x: S.FullyConnected(x, V["along"], V["five"], num_hidden=5, flatten=False),
    "batch norm": lambda x: S.BatchNorm(
        x, V["channels"], V["others"], S.var("mean"), S.var("var"), eps=0.1, fix_gamma=False),
    "instance norm": lambda x: S.InstanceNorm(x, V["channels"], V["others"], eps=0.1),
    "max": pool("max", stride=(2, 3), pad=(1, 0)),
    "max over the edge": pool("max", stride=(2, 3), pad=(1, 0), pooling_convention="full"),
    "average": pool("avg", stride=(2, 1), pad=(1, 1)),
    "average of pixels": pool("avg", stride=(2, 1), pad=(1, 1), count_include_pad=False),
    "average over the edge": pool(
        "avg", kernel=(3, 3), stride=(2, 2), pad=(1, 1), pooling_convention="full"),
    "average of pixels over the edge": pool(
        "avg", kernel=(3, 3), stride=(2, 2), pad=(1, 1), pooling_convention="full", count_include_pad=False),
    "single pixels, padded": lambda x: S.Pooling(
        S.Pad(x, mode="constant", pad_width=(0, 0, 0, 0, 0, 1, 0, 1)),
        kernel=(1, 1), stride=(2, 2), pool_type="avg"),
    "sum": pool("sum", stride=(2, 1), pad=(1, 1)),
    "global max": pool("max", global_pool=True),
    "global average": pool("avg", global_pool=True),
    "global sum": pool("sum", global_pool=True),
    "im2col": lambda x: S.im2col(x, kernel=(3, 2), stride=(2, 1), pad=(1, 0)),
    "col2im": lambda x: S.col2im(
        S.im2col(x, kernel=(3, 2), stride=(2, 3)), output_size=(6, 7), kernel=(3, 2), stride=(2, 3)),
    "col2im, padded": lambda x: S.col2im(
        S.im2col(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1)),
        output_size=(6, 7), kernel=(3, 3), stride=(2, 2), pad=(1, 1)),
    **{f"unary {f.__name__}": f
       for f in (S.abs, S.exp, S.relu, S.sigmoid, S.softsign, S.square, S.tanh, S.negative, S.BlockGrad)},
    **{f"unary {f.__name__}": partial(above_zero, f) for f in (S.log, S.sqrt, S.rsqrt)},
    **{f"activation {kind}": partial(S.Activation, act_type=kind)
       for kind in ("relu", "sigmoid", "softrelu", "softsign", "tanh")},
    **{f"leaky {kind}": partial(S.LeakyReLU, act_type=kind, slope=0.3)
       for kind in ("leaky", "elu", "selu", "gelu")},
    "leaky prelu": lambda x: S.LeakyReLU(x, V["channels"], act_type="prelu"),
    "clip": lambda x: S.clip(x, -0.5, 0.7),
    "hard sigmoid": lambda x: S.hard_sigmoid(x, alpha=0.3, beta=0.4),
    "softmax": lambda x: S.softmax(x, axis=1),
    "log softmax": lambda x: S.log_softmax(scores(x)),
    "numbers": lambda x: 2 - (3 / (S.maximum(S.abs(x) * 0.5, 0.1) + 1) - 4) / 5,
    "powers": lambda x: S.minimum(S.abs(x), 2.0) ** 1.5,
    "sums": lambda x: S.add_n(S.broadcast_add(x, V["plane"]), S.broadcast_sub(x, V["plane"]), x * x),
    "products": lambda x: S.broadcast_div(S.broadcast_mul(x, V["plane"]), S.exp(V["plane"])) / (x * x + 1),
    "extremes": lambda x: S.broadcast_maximum(x, V["plane"]) - S.broadcast_minimum(x, V["plane"]),
    "comparisons": lambda x: (x > 0.1) + 2 * (x >= 0.2) + 4 * (x < 0.3) + 8 * (x <= 0.4) + 16 * (x == 0),
    "comparisons of two": lambda x: S.add_n(*[
        place * getattr(S, f"broadcast_{name}")(x, V["plane"])
        for place, name in enumerate(("greater", "greater_equal", "lesser", "lesser_equal", "equal"), start=1)
    ]),
    "shapes": lambda x: S.squeeze(S.expand_dims(S.reshape(x, shape=(0, -1, 2, 7)), axis=1), axis=1),
    "shape like": lambda x: S.reshape_like(S.Flatten(x), x),
    "batch into rows": lambda x: S.reshape(x, shape=(-3, -2)),
    "transpose": lambda x: S.transpose(x, axes=(0, 3, 1, 2)),
    "swap": lambda x: S.SwapAxis(x, dim1=1, dim2=3),
    "concatenation": lambda x: S.concat(x, -x, dim=1),
    "stack": lambda x: S.stack(x, S.zeros_like(x), S.ones_like(x), axis=3),
    "parts": lambda x: S.concat(*list(S.SliceChannel(x, num_outputs=2, axis=1))[::-1], dim=1),
    "parts without axis": lambda x: S.add_n(*S.SliceChannel(x, num_outputs=4, axis=1, squeeze_axis=True)),
    "slice of an axis": lambda x: S.slice_axis(
        S.slice_axis(x, axis=2, begin=1, end=-1), axis=3, begin=-4, end=None),
    "slice": lambda x: S.slice(x, begin=(None, 1, 0), end=(None, 4, None), step=(None, 2, 3)),
    "padding": lambda x: S.pad(x, mode="constant", constant_value=0.5, pad_width=(0, 0, 0, 0, 1, 2, 3, 0)),
    "edges": lambda x: S.pad(x, mode="edge", pad_width=(0, 0, 0, 0, 1, 2, 3, 0)),
    "upsampling": lambda x: S.UpSampling(x, scale=3, sample_type="nearest"),
    "repeat": lambda x: S.repeat(S.repeat(x, repeats=2, axis=2), repeats=3, axis=3),
    "spread": lambda x: S.broadcast_axis(pool("avg", global_pool=True)(x), axis=(2, 3), size=(3, 2)),
    "numbers along an axis": lambda x: S.broadcast_add(
        x, S.contrib.arange_like(x, axis=3, start=2, step=0.5)),
    "spread like": lambda x: S.broadcast_like(pool("avg", global_pool=True)(x), x),
    "means": lambda x: S.mean(x, axis=(1,), exclude=True, keepdims=True),
    "sum over axes": lambda x: S.sum(x, axis=-1) + S.max(x, axis=3) - S.min(x, axis=3),
    "spread to": lambda x: S.broadcast_to(pool("max", global_pool=True)(x), shape=(0, 0, 2, 3)),
    "larger and smaller": lambda x: S.maximum(x, S.Flatten(-x).reshape_like(x)) - S.minimum(x, x * x),
    "products of matrices": lambda x: S.batch_dot(S.reshape(x, (0, 4, -1)), S.reshape(x, (0, -1, 4))),
    "code": lambda x: S.one_hot(S.argmax(scores(x), axis=1), 4),
    "product of matrices": lambda x: S.dot(scores(x), V["square"]),
    "type": lambda x: S.cast(x, dtype="float32"),
}  # fmt: skip


def values_for(symbol: Any) -> Dict[str, np.ndarray]:
    known = {**VALUES, "mean": VALUES["channels"], "var": VALUES["others"]}
    names = symbol.list_arguments() + symbol.list_auxiliary_states()
    return {name: known[name] for name in names if name in known}


@needs_onnx
@pytest.mark.parametrize("name", CASES)
def test_an_operator(name: str, tmp_path: Path) -> None:
    symbol = CASES[name](image())
    graph = graph_of(out=symbol)(**values_for(symbol))
    write_onnx(graph, SHAPE, tmp_path / "one.onnx", "one")
    model = OnnxModel(tmp_path / "one.onnx")
    for batch in (1, 3):
        x = images(SHAPE, batch)
        np.testing.assert_allclose(model(x)[0], run_graph(graph, data=x)[0], rtol=1e-5, atol=1e-5)


@needs_onnx
@pytest.mark.parametrize("name", FAMILIES)
def test_networks_of_every_family(name: str, tmp_path: Path) -> None:
    net = FAMILIES[name].build()
    wanted = choose_outputs(net, None, net.options.render, False, "here")
    write_onnx(network_to_graph(net, wanted), net.input_shape, tmp_path / "net.onnx", "net")
    model = OnnxModel(tmp_path / "net.onnx")
    for batch in (1, 7):
        x = images(net.input_shape, batch)
        assert off(model(x), reference(net, x, wanted, None, mx.cpu())) < 1e-4


@needs_onnx
def test_the_file_says_opset_13_and_a_free_batch(tmp_path: Path) -> None:
    import onnx

    graph = graph_of(out=S.relu(image()))()
    write_onnx(graph, SHAPE, tmp_path / "one.onnx", "title")
    model = onnx.load(str(tmp_path / "one.onnx"))
    assert (model.opset_import[0].version, model.ir_version, model.graph.name) == (13, 8, "title")
    lengths = model.graph.input[0].type.tensor_type.shape.dim
    assert [length.dim_param or length.dim_value for length in lengths] == ["batch", *SHAPE]
    assert [each.name for each in model.graph.output] == ["out"]


UNKNOWN: Dict[str, Callable[[Any], Any]] = {
    r"\(L2Normalization\) has no ONNX form here": S.L2Normalization,
    r"\(slice\) runs backwards": lambda x: S.slice(
        x, begin=(None,) * 4, end=(None,) * 4, step=(1, 1, -1, -1)),
    r"\(Pooling\) pools in another way": pool("lp", p_value=2),
    r"\(Pooling\) has windows that hold no pixel": pool(
        "avg", stride=(3, 3), pad=(1, 1), pooling_convention="full"),
    r"\(UpSampling\) interpolates": lambda x: S.UpSampling(
        x, V["bilinear"], scale=2, sample_type="bilinear", num_filter=4),
    r"\(Cast\) leaves float32": lambda x: S.cast(x, dtype="float64"),
    r"\(dot\) is no plain product": lambda x: S.dot(scores(x), V["square"], transpose_b=True),
    r"\(_contrib_arange_like\) counts pixels or images": lambda x: S.contrib.arange_like(x, axis=0),
    r"\(softmax\) has a temperature": lambda x: S.softmax(x, temperature=2.0),
}  # fmt: skip


@needs_onnx
@pytest.mark.parametrize("message", UNKNOWN)
def test_what_has_no_form_is_named(message: str, tmp_path: Path) -> None:
    symbol = UNKNOWN[message](image())
    with pytest.raises(DeployError, match=f"{message}.*; export with formats=\\['symbol'\\]") as raised:
        write_onnx(graph_of(out=symbol)(**values_for(symbol)), SHAPE, tmp_path / "one.onnx", "one")
    assert not list(tmp_path.iterdir()) and "\n" not in str(raised.value)


def test_every_converter_is_tried() -> None:
    """But for those of nodes that training alone has."""
    tried = {node["op"] for case in CASES.values() for node in json.loads(case(image()).tojson())["nodes"]}
    assert set(CONVERTERS) - tried == {"Dropout", "_copy", "amp_cast"}


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_missing_packages_are_named_with_the_extra(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    needed = {"onnx": import_onnx, "onnxruntime": import_onnxruntime}[package]
    with pytest.raises(DeployError, match=rf'needs the package {package} .*pip install "gluon_nrm\[onnx\]"'):
        needed()
