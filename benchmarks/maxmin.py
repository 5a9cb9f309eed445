"""What Max-Min adds to a network's training step: time and memory, as ratios to the base network's.

    PYTHONPATH=. python benchmarks/maxmin.py [--repeats 7] [--json FILE]

The aim is at most 2.05 times the base network's step and at most 2.1 times its memory. Times of the two are
taken in turns in one process. Memory never falls, so it is measured in a process each, as the peak above what
the process holds with everything imported and no network built.
"""

from __future__ import annotations

import argparse
import json
import statistics
from typing import Any, Callable, Dict

from benchmarks.harness import command_line, measure_in_child, write_json
from gluon_nrm.console.tool import run_tool

#: name of the network -> images of a step, and their side in pixels
NETWORKS = {
    "gluoncv.cifar_resnet20_v1": (32, 32),
    "gluon.resnet18_v1": (16, 64),
    "shake_resnet26_2x32d": (16, 32),
    "se_resnext50_32x4d": (4, 112),
}


def stepper(name: str, maxmin: bool) -> Callable[[], Any]:
    """Build a supervised training step of a network, with or without its Min branch."""
    import mxnet as mx

    from gluon_nrm.data.pipeline.streams import Batch, Step
    from gluon_nrm.losses import Objective
    from gluon_nrm.models import get_model, initialise
    from gluon_nrm.recipe.schema import Optimiser, Phase
    from gluon_nrm.training.assemble import trace
    from gluon_nrm.training.optimisers import make_trainer, trained_parameters
    from gluon_nrm.training.step import TrainStep

    batch, side = NETWORKS[name]
    net = initialise(get_model(name, 10, (3, side, side), render=False, maxmin=maxmin), seed=0)
    objective = Objective(net, ["cross_entropy"])
    trace(objective)
    phase = Phase(name="nag", lr=0.01, momentum=0.9)
    trainer = make_trainer(trained_parameters(objective), Optimiser([phase]), phase, "device")
    images = mx.nd.random.normal(shape=(batch, 3, side, side)).asnumpy()
    streams = Step(Batch(images, (mx.nd.arange(batch) % 10).asnumpy()), None)
    step = TrainStep(objective, [mx.cpu(0)])
    return lambda: step(streams, {"cross_entropy": 1.0}, trainer, 1)


def seconds(name: str, repeats: int) -> Dict[str, float]:
    """Median times of a step of both, taken in turns."""
    from benchmarks.timing import take_turns

    base, both = take_turns([stepper(name, maxmin) for maxmin in (False, True)], repeats)
    return {"base": statistics.median(base), "maxmin": statistics.median(both)}


def memory(name: str, maxmin: bool) -> int:
    """Peak memory of a few steps above what was held before the network was built, in bytes."""
    import gluoncv  # noqa: F401  (what is imported later must not count)
    import mxnet as mx

    import gluon_nrm.training.fit  # noqa: F401
    from gluon_nrm.training.step_cost import peak_memory

    mx.nd.waitall()
    before = peak_memory()
    step = stepper(name, maxmin)
    for _ in range(3):
        step()
    mx.nd.waitall()
    return peak_memory() - before


def main() -> int:
    """Print a table, one line a network."""
    parser = command_line(__doc__ or "")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        kind, name = options.measure
        found: Any = seconds(name, options.repeats) if kind == "time" else memory(name, kind == "maxmin")
        print(json.dumps(found))
        return 0
    rows = []
    print("| network | batch | base step (s) | Max-Min / base | base memory (GB) | Max-Min / base |")
    print("|---|---|---|---|---|---|")
    for name, (batch, side) in NETWORKS.items():
        times = measure_in_child(__file__, "time", name, "--repeats", str(options.repeats))
        held = {kind: measure_in_child(__file__, kind, name) for kind in ("base", "maxmin")}
        row = {
            "network": name,
            "batch": f"{batch} of {side}x{side}",
            "base_seconds": times["base"],
            "time_ratio": times["maxmin"] / times["base"],
            "base_memory_gb": held["base"] / 1e9,
            "memory_ratio": held["maxmin"] / held["base"],
        }
        rows.append(row)
        print(
            f"| {name} | {row['batch']} | {row['base_seconds']:.3f} | {row['time_ratio']:.2f} "
            f"| {row['base_memory_gb']:.2f} | {row['memory_ratio']:.2f} |"
        )
    write_json(options.json, rows)
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
