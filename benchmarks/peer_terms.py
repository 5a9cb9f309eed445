"""Compare terms and gradients of PyTorch's step with ours, for the same parameters and images.

    PYTHONPATH=. python benchmarks/peer_terms.py [--network allconv13 lenet] [--peer-python PATH]
        [--peer-modes eager compiled ...] [--json FILE]

Without dropout, whose random numbers differ, and in float32. For each network and method of ``step.py`` and
each mode of PyTorch: the largest relative difference of a loss term, and of the norm of a parameter's
gradient (where one of the norms is 1e-6 of the largest or more; smaller ones are rounding).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

from benchmarks.find_peer import PEER_FILE, add_peer_options, find_peer, usable_modes
from benchmarks.harness import BenchmarkError, command_line, last_line, write_json
from benchmarks.networks import CONSISTENCY, METHODS, NETWORKS, WEIGHTS
from benchmarks.peer_modes import PEER_MODES
from gluon_nrm.console.tool import run_tool

HEADER = "| network | method | PyTorch | terms differ by | gradients differ by |\n|---|---|---|---|---|"


def ours(network: str, method: str) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """Arrays for the peer, and our own terms and gradients for them."""
    import mxnet as mx
    import numpy as np

    from benchmarks.step_methods import batches, build

    objective = build(method, hybridised=True, dropout=0.0, network=network).objective
    streams = batches(NETWORKS[network])
    rng = np.random.default_rng(0)
    parameters = named_parameters(objective.net)
    for name, each in parameters.items():
        if "bias" in name:  # with zeros there is no path to normalise, and instance norms divide 0 by 0
            each.set_data(mx.nd.array(rng.normal(0, 0.1, each.shape)))
    targets = rng.dirichlet(np.ones(objective.net.classes), len(streams.labelled.labels)).astype("float32")
    arrays = {
        "targets": targets,
        "labels": streams.labelled.labels,
        **{f"images.{name}": getattr(streams, name).images for name in ("labelled", "unlabelled")},
    }
    arrays.update({f"net.{name}": each.data().asnumpy() for name, each in parameters.items()})
    weights = dict(WEIGHTS, consistency=CONSISTENCY)
    found: Dict[str, Any] = {}
    outcomes = []
    zero_states = objective.zero_states(mx.nd.array(streams.labelled.images))
    for name in ("unlabelled", "labelled"):
        batch = getattr(streams, name)
        images, labels, teachers = (mx.nd.array(each) for each in (batch.images, batch.labels, targets))
        with mx.autograd.record():
            outcomes.append(objective(*[images, labels, zero_states, teachers][: len(objective.inputs)]))
        means = outcomes[-1].terms.mean(axis=1)
        found[name] = dict(zip(objective.names, means.asnumpy().tolist()))
    column = np.array([[weights[term] / len(targets)] for term in objective.names], np.float32)
    head = mx.nd.array(column.repeat(len(targets), axis=1))
    objective.backward(outcomes, [head, head])
    del found["unlabelled"]["cross_entropy"]
    found["gradients"] = {
        name: float(each.grad().norm().asscalar())
        for name, each in parameters.items() if each.grad_req != "null"
    }  # fmt: skip
    return arrays, found


def named_parameters(net: Any) -> Dict[str, Any]:
    """The parameters of an ``NRM`` under the names that ``torch_nrm.TorchNRM`` has for them."""
    found = {"classifier.weight": net.classifier.weight, "classifier.bias": net.classifier.bias}
    norms = [layer.render_norms for layer in net.layers] + [net.template_norms]
    for place, layer in enumerate(net.layers):
        found[f"convolutions.{place}.weight"] = layer.convolution.weight
        found[f"biases.{place}"] = layer.bias
        found[f"zero_norms.{place}.weight"] = layer.zero.norm.gamma
        for branch, half in enumerate(layer.branches):
            found[f"gains.{branch}.{place}"] = half.norm.gamma
        zero = norms[place + 1].zero
        found[f"zero_render_norms.{place}.weight"] = zero.gamma
        found[f"zero_render_norms.{place}.bias"] = zero.beta
    for place, each in enumerate(norms):
        found[f"render_norms.{place}.weight"] = each.branches[0].gamma
        found[f"render_norms.{place}.bias"] = each.branches[0].beta
    return found


def write_arrays(arrays: Dict[str, Any], folder: Path) -> None:
    """Write float32 arrays where a Python without numpy can read them."""
    shapes = [(name, list(array.shape)) for name, array in arrays.items()]
    (folder / "arrays.json").write_text(json.dumps(shapes), encoding="utf-8")
    values = b"".join(array.astype("float32").tobytes() for array in arrays.values())
    (folder / "arrays.bin").write_bytes(values)


def theirs(network: str, method: str, mode: str, arrays: Dict[str, Any], python: str) -> Dict[str, Any]:
    """The peer's terms and gradients."""
    with tempfile.TemporaryDirectory() as folder:
        write_arrays(arrays, Path(folder))
        command = [python, str(PEER_FILE.with_name("torch_terms.py")), network, method, mode, folder]
        found: Dict[str, Any] = json.loads(last_line(command))
    return found


def difference(found: Dict[str, float], expected: Dict[str, float]) -> float:
    """Largest relative difference of two sets of figures.

    Raises:
        BenchmarkError: they are not of the same things.
    """
    if set(found) != set(expected):
        raise BenchmarkError(f"not in both: {', '.join(sorted(set(found) ^ set(expected)))}")
    tiny = 1e-6 * max(map(abs, expected.values()))
    return max(
        abs(found[name] - value) / max(abs(value), abs(found[name]))
        for name, value in expected.items() if max(abs(value), abs(found[name])) >= tiny
    )  # fmt: skip


def compare(network: str, method: str, modes: Sequence[str], python: str) -> List[Dict[str, Any]]:
    """Rows of the table: a method of a network in each of the peer's modes."""
    arrays, expected = ours(network, method)
    names = {"network": NETWORKS[network].title, "method": METHODS[method].title}
    rows = []
    for mode in modes:
        found = theirs(network, method, mode, arrays, python)
        terms = max(difference(found[name], expected[name]) for name in ("unlabelled", "labelled"))
        gradients = difference(found["gradients"], expected["gradients"])
        shown = {**names, "mode": PEER_MODES[mode].title, "terms": terms, "gradients": gradients}
        rows.append({**shown, "ours": expected, "peer": found})
    return rows


def table(rows: Sequence[Dict[str, Any]]) -> str:
    """Lay out the rows in Markdown."""
    lines = [HEADER]
    for row in rows:
        names = f"{row['network']} | {row['method']} | {row['mode']}"
        lines.append(f"| {names} | {row['terms']:.1e} | {row['gradients']:.1e} |")
    return "\n".join(lines)


def main() -> int:
    """Compare every method and print the table."""
    parser = command_line(__doc__ or "", repeats=None)
    add_peer_options(parser)
    parser.add_argument("--network", nargs="+", choices=tuple(NETWORKS), default=["allconv13", "lenet"])
    options = parser.parse_args()
    peer = find_peer(options.peer_python)
    rows: List[Dict[str, Any]] = []
    if peer:
        modes = [mode for mode in options.peer_modes if not PEER_MODES[mode].bfloat16]
        modes = usable_modes(peer, modes)
        for network in options.network:
            for method in METHODS:
                rows += compare(network, method, modes, peer)
    print(table(rows))
    write_json(options.json, rows)
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
