"""Inference: an exported network in MXNet, onnxruntime and int8, the network itself, the plain CNN, PyTorch.

    PYTHONPATH=. python benchmarks/inference.py [NETWORK ...] [--rounds 3] [--repeats 15] [--peer-python PATH]
        [--peer-modes eager compiled ...] [--json FILE]

The plain CNN has the same layers and nothing of the NRM: for AllConv13 Gluon's own blocks, for a traced
network the one that it was made from. A Max-Min network computes two branches, and so does its export of
the mixture; its export of one branch should be as fast as the plain CNN. Ours are hybridised and run in
inference mode from NumPy arrays to NumPy arrays. Where a Python with PyTorch is found, it runs AllConv13's
plain CNN too: eager, compiled, in channels last, and under autocast to bfloat16 where the processor has
instructions for it. Each row is timed in a process of its own, in turns. All cores are used unless
OMP_NUM_THREADS says otherwise. Weights are random.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from benchmarks.find_peer import add_peer_options, choose_peer
from benchmarks.harness import command_line, count, last_line, measure_in_child, write_json
from benchmarks.networks import NETWORKS as OF_LAYERS
from benchmarks.peer_modes import PEER_MODES
from gluon_nrm.console.tool import run_tool

#: name of the network -> (side of its images, outputs exported)
NETWORKS: Dict[str, Tuple[int, Sequence[str]]] = {
    "allconv13": (32, ("max",)),
    "gluon.resnet18_v1": (64, ("mixture", "max")),
}
BATCHES = (1, 64)
BASE, NETWORK = "plain CNN", "network"


def build(name: str) -> Any:
    """Make the network that training runs, with all that it renders by, or Max-Min of a zoo's."""
    from gluon_nrm.models import get_model, initialise

    side, outputs = NETWORKS[name]
    maxmin = "mixture" in outputs
    return initialise(get_model(name, 10, (3, side, side), render=not maxmin, maxmin=maxmin), seed=0)


def plain(name: str) -> Any:
    """Make the same CNN without the NRM."""
    from mxnet.gluon import nn

    from gluon_nrm.models import NRMOptions, get_architecture
    from gluon_nrm.models.model_zoos import zoo_builder

    if "." in name:
        net = zoo_builder(*name.split(".", 1))(10, 3)
    else:
        net = nn.HybridSequential()
        for spec in get_architecture(name):
            net.add(nn.Conv2D(spec.channels, spec.kernel, padding=spec.pad, use_bias=False), nn.BatchNorm())
            net.add(nn.LeakyReLU(NRMOptions().slope) if NRMOptions().slope else nn.Activation("relu"))
            if spec.pool > 1:
                net.add(nn.MaxPool2D(spec.pool), nn.Dropout(spec.dropout))
        net.add(nn.GlobalAvgPool2D(), nn.Dense(10))
    net.initialize()
    return net


def export(name: str, folder: Path) -> List[str]:
    """Export the network with each output; returns what there is to measure."""
    import numpy as np

    from gluon_nrm.export.network_to_graph import network_to_graph
    from gluon_nrm.export.quantise import quantise
    from gluon_nrm.export.symbol_files import to_symbol, write_files
    from gluon_nrm.export.to_onnx.convert import write_onnx
    from gluon_nrm.predict.chosen_network import OutputChoice

    (side, outputs), net, found = NETWORKS[name], build(name), []
    images = np.random.default_rng(0).standard_normal((64, 3, side, side)).astype(np.float32)
    for output in outputs:
        graph = network_to_graph(net, OutputChoice(output))
        write_files(files(folder, f"symbol {output}"), *to_symbol(graph))
        write_onnx(graph, (3, side, side), folder / f"onnxruntime {output}.onnx", "net")
        quantise(graph, images, files(folder, f"int8 {output}"))
        found += [f"{kind} {output}" for kind in ("symbol", "onnxruntime", "int8")]
    return found


def files(folder: Path, kind: str) -> Tuple[Path, Path]:
    """The symbol's and the parameters' file."""
    return folder / f"{kind}-symbol.json", folder / f"{kind}-0000.params"


def runner(name: str, kind: str, folder: Path) -> Callable[[Any], Any]:
    """Load what is measured: images (B, C, H, W) to scores, both NumPy's."""
    if kind.startswith("onnxruntime"):
        from gluon_nrm.predict.onnx_backend import open_session

        session = open_session(folder / f"{kind}.onnx")
        return lambda images: session.run(None, {"data": images})
    import mxnet as mx

    if kind not in (BASE, NETWORK):
        from gluon_nrm.predict.mxnet_backend import run_files

        return run_files(files(folder, kind), "data", mx.cpu())
    net = plain(name) if kind == BASE else build(name)
    net.hybridize(static_alloc=True, static_shape=True)
    if kind == BASE:
        return lambda images: net(mx.nd.array(images)).asnumpy()
    return lambda images: net(mx.nd.array(images)).logits.asnumpy()


def measure(name: str, kind: str, folder: Path, batch: int, repeats: int) -> List[float]:
    """Seconds of each of ``repeats`` runs, after two that do not count."""
    import numpy as np

    side, run = NETWORKS[name][0], runner(name, kind, folder)
    images = np.random.default_rng(1).standard_normal((batch, 3, side, side)).astype(np.float32)
    seconds = []
    for _ in range(2 + repeats):
        started = time.perf_counter()
        run(images)
        seconds.append(time.perf_counter() - started)
    return seconds[2:]


def peers(name: str, python: Optional[str], modes: Sequence[str]) -> Dict[str, List[str]]:
    """Names of PyTorch's rows of a network, and the command of each, without batch and repetitions."""
    if python is None or name not in OF_LAYERS:
        return {}
    file = str(Path(__file__).with_name("torch_inference.py"))
    return {f"PyTorch, {PEER_MODES[mode].title}": [python, file, name, mode] for mode in modes}


def compare(
    name: str, batch: int, kinds: Sequence[str], folder: Path, others: Dict[str, List[str]], options: Any
) -> List[Dict[str, Any]]:
    """Medians of all that is measured of one network, in turns."""
    found: Dict[str, List[float]] = {kind: [] for kind in [*kinds, *others]}
    for _ in range(options.rounds):
        for kind, seconds in found.items():
            if kind in others:
                seconds += json.loads(last_line([*others[kind], str(batch), str(options.repeats)]))
                continue
            arguments = (name, kind, str(folder), str(batch), "--repeats", str(options.repeats))
            seconds += measure_in_child(__file__, *arguments)
    medians = {kind: statistics.median(seconds) for kind, seconds in found.items()}
    return [
        {
            "network": name,
            "batch": batch,
            "kind": kind,
            "images_per_second": batch / median,
            "over_plain": medians[BASE] / median,
        }
        for kind, median in medians.items()
    ]


def line(row: Dict[str, Any]) -> str:
    """Lay out what was measured as a line of the table."""
    names = f"{row['network']} | {row['batch']} | {row['kind']}"
    return f"| {names} | {row['images_per_second']:.1f} | {row['over_plain']:.2f} |"


def main() -> int:
    """Export, measure in processes of their own, and print a table."""
    parser = command_line(__doc__ or "", repeats=15)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"any of {', '.join(NETWORKS)}")
    parser.add_argument("--rounds", type=count, default=3, help="turns of each (default: 3)")
    add_peer_options(parser)
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        name, kind, where, batch = options.measure
        print(json.dumps(measure(name, kind, Path(where), int(batch), options.repeats)))
        return 0
    unknown = sorted(set(options.networks) - set(NETWORKS))
    if unknown:
        parser.error(f"no network {unknown[0]}; there are {', '.join(NETWORKS)}")
    peer, modes = choose_peer(options.peer_python, options.peer_modes)
    rows: List[Dict[str, Any]] = []
    print(f"float32 but for int8 and bfloat16; medians of {options.rounds} x {options.repeats}")
    print("| network | batch | what | images/s | over plain CNN |\n|---|---|---|---|---|")
    for name in options.networks or NETWORKS:
        with tempfile.TemporaryDirectory() as place:
            kinds = [BASE, NETWORK, *export(name, Path(place))]
            for batch in BATCHES:
                others = peers(name, peer, modes)
                found = compare(name, batch, kinds, Path(place), others, options)
                print("\n".join(map(line, found)), flush=True)
                rows += found
                write_json(options.json, rows)  # a run that is cut off keeps what it has measured
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
