"""Speed of exports with and without folding of norms, factors and mixtures, in MXNet and onnxruntime.

    OMP_NUM_THREADS=1 PYTHONPATH=. python benchmarks/folding.py [NETWORK ...] [--repeats 15] [--json FILE]

Both graphs of a network are in one process and run in turns, on one thread. Times are processor time, so
other work on the machine changes them little. Weights are random.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

import mxnet as mx
import numpy as np

from benchmarks.harness import command_line, write_json
from gluon_nrm.console.tool import run_tool
from gluon_nrm.export.network_to_graph import network_to_graph
from gluon_nrm.export.symbol_files import to_symbol, write_files
from gluon_nrm.export.to_onnx.convert import write_onnx
from gluon_nrm.models import get_model, initialise
from gluon_nrm.predict.chosen_network import OutputChoice
from gluon_nrm.predict.manifest import MAX, MIN
from gluon_nrm.predict.mxnet_backend import run_files

#: (network, side of its images, exported output); the networks are Max-Min.
NETWORKS: Sequence[Tuple[str, int, str]] = (
    ("allconv13", 32, MAX),
    ("allconv13", 32, MIN),
    ("gluon.resnet18_v1", 64, MAX),
    ("shake_resnet26_2x32d", 32, MAX),
)
BATCHES = (1, 16)

Run = Callable[[np.ndarray], Any]


def runners(name: str, side: int, output: str, folding: bool) -> Dict[str, Run]:
    """Export a network and load it in both backends."""
    import onnxruntime

    net = initialise(get_model(name, 10, (3, side, side), maxmin=True, render=False), seed=0)
    graph = network_to_graph(net, OutputChoice(output), folding=folding)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as place:
        paths = Path(place) / "net-symbol.json", Path(place) / "net-0000.params"
        write_files(paths, *to_symbol(graph))
        onnx = Path(place) / "net.onnx"
        write_onnx(graph, (3, side, side), onnx, "net")
        session = onnxruntime.InferenceSession(str(onnx), options, providers=["CPUExecutionProvider"])
        symbol = run_files(paths, "data", mx.cpu())
    return {"mxnet": symbol, "onnxruntime": lambda images: session.run(None, {"data": images})}


def ratios(folded: Run, unfolded: Run, images: np.ndarray, repeats: int) -> Tuple[float, np.ndarray]:
    """Time both in turns; return the median seconds of ``folded``, and unfolded / folded of each turn."""
    seconds: List[List[float]] = []
    for _ in range(2 + repeats):
        turn = []
        for run in (folded, unfolded):
            started = time.process_time()
            run(images)
            turn.append(time.process_time() - started)
        seconds.append(turn)
    one, other = np.array(seconds[2:]).T
    return float(np.median(one)), other / one


def main() -> int:
    """Measure and print a table."""
    parser = command_line(__doc__ or "", repeats=15)
    known = sorted({name for name, *_ in NETWORKS})
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"any of {', '.join(known)}")
    options: argparse.Namespace = parser.parse_args()
    unknown = sorted(set(options.networks) - set(known))
    if unknown:
        parser.error(f"no network {unknown[0]}; there are {', '.join(known)}")
    rows: List[Dict[str, Any]] = []
    print("| network | output | backend | batch | folded (ms) | unfolded / folded | quartiles |")
    print("|---|---|---|---|---|---|---|")
    for name, side, output in NETWORKS:
        if options.networks and name not in options.networks:
            continue
        folded, unfolded = (runners(name, side, output, folding) for folding in (True, False))
        for backend in folded:
            for batch in BATCHES:
                images = np.random.default_rng(1).standard_normal((batch, 3, side, side)).astype(np.float32)
                seconds, found = ratios(folded[backend], unfolded[backend], images, options.repeats)
                low, middle, high = (float(each) for each in np.percentile(found, (25, 50, 75)))
                rows.append({
                    "network": name, "output": output, "backend": backend, "batch": batch,
                    "folded_seconds": seconds, "unfolded_over_folded": middle, "quartiles": [low, high],
                })  # fmt: skip
                figures = f"{1e3 * seconds:.1f} | {middle:.2f} | {low:.2f}..{high:.2f}"
                print(f"| {name} | {output} | {backend} | {batch} | {figures} |", flush=True)
    write_json(options.json, rows)
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
