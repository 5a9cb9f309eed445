"""A training step with Shake-Shake gates beside the same network's with plain averaging, (x1 + x2) / 2.

    PYTHONPATH=. python benchmarks/shake.py [NETWORK ...] [--batch 32] [--repeats 9] [--json FILE]

All cores are used unless OMP_NUM_THREADS says otherwise. The networks take turns, step by step, so that a
machine that slows down slows both.
"""

from __future__ import annotations

import os
import statistics
from typing import Any, Callable, Dict, List

from benchmarks.harness import child_environment, command_line, write_json
from gluon_nrm.console.tool import run_tool

NETWORKS = ("shake_resnet26_2x32d", "shake_resnet26_2x64d", "shake_resnet26_2x96d", "shake_resnext29_2x4x64d")
LEVELS = {
    "even": dict(forward="even", backward="even"),
    "image": dict(level="image"),
    "batch": dict(level="batch"),
}


def training_step(name: str, batch: int, gates: Dict[str, str]) -> Callable[[], Any]:
    """Build a network and return its step on random images."""
    import mxnet as mx

    from gluon_nrm import backbones

    net = getattr(backbones, name)(10, **gates)
    net.initialize(backbones.initialiser("he"))
    net.hybridize(static_alloc=True, static_shape=True)
    loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    loss.hybridize(static_alloc=True, static_shape=True)
    trainer = mx.gluon.Trainer(net.collect_params(), "nag", {"learning_rate": 0.01, "momentum": 0.9})
    images = mx.nd.random.normal(shape=(batch, 3, 32, 32))
    labels = mx.nd.arange(batch) % 10

    def step() -> None:
        with mx.autograd.record():
            value = loss(net(images), labels)
        value.backward()
        trainer.step(batch)

    return step


def measure(name: str, batch: int, repeats: int) -> List[Dict[str, Any]]:
    """Medians of all levels of one network."""
    from benchmarks.timing import take_turns

    steps = [training_step(name, batch, gates) for gates in LEVELS.values()]
    medians = dict(zip(LEVELS, map(statistics.median, take_turns(steps, repeats))))
    return [
        {
            "network": name,
            "gates": level,
            "batch": batch,
            "seconds": median,
            "over_even": median / medians["even"],
        }
        for level, median in medians.items()
    ]


def main() -> int:
    """Measure the networks asked for and print a table."""
    parser = command_line(__doc__ or "", repeats=9)
    parser.add_argument(
        "networks", nargs="*", metavar="NETWORK", help=f"any of {', '.join(NETWORKS)} (default: all)"
    )
    parser.add_argument("--batch", type=int, default=32, help="images a step (default: 32)")
    options = parser.parse_args()
    unknown = sorted(set(options.networks) - set(NETWORKS))
    if unknown:
        parser.error(f"no network {unknown[0]}; there are {', '.join(NETWORKS)}")
    os.environ.update(child_environment())
    rows = []
    print(f"32x32, batch {options.batch}, float32: medians of {options.repeats}")
    print("| network | gates | s | over even |\n|---|---|---|---|")
    for name in options.networks or NETWORKS:
        for row in measure(name, options.batch, options.repeats):
            rows.append(row)
            print(f"| {row['network']} | {row['gates']} | {row['seconds']:.3f} | {row['over_even']:.3f} |")
    write_json(options.json, rows)
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
