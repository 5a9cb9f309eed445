"""How far distributed training scales, reckoned: bytes a step through MXNet's parameter server against links.

    PYTHONPATH=. python benchmarks/network.py [--step-seconds 0.1 0.5] [--json FILE]

Nothing is measured here but the networks' parameters. Every worker pushes its gradients in float32 to the
servers, which hold an equal part each, and pulls the sums: so many bytes go over a worker's link each way,
and the workers' number times that, shared by the servers, over a server's. Pulling begins when pushing has
ended, and nothing overlaps with computing, so times are upper bounds. The seconds that a worker computes for
a step are assumed, not measured.
"""

from __future__ import annotations

import argparse
import math
from typing import Any, Dict, List, NamedTuple, Sequence

from benchmarks.harness import command_line, write_json
from gluon_nrm.cli import run_tool

#: bits a second
LINKS = {"10 Gbit/s": 10e9, "100 Gbit/s": 100e9}
STEP_SECONDS = (0.1, 0.5)
WORKERS = (2, 4, 8, 16, 32)
BYTES = 4


class Model(NamedTuple):
    """A network that is trained."""

    title: str
    parameters: int

    @property
    def gradient_bytes(self) -> int:
        """What a worker pushes in a step."""
        return BYTES * self.parameters


def models() -> List[Model]:
    """Count the parameters that learn, of networks built and traced here."""
    from gluon_nrm.models import get_model, initialise

    chosen = [
        ("AllConv13", "allconv13", (3, 32, 32), {"path_norm": "none", "render_norm": "none"}),
        ("AllConv13, NRM + RPN + Max-Min", "allconv13", (3, 32, 32), {"maxmin": True}),
        ("SE-ResNeXt-50", "se_resnext50_32x4d", (3, 224, 224), {"render": False}),
        ("SE-ResNeXt-50, Max-Min", "se_resnext50_32x4d", (3, 224, 224), {"render": False, "maxmin": True}),
    ]
    found = []
    for title, name, shape, options in chosen:
        classes = 1000 if shape[1] > 32 else 10
        net = initialise(get_model(name, classes, shape, **options), seed=0)
        learn = [p for p in net.collect_params().values() if p.grad_req != "null"]
        found.append(Model(title, sum(math.prod(p.shape) for p in learn)))
    return found


def exchange_seconds(gradient_bytes: float, workers: int, servers: int, bits_a_second: float) -> float:
    """Seconds to push all gradients and pull their sums, servers on machines of their own."""
    through = max(1.0, workers / servers) * gradient_bytes
    return 2 * 8 * through / bits_a_second


def most_workers(gradient_bytes: float, servers: int, bits_a_second: float, step_seconds: float) -> int:
    """How many workers there may be before the exchange takes longer than the computing; 0: not one."""
    if exchange_seconds(gradient_bytes, 1, servers, bits_a_second) > step_seconds:
        return 0
    return int(servers * step_seconds * bits_a_second / (2 * 8 * gradient_bytes))


def speedup(gradient_bytes: float, workers: int, servers: int, bits_a_second: float, step: float) -> float:
    """How many times the images a second of one worker without servers."""
    return workers * step / (step + exchange_seconds(gradient_bytes, workers, servers, bits_a_second))


def limits(found: Sequence[Model], steps: Sequence[float]) -> str:
    """The first table: bytes, and the workers that one server bears."""
    heads = [f"{link}, {step} s" for link in LINKS for step in steps]
    lines = [f"| network | parameters (M) | MB a step, each way | {' | '.join(heads)} |"]
    lines.append("|---|" + "---:|" * (2 + len(heads)))
    for model in found:
        cells = [
            str(most_workers(model.gradient_bytes, 1, LINKS[link], step)) for link in LINKS for step in steps
        ]
        size = f"{model.parameters / 1e6:.2f} | {model.gradient_bytes / 1e6:.1f}"
        lines.append(f"| {model.title} | {size} | {' | '.join(cells)} |")
    return "\n".join(lines)


def speedups(found: Sequence[Model], step: float) -> str:
    """The second table: times one worker's images a second, with one server and with one a worker."""
    lines = ["| network | link | servers | " + " | ".join(f"{n} workers" for n in WORKERS) + " |"]
    lines.append("|---|---|---|" + "---:|" * len(WORKERS))
    for model in found:
        for link, rate in LINKS.items():
            for many, name in ((False, "1"), (True, "as many")):
                cells = [
                    f"{speedup(model.gradient_bytes, n, n if many else 1, rate, step):.1f}" for n in WORKERS
                ]
                lines.append(f"| {model.title} | {link} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def figures(found: Sequence[Model]) -> List[Dict[str, Any]]:
    """What the tables are made of, for the JSON file."""
    return [{**model._asdict(), "gradient_bytes": model.gradient_bytes} for model in found]


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no time above 0")
    return value


def main() -> int:
    """Print both tables."""
    parser = command_line(__doc__ or "", repeats=None)
    parser.add_argument(
        "--step-seconds", type=_seconds, nargs="+", default=list(STEP_SECONDS), metavar="S",
        help="assumed seconds of computing in a step",
    )  # fmt: skip
    options = parser.parse_args()
    found = models()
    print("Most workers on one server before the exchange takes longer than the computing")
    print(limits(found, options.step_seconds))
    print(f"\nTimes the images a second of one worker, {options.step_seconds[-1]} s of computing a step")
    print(speedups(found, options.step_seconds[-1]))
    write_json(options.json, figures(found))
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
