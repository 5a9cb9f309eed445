"""How far distributed training scales, reckoned: bytes a step through MXNet's parameter server against links.

    PYTHONPATH=. python benchmarks/network.py [--step-seconds 0.05 0.1 0.5] [--bigarray-bound N] [--json FILE]

Nothing is measured here but the networks' parameters. Every worker pushes its gradients in float32 to the
servers and pulls the sums: so many bytes go over a worker's link each way, and over a server's those of the
keys it holds, from every worker. The link with the most to carry sets the time. Left out are latency, the
servers' own adding (both make it longer) and any overlap, of pulling with pushing or of either with computing
(which makes it shorter). The seconds that a worker computes for a step are assumed, not measured.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict
from functools import lru_cache
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from benchmarks.harness import ROOT, command_line, count, write_json
from gluon_nrm.console.tool import run_tool

#: bits a second, each way
LINKS = {"10 Gbit/s": 10e9, "100 Gbit/s": 100e9}
STEP_SECONDS = (0.05, 0.1, 0.5)
NUMBERS = (2, 4, 8, 16, 32, 64)
#: None: as many servers as workers
SERVERS: Dict[str, Optional[int]] = {"1": 1, "as many": None}
BYTES = 4
#: elements from which on MXNet splits a key over all servers, unless MXNET_KVSTORE_BIGARRAY_BOUND is set
BOUND = 1_000_000
#: recipes that are reckoned with: title -> name, classes, shape of an image
RECIPES = {
    "AllConv13": ("cifar10_supervised", 10, (3, 32, 32)),
    "AllConv13, NRM + RPN + Max-Min": ("cifar10_nrm_rpn_maxmin", 10, (3, 32, 32)),
    "SE-ResNeXt-50": ("imagenet_se_resnext50", 1000, (3, 224, 224)),
    "SE-ResNeXt-50, Max-Min": ("imagenet_se_resnext50_maxmin", 1000, (3, 224, 224)),
}


class Model(NamedTuple):
    """A network that is trained: elements of each key, in the order of the keys' numbers."""

    title: str
    sizes: Tuple[int, ...]
    bound: int = BOUND

    @property
    def gradient_bytes(self) -> int:
        """What a worker pushes in a step, and pulls."""
        return BYTES * sum(self.sizes)

    def server_bytes(self, servers: int) -> List[int]:
        """Those of them that each server holds, placed as MXNet 1.9.1 places keys.

        A key below the bound goes whole to a server that its number picks; a larger one is split evenly.
        """
        held = [0] * servers
        for key, size in enumerate(self.sizes):
            if size < self.bound:
                held[key * 9973 % servers] += BYTES * size
                continue
            edges = [math.floor(size / servers * i + 0.5) for i in range(servers + 1)]
            for server in range(servers):
                held[server] += BYTES * (edges[server + 1] - edges[server])
        return held


def models(bound: int = BOUND) -> List[Model]:
    """Build the recipes' networks and count the parameters that learn; each is a key."""
    return [Model(title, _sizes(*which), bound) for title, which in RECIPES.items()]


@lru_cache(maxsize=None)
def _sizes(recipe: str, classes: int, shape: Tuple[int, int, int]) -> Tuple[int, ...]:
    """Elements of each parameter of a recipe's network that learns."""
    from gluon_nrm.models import get_model, initialise
    from gluon_nrm.recipe.load import load_recipe

    settings = asdict(load_recipe(ROOT / "recipes" / f"{recipe}.yaml").model)
    name, scheme = settings.pop("name"), settings.pop("initialiser")
    for start in ("weights", "pretrained"):  # of a run, not of the network
        settings.pop(start)
    net = initialise(get_model(name, classes, shape, **settings), seed=0, scheme=scheme)
    return tuple(math.prod(p.shape) for p in net.collect_params().values() if p.grad_req != "null")


def exchange_seconds(model: Model, workers: int, servers: int, bits_a_second: float) -> float:
    """Seconds to push all gradients and then pull their sums, servers on machines of their own."""
    through = max(model.gradient_bytes, workers * max(model.server_bytes(servers)))
    return 2 * 8 * through / bits_a_second


def most_workers(model: Model, servers: Optional[int], bits_a_second: float, step_seconds: float) -> int:
    """How many workers there may be, of NUMBERS' last at most, with the exchange no longer than computing.

    Returns:
        the last number before the first at which it is longer; 0: it is longer with one worker.
    """
    for workers in range(1, NUMBERS[-1] + 1):
        if exchange_seconds(model, workers, servers or workers, bits_a_second) > step_seconds:
            return workers - 1
    return NUMBERS[-1]


def speedup(model: Model, workers: int, servers: int, bits_a_second: float, step_seconds: float) -> float:
    """How many times the images a second of one worker without servers."""
    exchange = exchange_seconds(model, workers, servers, bits_a_second)
    return workers * step_seconds / (step_seconds + exchange)


def traffic(found: Sequence[Model]) -> str:
    """The first table: what a worker sends, and what of it the busiest server gets."""
    heads = " | ".join(f"of {n}" for n in NUMBERS)
    lines = [f"| network | parameters (M) | keys | MB a worker pushes, and pulls | busiest server {heads} |"]
    lines.append("|---|" + "---:|" * (3 + len(NUMBERS)))
    for model in found:
        cells = [f"{max(model.server_bytes(n)) / 1e6:.1f}" for n in NUMBERS]
        size = f"{sum(model.sizes) / 1e6:.2f} | {len(model.sizes)} | {model.gradient_bytes / 1e6:.1f}"
        lines.append(f"| {model.title} | {size} | {' | '.join(cells)} |")
    return "\n".join(lines)


def limits(found: Sequence[Model], steps: Sequence[float]) -> str:
    """The second table: workers before the exchange takes longer than the computing."""
    lines = ["| network | link | servers | " + " | ".join(f"{step} s" for step in steps) + " |"]
    lines.append("|---|---|---|" + "---:|" * len(steps))
    for model in found:
        for link, rate in LINKS.items():
            for name, servers in SERVERS.items():
                most = [most_workers(model, servers, rate, step) for step in steps]
                cells = [f"{number}{'+' * (number == NUMBERS[-1])}" for number in most]
                lines.append(f"| {model.title} | {link} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def speedups(found: Sequence[Model], step: float) -> str:
    """The third table: times one worker's images a second."""
    lines = ["| network | link | servers | " + " | ".join(f"{n} workers" for n in NUMBERS) + " |"]
    lines.append("|---|---|---|" + "---:|" * len(NUMBERS))
    for model in found:
        for link, rate in LINKS.items():
            for name, servers in SERVERS.items():
                cells = [f"{speedup(model, n, servers or n, rate, step):.1f}" for n in NUMBERS]
                lines.append(f"| {model.title} | {link} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def figures(found: Sequence[Model]) -> List[Dict[str, Any]]:
    """What the tables are made of, for the JSON file."""
    return [
        {
            "title": model.title, "parameters": sum(model.sizes), "keys": len(model.sizes),
            "bigarray_bound": model.bound, "gradient_bytes": model.gradient_bytes,
            "busiest_server_bytes": {str(n): max(model.server_bytes(n)) for n in (1, *NUMBERS)},
        }
        for model in found
    ]  # fmt: skip


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no time above 0")
    return value


def main() -> int:
    """Print the tables."""
    parser = command_line(__doc__ or "", repeats=None)
    parser.add_argument(
        "--step-seconds", type=_seconds, nargs="+", default=list(STEP_SECONDS), metavar="S",
        help="assumed seconds of computing in a step",
    )  # fmt: skip
    parser.add_argument(
        "--bigarray-bound", type=count, default=BOUND, metavar="N",
        help=f"MXNET_KVSTORE_BIGARRAY_BOUND of the job (default: MXNet's, {BOUND})",
    )  # fmt: skip
    options = parser.parse_args()
    found = models(options.bigarray_bound)
    print("What a worker sends in a step, and what of it the busiest server gets, MB")
    print(traffic(found))
    print("\nMost workers before the exchange takes longer than the computing")
    print(limits(found, options.step_seconds))
    print(f"\nTimes the images a second of one worker, {options.step_seconds[-1]} s of computing a step")
    print(speedups(found, options.step_seconds[-1]))
    write_json(options.json, figures(found))
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
