"""One network in two engines: AllConv13 as a list of layers and traced from plain Gluon layers, step by step.

    OMP_NUM_THREADS=1 PYTHONPATH=. python benchmarks/engines.py [--repeats 7] [--starts 2] [--json FILE]

Both compute the same model with all losses and the update, batch 8 + 8, and take turns in one process.
Seconds are of the processor, over all threads: they hardly count what else the machine does.
"""

from __future__ import annotations

import statistics
import time
from typing import Any, Callable, Dict, List, Tuple

import mxnet as mx
from mxnet.gluon import HybridBlock, nn

from benchmarks.harness import command_line, count, write_json
from benchmarks.networks import METHODS
from benchmarks.serve import WARM_UP
from benchmarks.step_methods import build
from gluon_nrm.console.tool import run_tool
from gluon_nrm.models import Network, get_architecture, nrm

HEADER = (
    "| start | method | list of layers (s) | traced (s) | traced / list, median | least..most |\n"
    "|---|---|---|---|---|---|"
)


class Plain(HybridBlock):
    """A registered architecture written with Gluon's own layers: images to class scores."""

    def __init__(self, name: str, classes: int, slope: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            for spec in get_architecture(name):
                self.features.add(
                    nn.Conv2D(spec.channels, spec.kernel, padding=spec.pad, use_bias=False),
                    nn.BatchNorm(),
                    nn.LeakyReLU(slope),
                )
                if spec.pool > 1:
                    self.features.add(nn.MaxPool2D(spec.pool))
                if spec.dropout:
                    self.features.add(nn.Dropout(spec.dropout))
            self.features.add(nn.GlobalAvgPool2D(), nn.Flatten(), nn.Dense(classes))

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.features(x)


def traced(name: str, classes: int, input_shape: Tuple[int, int, int], maxmin: bool, **_: Any) -> Network:
    """Build the traced twin of what ``get_model`` builds."""
    return nrm(Plain(name, classes), classes, input_shape, maxmin=maxmin)


def processor_seconds(work: Callable[[], Any]) -> float:
    """Seconds of the processor that one run of ``work`` takes, on all threads."""
    mx.nd.waitall()
    started = time.process_time()
    work()
    mx.nd.waitall()
    return time.process_time() - started


def measure(method: str, rounds: int) -> Dict[str, Any]:
    """Measure both engines of a method in turns."""
    works = [build(method, True).step, build(method, True, get_network=traced, floor=False).step]
    found: List[List[float]] = [[] for _ in works]
    for number in range(WARM_UP + rounds):
        for work, seconds in zip(works, found):
            taken = processor_seconds(work)
            if number >= WARM_UP:
                seconds.append(taken)
    ratios = [other / one for one, other in zip(*found)]
    return {
        "method": method,
        "list_seconds": statistics.median(found[0]),
        "traced_seconds": statistics.median(found[1]),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }


def main() -> int:
    """Print a table, one line for each start and method. A start builds both networks anew."""
    parser = command_line(__doc__ or "", repeats=7)
    parser.add_argument("--starts", type=count, default=2, help="times that both networks are built")
    options = parser.parse_args()
    rows = []
    print(HEADER)
    for start in range(1, options.starts + 1):
        for method in METHODS:
            row = {"start": start, **measure(method, options.repeats)}
            rows.append(row)
            print(
                f"| {start} | {method} | {row['list_seconds']:.2f} | {row['traced_seconds']:.2f} "
                f"| {row['ratio']:.3f} | {row['ratio_min']:.3f}..{row['ratio_max']:.3f} |",
                flush=True,
            )
    write_json(options.json, rows)
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
