"""Inference: an exported network in MXNet, onnxruntime and int8, the network itself, the plain CNN, PyTorch.

    PYTHONPATH=. python benchmarks/inference.py [NETWORK ...] [--starts 3] [--repeats 7] [--peer-python PATH]
        [--peer-modes eager compiled ...] [--json FILE]

The plain CNN has the same layers and nothing of the NRM: for AllConv13 Gluon's own blocks, for a traced
network the one that it was made from. A Max-Min network computes two branches, and so does its export of
the mixture; its export of one branch should be as fast as the plain CNN. Ours are hybridised and run in
inference mode from NumPy arrays to NumPy arrays. Where a Python with PyTorch is found, it runs AllConv13's
plain CNN too: eager, compiled, in channels last, and under autocast to bfloat16 where the processor has
instructions for it.

Each row is a process of its own. The rows take turns of half a second, so that a machine that slows down
slows all of them. All of it is done --starts times over; the ratios are shown with their range over the
starts. All cores are used unless OMP_NUM_THREADS says otherwise. Weights are random.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from benchmarks.find_peer import add_peer_options, choose_peer
from benchmarks.harness import Child, command_line, count, take_turns, write_json
from benchmarks.inference_kinds import BASE, NETWORK, NETWORKS, export, runner
from benchmarks.networks import NETWORKS as OF_LAYERS
from benchmarks.peer_modes import PEER_MODES
from gluon_nrm.console.tool import run_tool

BATCHES = (1, 64)
#: Seconds between two turns: threads of OpenMP wait actively for up to 0.2 s after their work.
PAUSE = 0.3
HEADER = "| network | batch | what | images/s | over the plain CNN |\n|---|---:|---|---:|---:|"
#: Name of a row, and the command that starts its process.
Commands = Dict[str, List[str]]
#: Name of a row, and the median seconds of a run in each of its turns.
Turns = Dict[str, List[float]]


def serve_runs(name: str, kind: str, folder: str, batch: str) -> None:
    """Load what is measured in this process, and give a turn whenever asked."""
    import numpy as np

    from benchmarks.serve import serve_turns

    side, run = NETWORKS[name][0], runner(name, kind, Path(folder))
    images = np.random.default_rng(1).standard_normal((int(batch), 3, side, side)).astype(np.float32)
    serve_turns(lambda: run(images))


def commands(
    name: str, batch: int, folder: str, kinds: Sequence[str], peer: Optional[str], modes: Sequence[str]
) -> Commands:
    """List the processes of a network: ours of each kind, and the peer's of each mode if it has any."""
    found = {kind: [sys.executable, __file__, "--measure", name, kind, folder, str(batch)] for kind in kinds}
    if peer is not None and name in OF_LAYERS:
        file = str(Path(__file__).with_name("torch_inference.py"))
        for mode in modes:
            found[f"PyTorch, {PEER_MODES[mode].title}"] = [peer, file, name, mode, str(batch)]
    return found


def start(asked: Commands, repeats: int) -> Turns:
    """Start a process for every row; when all are ready, let them take turns."""
    answers = take_turns({kind: Child(command) for kind, command in asked.items()}, repeats, PAUSE)
    return {kind: [each["seconds"] for each in found] for kind, found in answers.items()}


def make_rows(name: str, batch: int, starts: Sequence[Turns]) -> List[Dict[str, Any]]:
    """Take medians over all turns; a ratio to the plain CNN is the median of the starts' own ratios."""
    rows = []
    for kind in starts[0]:
        ratios = [statistics.median(each[BASE]) / statistics.median(each[kind]) for each in starts]
        seconds = statistics.median(value for each in starts for value in each[kind])
        row = {"network": name, "batch": batch, "kind": kind, "images_per_second": batch / seconds}
        rows.append({**row, "over_plain": statistics.median(ratios), "over_plain_of_starts": ratios})
    return rows


def line(row: Dict[str, Any]) -> str:
    """Lay out a row as a line of the table, the ratio with its range where there are several starts."""
    ratios, ratio = row.get("over_plain_of_starts", []), f"{row['over_plain']:.2f}"
    if len(ratios) > 1:
        ratio += f" ({min(ratios):.2f}..{max(ratios):.2f})"
    names = f"{row['network']} | {row['batch']} | {row['kind']}"
    return f"| {names} | {row['images_per_second']:.1f} | {ratio} |"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = command_line(__doc__ or "")
    found.add_argument("networks", nargs="*", metavar="NETWORK", help=f"any of {', '.join(NETWORKS)}")
    found.add_argument("--starts", type=count, default=3, help="processes of each row (default: 3)")
    add_peer_options(found)
    found.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    return found


def main() -> int:
    """Export, measure in processes of their own, and print a table."""
    options = parser().parse_args()
    if options.measure:
        serve_runs(*options.measure)
        return 0
    unknown = sorted(set(options.networks) - set(NETWORKS))
    if unknown:
        parser().error(f"no network {unknown[0]}; there are {', '.join(NETWORKS)}")
    peer, modes = choose_peer(options.peer_python, options.peer_modes)
    rows: List[Dict[str, Any]] = []
    print(f"float32 but for int8 and bfloat16; medians of {options.starts} x {options.repeats}\n{HEADER}")
    for name in options.networks or NETWORKS:
        with tempfile.TemporaryDirectory() as place:
            kinds = [BASE, NETWORK, *export(name, Path(place))]
            for batch in BATCHES:
                asked = commands(name, batch, place, kinds, peer, modes)
                found = make_rows(name, batch, [start(asked, options.repeats) for _ in range(options.starts)])
                print("\n".join(map(line, found)), flush=True)
                rows += found
                write_json(options.json, rows)  # a run that is cut off keeps what it has measured
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
