"""Exports whose checksums are right and whose files are made to do harm: each one is refused in one line."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List

import mxnet as mx
import numpy as np
import pytest
from fakes import ROOT
from linear_export import needs_onnx, reseal, write_export
from predicting import NET, work_in

from gluon_nrm.errors import DeployError
from gluon_nrm.export.to_onnx import convert  # noqa: F401  (it registers converters)
from gluon_nrm.export.to_onnx.node_conversion import CONVERTERS
from gluon_nrm.graph.operators import KNOWN
from gluon_nrm.predict.onnx_check import check_onnx
from gluon_nrm.predict.symbol_check import check_symbol
from gluon_nrm.predict.symbol_operators import MERGED, OPERATORS
from gluon_nrm.storage import params_file
from gluon_nrm.storage.params_file import from_bytes, to_bytes

#: Bytes that a hostile export may cost the process (address space of MXNet's libraries included).
MEMORY = 8 * 2**30


def predict(here: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the tool with an upper bound on its memory."""
    code = (
        "import resource, runpy, sys\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))\n"
        f"sys.argv = {['predict.py', 'net', 'images/0.png', *arguments]!r}\n"
        f"sys.path.insert(0, {str(ROOT / 'tools')!r})\n"
        f"runpy.run_path({str(ROOT / 'tools' / 'predict.py')!r}, run_name='__main__')\n"
    )
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=here, env=environ, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_export(work_in(tmp_path, monkeypatch) / "net", NET)
    return tmp_path


# --- parameters ---


def arrays() -> Dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "arg:weight": rng.standard_normal((3, 4, 1, 2)).astype(np.float32),
        "arg:bias – β": rng.standard_normal(3).astype(np.float32),
        "aux:scale": np.arange(5, dtype=np.int8),
        "aux:count": np.array([[7]], dtype=np.int32),
    }


def test_parameters_are_written_and_read_as_mxnet_does(tmp_path: Path) -> None:
    mx.nd.save(str(tmp_path / "theirs"), {k: mx.nd.array(v, dtype=v.dtype) for k, v in arrays().items()})
    data = to_bytes(arrays())
    assert (tmp_path / "theirs").read_bytes() == data
    found = from_bytes(data, "it")
    assert list(found) == list(arrays())
    for name, value in arrays().items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)


def test_every_cut_and_every_changed_byte_of_a_head_is_refused_or_read() -> None:
    data = to_bytes(arrays())
    for length in range(len(data)):
        with pytest.raises(DeployError, match="it: MXNet cannot read it"):
            from_bytes(data[:length], "it")
    for place in range(len(data)):
        for value in (0, 1, 0x7F, 0x80, 0xFF):
            changed = data[:place] + bytes([value]) + data[place + 1 :]
            try:
                found = from_bytes(changed, "it")
            except DeployError:
                continue
            assert sum(each.nbytes for each in found.values()) < len(data)


def patched(place: int, kinds: str, *values: int) -> Callable[[bytes], bytes]:
    """Replace numbers at a place of ``net-0000.params``."""

    def change(data: bytes) -> bytes:
        return data[:place] + struct.pack(kinds, *values) + data[place + struct.calcsize(kinds) :]

    return change


#: A file begins with three numbers of 8 bytes; version, kind and axes of an array follow, then its shape.
PARAMETERS: Dict[str, Callable[[bytes], bytes]] = {
    "a length of 23 GB": patched(36, "<I", 100_000_000),
    "a negative length": patched(36, "<q", -4),
    "lengths whose product overflows": patched(36, "<qq", 2**62, 4),
    "a million axes": patched(32, "<i", 10**6),
    "2^61 arrays": patched(16, "<Q", 2**61),
    "a sparse array": patched(28, "<i", 1),
    "an array on a GPU": patched(52, "<i", 2),
    "another type": patched(60, "<i", 99),
    "a name of 2^60 bytes": lambda data: data[:-10] + struct.pack("<Q", 2**60) + data[-2:],
    "bytes after the end": lambda data: data + b"more",
    "nothing": lambda data: b"",
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_hostile_parameters_are_refused(name: str) -> None:
    data = to_bytes({"arg:weight": NET.weight, "arg:bias": NET.bias})
    with pytest.raises(DeployError, match=r"it: MXNet cannot read it \(.*\); export the run again"):
        from_bytes(PARAMETERS[name](data), "it")


def test_the_tool_says_so(here: Path) -> None:
    path = here / "net" / "net-0000.params"
    path.write_bytes(PARAMETERS["a length of 23 GB"](path.read_bytes()))
    reseal(here / "net")
    done = predict(here, "--backend", "mxnet")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: net/net-0000.params: MXNet cannot read it (") and (
        done.stderr.count("\n") == 1
    )


def test_more_than_one_name_and_other_names_are_refused() -> None:
    one = np.zeros(1, np.float32)
    for names, said in (
        (["weight"], "does not begin with arg: or aux:"),
        (["arg:a", "arg:b"], "have 1 names"),
    ):
        data = to_bytes(dict.fromkeys(names, one))
        with pytest.raises(DeployError, match=said):
            from_bytes(data.replace(b"arg:b", b"arg:a"), "it")


# --- symbols ---


def symbol() -> Dict[str, Any]:
    found: Dict[str, Any] = json.loads(NET.symbol(True).tojson())
    return found


def node(graph: Dict[str, Any], op: str) -> Dict[str, Any]:
    return next(each for each in graph["nodes"] if each["op"] == op)


def convolution(**changes: str) -> Callable[[Dict[str, Any]], Any]:
    """In place of all, a convolution of the image with some arguments."""

    def change(graph: Dict[str, Any]) -> None:
        made = mx.sym.Convolution(mx.sym.var("data"), mx.sym.var("weight"), mx.sym.var("bias"),
                                  kernel=(3, 3), num_filter=4, name="conv")  # fmt: skip
        graph.clear()
        graph.update(json.loads(made.tojson()))
        node(graph, "Convolution")["attrs"].update(changes)

    return change


def set_in(*keys: Any, value: Any) -> Callable[[Dict[str, Any]], Any]:
    def change(graph: Dict[str, Any]) -> None:
        place: Any = graph
        for key in keys[:-1]:
            place = node(place, key) if isinstance(key, str) and key[0].isupper() else place[key]
        place[keys[-1]] = value

    return change


SYMBOLS: Dict[str, Any] = {
    "an operator of Python's": (set_in("FullyConnected", "op", value="Custom"), "the operator 'Custom'"),
    "an operator that reads files": (set_in("FullyConnected", "op", value="_cvimread"), "'_cvimread', which"),
    "a node that reads itself": (set_in("FullyConnected", "inputs", value=[[3, 0, 0], [1, 0, 0], [2, 0, 0]]),
                                 "reads what is not before it"),
    "a cycle": (set_in("FullyConnected", "inputs", value=[[0, 0, 0], [1, 0, 0], [5, 0, 0]]),
                "reads what is not before it"),
    "an input that is nowhere": (set_in("FullyConnected", "inputs", value=[[0, 0, 0], [2**31, 0, 0]]),
                                 "reads what is not before it"),
    "a negative input": (set_in("FullyConnected", "inputs", value=[[0, 0, 0], [-1, 0, 0]]), "not before it"),
    "an output that is nowhere": (set_in("FullyConnected", "inputs", value=[[0, 7, 0], [1, 0, 0], [2, 0, 0]]),
                                  "reads what is not before it"),
    "no inputs": (set_in("FullyConnected", "inputs", value=[]), "reads 0 others"),
    "a head that is nowhere": (set_in("heads", value=[[99, 0, 0]]), "reads what is not before it"),
    "no heads": (set_in("heads", value=[]), "it has no outputs"),
    "other variables": (set_in("arg_nodes", value=[0, 1, 10**6]), "arg_nodes are not its variables"),
    "rows": (set_in("node_row_ptr", value=[0, 2**40]), "node_row_ptr does not fit"),
    "an older version": (set_in("attrs", value={"mxnet_version": ["int", 800]}), "not of MXNet 1.9"),
    "a kernel of nothing": (convolution(kernel="(0, 0)"), "kernel is 0"),
    "a stride of nothing": (convolution(stride="(0, 1)"), "stride is 0"),
    "a huge kernel": (convolution(kernel="(2000000000, 3)"), "kernel is 2000000000"),
    "no groups": (convolution(num_group="0"), "num_group is 0"),
    "2^62 filters": (convolution(num_filter=str(2**62)), "num_filter is"),
    "a negative pad": (convolution(pad="(-9, 0)"), "pad is -9"),
    "code": (convolution(kernel="__import__('os').system('true')"), "kernel is no number"),
    "a deep tuple": (convolution(kernel="(" * 3000), "kernel is no number, tuple or word"),
    "an initialiser": (lambda graph: graph["nodes"][1].update(attrs={"__init__": '["load", {"x": "/etc"}]'}),
                       "__init__"),
    "a huge shape": (lambda graph: graph["nodes"][1].update(attrs={"__shape__": f"({2**40},)"}), "__shape__"),
    "a graph in a node": (set_in("FullyConnected", "subgraphs", value=[{}]), "should have 0 graphs in it"),
    "a list for a name": (set_in("FullyConnected", "name", value=[]), "has no operator, name or inputs"),
}  # fmt: skip


@pytest.mark.parametrize("name", SYMBOLS)
def test_hostile_symbols_are_refused(name: str) -> None:
    change, said = SYMBOLS[name]
    graph = symbol()
    change(graph)
    with pytest.raises(DeployError) as refused:
        check_symbol(json.dumps(graph).encode(), "it")
    assert said in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"\xff", b"[" * 10**6, b'{"nodes": 1, "nodes": 2}', b"NaN", b"1" * 5000]
)
def test_no_symbol(data: bytes) -> None:
    with pytest.raises(DeployError, match="it: MXNet cannot read it"):
        check_symbol(data, "it")


def test_an_intact_symbol_is_let_through() -> None:
    text = json.dumps(symbol())
    assert check_symbol(text.encode(), "it") == text


def test_every_operator_that_is_exported_may_be_read() -> None:
    known = {op for op in KNOWN | set(CONVERTERS) if "random" not in op}
    assert known - set(OPERATORS) - set(MERGED) == set()


def test_a_network_that_takes_too_much_memory(here: Path) -> None:
    """Every argument is possible, and one image would take 60 GB."""
    data, weight, bias = (mx.sym.var(name) for name in ("data", "weight", "bias"))
    large = mx.sym.tile(data, reps=(1, 1, 4096, 65536))
    scores = mx.sym.FullyConnected(mx.sym.slice_axis(large, axis=1, begin=0, end=1)[0:1], weight, bias,
                                   num_hidden=4, no_bias=False)  # fmt: skip
    scores.save(str(here / "net" / "net-symbol.json"))
    reseal(here / "net")
    done = predict(here, "--backend", "mxnet")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr


def test_a_symbol_that_mxnet_cannot_run(here: Path) -> None:
    """Each argument is possible, and only the kernel that runs it says that they do not fit."""
    data, weight, bias = (mx.sym.var(name) for name in ("data", "weight", "bias"))
    scores = mx.sym.FullyConnected(data, weight, bias, num_hidden=4)
    other = mx.sym.broadcast_add(
        scores, mx.sym.Cast(mx.sym.slice_axis(scores, axis=1, begin=0, end=1), dtype="int32")
    )
    other.save(str(here / "net" / "net-symbol.json"))
    reseal(here / "net")
    done = predict(here, "--backend", "mxnet")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr


# --- ONNX ---


def outside(model: Any, to: Path, onnx: Any) -> None:
    """Keep the weight in another file."""
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, str(to))
    tensor.ClearField("raw_data")


def in_an_attribute(model: Any, to: Path, onnx: Any) -> None:
    tensor = onnx.TensorProto()
    tensor.CopyFrom(model.graph.initializer[0])
    tensor.name = "value"
    outside_tensor = onnx.ModelProto()
    outside_tensor.graph.initializer.add().CopyFrom(tensor)
    outside(outside_tensor, to, onnx)
    made = onnx.helper.make_node("Constant", [], ["other"], value=outside_tensor.graph.initializer[0])
    model.graph.node.add().CopyFrom(made)


def in_a_branch(model: Any, to: Path, onnx: Any) -> None:
    inner = onnx.GraphProto(name="inner")
    inner.initializer.add().CopyFrom(model.graph.initializer[0])
    node = model.graph.node.add(op_type="If", input=["c"], output=["d"])
    node.attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g.CopyFrom(inner)


def sparse(model: Any, to: Path, onnx: Any) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(model.graph.initializer[0])


def function(model: Any, to: Path, onnx: Any) -> None:
    model.functions.add(name="f", domain="own")


def other_domain(model: Any, to: Path, onnx: Any) -> None:
    model.graph.node[0].domain = "com.microsoft"


@needs_onnx
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (outside, r"a tensor holds the path of a file outside \(external data\)"),
        (in_an_attribute, r"a tensor holds the path of a file outside \(external data\)"),
        (in_a_branch, "an? attribute holds a graph"),
        (sparse, "a graph holds sparse tensors"),
        (function, "a model holds functions"),
        (other_domain, "a node's operator is none of ONNX's own"),
    ],
)
@pytest.mark.parametrize("place", ["beside.bin", "../secret.bin", "/etc/hostname"])
def test_onnx_files_that_need_another_file_are_refused(
    here: Path, change: Callable[..., None], said: str, place: str
) -> None:
    import onnx

    path = here / "net" / "net.onnx"
    model = onnx.load(str(path))
    change(model, Path(place), onnx)
    with pytest.raises(DeployError, match=f"it: it is not opened .*{said}"):
        check_onnx(model.SerializeToString(), "it")


@needs_onnx
def test_the_tool_does_not_read_weights_from_elsewhere(here: Path) -> None:
    import onnx

    path = here / "net" / "net.onnx"
    model = onnx.load(str(path))
    (here / "secret.bin").write_bytes(NET.weight.tobytes())
    outside(model, Path("../secret.bin"), onnx)
    path.write_bytes(model.SerializeToString())
    reseal(here / "net")
    done = predict(here, "--backend", "onnxruntime")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: net/net.onnx: it is not opened (a tensor holds the path of a file")


@needs_onnx
def test_a_location_without_a_path_and_damage_are_refused(here: Path) -> None:
    import onnx

    data = (here / "net" / "net.onnx").read_bytes()
    model = onnx.load_from_string(data)
    model.graph.initializer[0].data_location = 1
    with pytest.raises(DeployError, match="a file outside"):
        check_onnx(model.SerializeToString(), "it")
    check_onnx(data, "it")
    rng = np.random.default_rng(0)
    places: List[int] = [int(place) for place in rng.integers(0, len(data), 300)]
    for place in places:
        for changed in (data[:place], data[:place] + bytes([rng.integers(256)]) + data[place + 1 :]):
            try:
                check_onnx(changed, "it")
            except DeployError:  # anything else would be a defect
                continue


def test_the_writer_refuses_no_type_that_exports_have() -> None:
    assert {np.dtype(kind) for kind in ("f4", "u1", "i4", "i1")} == set(params_file.TYPES.values())
