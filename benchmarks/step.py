"""A training step: time, memory, its convolutions alone, and the same in PyTorch, eager and compiled.

    PYTHONPATH=. python benchmarks/step.py [--network allconv13 lenet] [--method nrm_rpn] [--modes hybridised]
        [--starts 3] [--repeats 7] [--peer-python PATH] [--peer-modes eager compiled ...] [--json FILE]

Networks: AllConv13 on 32x32 images (batch 8 + 8), the LeNet on 28x28 (50 + 50) and the network of
Fashion-MNIST's recipes (32 + 32). Two methods, NRM + RPN and NRM + RPN + Max-Min + Mean Teacher. Rows: ours
eager, hybridised, and hybridised in bfloat16; where a Python with PyTorch is found (--peer-python,
$PEER_PYTHON, else this one), its step as ``torch_step.py`` writes it: eager, compiled, compiled in channels
last, and these under autocast to bfloat16. Rows in bfloat16 need a processor that has instructions for it.
Ours are compared with the fastest row of PyTorch in the same precision.

Every row is a process of its own, because peak memory never falls; it is read after two steps. Then the rows
of a method take turns, one step each a round, so that a machine that slows down slows all of them. Our own
rows run half the step's convolutions before the step and half after it (a step is two streams of the same
shapes): that is the floor. All of it is done --starts times over, because two processes of one program differ
by a per cent, however many steps each of them takes; the ratios are shown with their range over the starts.
All cores are used unless OMP_NUM_THREADS says otherwise; the small networks are also measured with one
thread, and each row shows its better one. Every instruction set is used, unless DNNL_MAX_CPU_ISA (ours) and
ONEDNN_MAX_CPU_ISA (PyTorch's) limit them.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any, Dict, List, Optional, Sequence, Tuple

from benchmarks.find_peer import (
    PEER_FILE,
    add_peer_options,
    choose_peer,
    has_bfloat16,
)
from benchmarks.harness import Child, child_environment, command_line, count, take_turns, write_json
from benchmarks.networks import METHODS, NETWORKS
from benchmarks.peer_modes import PEER_MODES
from benchmarks.step_table import BFLOAT16, PEER, Start, compare, fastest, make_row, table
from gluon_nrm.console.tool import run_tool

MODES = ("eager", "hybridised", BFLOAT16)
#: Name of a row's mode, and the command that starts its process, of a method of a network.
Commands = Dict[str, List[str]]


def serve_step(network: str, method: str, mode: str) -> None:
    """Build one of our own steps in this process, and measure it whenever asked."""
    from benchmarks.floor import floor_run
    from benchmarks.serve import WARM_UP, serve
    from benchmarks.step_methods import build
    from benchmarks.timing import seconds_of
    from gluon_nrm.training.step_cost import peak_memory

    low = mode == BFLOAT16
    built = build(method, mode != "eager", dtype="bfloat16" if low else "float32", network=network)
    for _ in range(WARM_UP):
        seconds_of(built.step)
    ready = {"peak_memory_gb": peak_memory() / 1e9}
    if low:
        serve(ready, lambda: {"step_seconds": seconds_of(built.step)})
        return
    # the convolutions that both streams share are counted in one half
    halves = floor_run(built.shared_calls + built.stream_calls), floor_run(built.stream_calls)
    for _ in range(WARM_UP):
        for half in halves:
            seconds_of(half)

    def measure() -> Dict[str, float]:
        before, step, after = seconds_of(halves[0]), seconds_of(built.step), seconds_of(halves[1])
        return {"step_seconds": step, "floor_seconds": before + after}

    serve(ready, measure)


def commands(
    network: str, method: str, own: Sequence[str], peer: Optional[str], modes: Sequence[str]
) -> Commands:
    """List the processes of a method: ours in the modes ``own``, and the peer's in each of ``modes``."""
    found = {mode: [sys.executable, __file__, "--measure", network, method, mode] for mode in own}
    for mode in modes:
        asked = ["--serve", "--network", network, "--method", method, "--mode", mode]
        found[f"{PEER}, {PEER_MODES[mode].title}"] = [str(peer), str(PEER_FILE), *asked]
    return found


def thread_counts(network: str) -> List[int]:
    """Return the numbers of threads that are tried for a network, without repetitions."""
    every = int(child_environment()["OMP_NUM_THREADS"])
    return sorted({min(each or every, every) for each in NETWORKS[network].threads})


def measure(network: str, method: str, asked: Commands, starts: int, rounds: int) -> List[Dict[str, Any]]:
    """Measure every row of a method in turns, with each number of threads."""
    threads = thread_counts(network)
    found = [_start(asked, threads, rounds) for _ in range(starts)]
    measured = NETWORKS[network]
    names = {"network": measured.title, "method": METHODS[method].title}

    def row(mode: str, number: int) -> Dict[str, Any]:
        own = [each[mode, number] for each in found]
        return make_row({**names, "mode": mode}, 2 * measured.batch, number, own)

    rows = [fastest([row(mode, number) for number in threads]) for mode in asked]
    compare(rows)
    return rows


def _start(asked: Commands, threads: Sequence[int], rounds: int) -> Dict[Tuple[str, int], Start]:
    """Start a process for every row and number of threads; when all are ready, let them take turns."""
    children = {
        (mode, number): Child(command, OMP_NUM_THREADS=str(number))
        for mode, command in asked.items()
        for number in threads
    }
    answers = take_turns(children, rounds)
    return {key: (child.ready, answers[key]) for key, child in children.items()}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = command_line(__doc__ or "")
    add_peer_options(found)
    default = ["allconv13", "lenet"]
    found.add_argument(
        "--network",
        nargs="+",
        choices=tuple(NETWORKS),
        default=default,
        help=f"(default: {' '.join(default)})",
    )
    found.add_argument("--method", nargs="+", choices=tuple(METHODS), default=list(METHODS))
    found.add_argument(
        "--modes", nargs="+", choices=MODES, default=list(MODES), help="of ours (default: all)"
    )
    found.add_argument("--starts", type=count, default=3, help="processes of each row (default: 3)")
    found.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    return found


def main() -> int:
    """Measure all rows and print a table for each network."""
    options = parser().parse_args()
    if options.measure:
        serve_step(*options.measure)
        return 0
    ours = [mode for mode in options.modes if mode != BFLOAT16 or has_bfloat16()]
    peer, modes = choose_peer(options.peer_python, options.peer_modes)
    rows: List[Dict[str, Any]] = []
    for network in options.network:
        own: List[Dict[str, Any]] = []
        for method in options.method:
            asked = commands(network, method, ours, peer, modes)
            own += measure(network, method, asked, options.starts, options.repeats)
            write_json(options.json, rows + own)  # a run that is cut off keeps what it has measured
        (title, batch), shape = (NETWORKS[network].title, NETWORKS[network].batch), NETWORKS[network].shape
        print(f"{title}, {shape[1]}x{shape[2]}, batch {batch} + {batch}, "
              f"medians of {options.starts} x {options.repeats}\n{table(own)}\n")  # fmt: skip
        rows += own
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
