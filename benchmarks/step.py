"""A training step of AllConv13, batch 8 + 8: time, memory, its convolutions alone, and the same in PyTorch.

    PYTHONPATH=. python benchmarks/step.py [--starts 3] [--repeats 7] [--peer-python PATH] [--json FILE]

Two methods, NRM + RPN and NRM + RPN + Max-Min + Mean Teacher, each eager, hybridised, hybridised in bfloat16
(on processors that have it) and, where a Python with PyTorch is found (--peer-python, $PEER_PYTHON, else this
one), as ``peer_torch.py`` writes it, in float32. Every row is a
process of its own, because peak memory never falls; it is read after two steps. Then the rows take turns, one
step each a round, so that a machine that slows down slows all of them. Our own rows run half the step's
convolutions before the step and half after it (a step is two streams of the same shapes): that is the floor.
All of it is done --starts times over, because two processes of one program differ by a per cent, however many
steps each of them takes; the ratios are shown with their range over the starts.
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
from typing import Any, Dict, List, Optional, Sequence, Tuple

from benchmarks.harness import Child, command_line, count, write_json
from benchmarks.peer_torch import BATCH, METHODS
from gluon_nrm.console.tool import run_tool
from gluon_nrm.system.processor import INSTRUCTIONS, has_instructions

#: in bfloat16 where the processor has instructions for it and may use them; the floor is in float32
BFLOAT16 = "hybridised, bfloat16"
LOW = has_instructions("avx512_bf16") and INSTRUCTIONS not in os.environ
MODES = ("eager", "hybridised", *([BFLOAT16] if LOW else []))
PEER = "PyTorch"
NAMES = dict(zip(METHODS, ("NRM + RPN", "NRM + RPN + Max-Min + Mean Teacher")))
#: What a process said of itself, and what it measured, round after round.
Start = Tuple[Dict[str, float], List[Dict[str, float]]]
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
    from gluon_nrm.training.step_cost import peak_memory

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


def measure(starts: int, rounds: int, peer: Optional[str]) -> List[Dict[str, Any]]:
    """Measure every row, in turns."""
    found = [_start(rounds, peer) for _ in range(starts)]
    rows = {key: _row(*key, [each[key] for each in found]) for key in found[0]}
    for (method, _), row in rows.items():
        _compare(row, rows.get((method, PEER)))
    return list(rows.values())


def _start(rounds: int, peer: Optional[str]) -> Dict[Tuple[str, str], Start]:
    """Start a process for every row and let them take turns."""
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
        found: Dict[Tuple[str, str], Start] = {key: (child.ready, []) for key, child in children.items()}
        for _ in range(rounds):
            for key, child in children.items():
                found[key][1].append(child.ask())
    return found


def _row(method: str, mode: str, starts: Sequence[Start]) -> Dict[str, Any]:
    """Medians of a row over all rounds, and of each start, beside what its processes said of themselves."""
    from benchmarks.timing import spread

    seconds, floors = (
        [[each[key] for each in rounds if key in each] for _, rounds in starts]
        for key in ("step_seconds", "floor_seconds")
    )
    row: Dict[str, Any] = {"method": NAMES[method], "mode": mode}
    row.update(spread([each for start in seconds for each in start]))
    row["images_per_second"] = 2 * BATCH / row["seconds"]
    for ready, _ in starts:
        row.update(ready)
    row["peak_memory_gb"] = max(ready["peak_memory_gb"] for ready, _ in starts)
    row["seconds_of_starts"] = [statistics.median(start) for start in seconds]
    measured = [each for start in floors for each in start]
    row["floor_seconds"] = statistics.median(measured) if measured else None
    _relate(row, "step_over_floor", [statistics.median(start) for start in floors] if measured else None)
    return row


def _compare(row: Dict[str, Any], peer: Optional[Dict[str, Any]]) -> None:
    """Add how a row's time relates to the peer's; None for the peer itself, and where there is none."""
    _relate(row, "over_peer", peer["seconds_of_starts"] if peer and row is not peer else None)


def _relate(row: Dict[str, Any], name: str, others: Optional[Sequence[float]]) -> None:
    """Add the ratios of a row's time to others, start by start, and their median; None without others."""
    ratios = [ours / other for ours, other in zip(row["seconds_of_starts"], others)] if others else None
    row[f"{name}_of_starts"], row[name] = ratios, statistics.median(ratios) if ratios else None


def table(rows: Sequence[Dict[str, Any]]) -> str:
    """Lay out the rows in Markdown, a ratio as the median of the starts' with their range.

    What was not measured is left empty.
    """
    lines = [HEADER]
    for row in rows:
        spread = _range(row["seconds_min"], row["seconds_max"])
        cells = [
            row["method"], row["mode"], _figure(row["seconds"]), spread,
            *[_figure(row[key]) for key in ("images_per_second", "peak_memory_gb", "floor_seconds")],
            *[_ratio(row[f"{key}_of_starts"]) for key in ("step_over_floor", "over_peer")],
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _figure(value: Optional[float]) -> str:
    return "" if value is None else f"{value:.2f}"


def _range(least: float, most: float) -> str:
    return f"{least:.2f}..{most:.2f}"


def _ratio(of_starts: Optional[Sequence[float]]) -> str:
    if of_starts is None:
        return ""
    return f"{statistics.median(of_starts):.2f} ({_range(min(of_starts), max(of_starts))})"


def main() -> int:
    """Measure all rows and print the table."""
    parser = command_line(__doc__ or "")
    parser.add_argument("--peer-python", metavar="PATH", help="a Python that has PyTorch")
    parser.add_argument("--starts", type=count, default=3, help="processes of each row (default: 3)")
    parser.add_argument("--measure", nargs=2, metavar=("METHOD", "MODE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        serve_step(*options.measure)
        return 0
    rows = measure(options.starts, options.repeats, find_peer(options.peer_python))
    print(f"AllConv13, 32x32, batch 8 + 8, medians of {options.starts} x {options.repeats}\n{table(rows)}")
    write_json(options.json, rows)
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
