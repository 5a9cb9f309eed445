"""A training step of AllConv13, batch 8 + 8: time, memory, its convolutions alone, and the same in PyTorch.

    PYTHONPATH=. python benchmarks/step.py [--repeats 7] [--peer-python PATH] [--json FILE]

Two methods, NRM + RPN and NRM + RPN + Max-Min + Mean Teacher, each eager, hybridised, hybridised in bfloat16
(on processors that have it) and, where a Python with PyTorch is found (--peer-python, $PEER_PYTHON, else this
one), as ``peer_torch.py`` writes it, in float32. Every row is a
process of its own, because peak memory never falls; it is read after two steps. Then the rows take turns, one
step each a round, so that a machine that slows down slows all of them. Our own rows run half the step's
convolutions before the step and half after it (a step is two streams of the same shapes): that is the floor.
All cores are used unless OMP_NUM_THREADS says otherwise, and every instruction set, unless DNNL_MAX_CPU_ISA
(ours) and ONEDNN_MAX_CPU_ISA (PyTorch's) do: with AVX2 convolutions take longer, passes over the memory as
long as before.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from benchmarks.harness import Child, command_line, write_json
from benchmarks.peer_torch import BATCH, METHODS
from gluon_nrm.cli import run_tool
from gluon_nrm.processor import INSTRUCTIONS, has_instructions

#: in bfloat16 where the processor has instructions for it and may use them; the floor is in float32
BFLOAT16 = "hybridised, bfloat16"
LOW = has_instructions("avx512_bf16") and INSTRUCTIONS not in os.environ
MODES = ("eager", "hybridised", *([BFLOAT16] if LOW else []))
PEER = "PyTorch"
NAMES = dict(zip(METHODS, ("NRM + RPN", "NRM + RPN + Max-Min + Mean Teacher")))
REMEDY = 'pip install "gluon_nrm[peers]", or name another Python: --peer-python PATH'
HEADER = (
    "| method | step | s | min..max | images/s | peak memory (GB) | floor (s) | step / floor "
    "| ours / PyTorch |\n|---|---|---|---|---|---|---|---|---|"
)


def serve_step(method: str, mode: str) -> None:
    """Build one of our own steps in this process, and measure it whenever asked."""
    from benchmarks.floor import floor_run
    from benchmarks.serve import WARM_UP, serve
    from benchmarks.step_methods import build
    from benchmarks.timing import seconds_of
    from gluon_nrm.training.forecast import peak_memory

    low = mode == BFLOAT16
    built = build(method, hybridised=mode != "eager", dtype="bfloat16" if low else "float32")
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


def find_peer(python: Optional[str]) -> Optional[str]:
    """Find the Python whose PyTorch is the peer; where there is none, say so and how to get it."""
    chosen = python or os.environ.get("PEER_PYTHON") or sys.executable
    try:
        found = subprocess.run([chosen, "-c", "import torch"], capture_output=True).returncode == 0
    except OSError:
        found = False
    if not found:
        print(f"no row for PyTorch: {chosen} cannot import it; {REMEDY}", file=sys.stderr)
    return chosen if found else None


def measure(rounds: int, peer: Optional[str]) -> List[Dict[str, Any]]:
    """Measure every row, in turns."""
    folder = Path(__file__).parent
    with ExitStack() as stack:
        children = {}
        for method in NAMES:
            for mode in (*MODES, *([PEER] if peer else [])):
                command = [sys.executable, __file__, "--measure", method, mode]
                if mode == PEER:
                    command = [str(peer), str(folder / "peer_torch.py"), "--serve", "--method", method]
                child = children[method, mode] = Child(command)
                stack.callback(child.close)
        found: Dict[Any, List[Dict[str, float]]] = {key: [] for key in children}
        for _ in range(rounds):
            for key, child in children.items():
                found[key].append(child.ask())
        rows = [_row(*key, child.ready, found[key]) for key, child in children.items()]
    for row in rows:
        theirs = [each["seconds"] for each in rows if each["method"] == row["method"] and "torch" in each]
        row["over_peer"] = row["seconds"] / theirs[0] if theirs and row["mode"] in MODES else None
    return rows


def _row(method: str, mode: str, ready: Dict[str, Any], rounds: Sequence[Dict[str, float]]) -> Dict[str, Any]:
    """Medians of a row's rounds, beside what its process said of itself."""
    from benchmarks.timing import spread

    row: Dict[str, Any] = {"method": NAMES[method], "mode": mode}
    row.update(spread([each["step_seconds"] for each in rounds]))
    row["images_per_second"] = 2 * BATCH / row["seconds"]
    row.update(ready)
    floors = [each["floor_seconds"] for each in rounds if "floor_seconds" in each]
    row["floor_seconds"] = statistics.median(floors) if floors else None
    row["step_over_floor"] = row["seconds"] / row["floor_seconds"] if floors else None
    return row


def table(rows: Sequence[Dict[str, Any]]) -> str:
    """Lay out the rows in Markdown; what was not measured is left empty."""
    lines = [HEADER]
    for row in rows:
        least, most = _figure(row["seconds_min"]), _figure(row["seconds_max"])
        keys = ("images_per_second", "peak_memory_gb", "floor_seconds", "step_over_floor", "over_peer")
        cells = [
            row["method"], row["mode"], _figure(row["seconds"]), f"{least}..{most}" if least else "",
            *[_figure(row[key]) for key in keys],
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _figure(value: Optional[float]) -> str:
    return "" if value is None else f"{value:.2f}"


def main() -> int:
    """Measure all rows and print the table."""
    parser = command_line(__doc__ or "")
    parser.add_argument("--peer-python", metavar="PATH", help="a Python that has PyTorch")
    parser.add_argument("--measure", nargs=2, metavar=("METHOD", "MODE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        serve_step(*options.measure)
        return 0
    rows = measure(options.repeats, find_peer(options.peer_python))
    print(f"AllConv13, 32x32, batch 8 + 8, medians of {options.repeats}\n{table(rows)}")
    write_json(options.json, rows)
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
