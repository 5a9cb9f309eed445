"""A training step of AllConv13 with RPN, batch 8 + 8: images a second, peak memory, the convolution floor.

    PYTHONPATH=. python benchmarks/step.py [--repeats 7] [--json FILE]

All cores are used unless OMP_NUM_THREADS says otherwise (MXNet by itself takes half of them). Eager and
hybridised are measured in a process each, because peak memory never falls; the floor is measured in the same
process as the step that it is compared with.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Dict

from benchmarks.harness import command_line, measure_in_child, write_json

MODES = ("eager", "hybridised")


def measure(mode: str, repeats: int) -> Dict[str, Any]:
    """Measure one mode in this process."""
    import mxnet as mx

    from benchmarks.floor import convolution_calls, floor_seconds
    from benchmarks.timing import median_seconds
    from gluon_nrm.data.streams import Batch, Step
    from gluon_nrm.losses import Objective
    from gluon_nrm.models import get_model, initialise
    from gluon_nrm.recipe.schema import Optimiser, Phase
    from gluon_nrm.training.assemble import trace
    from gluon_nrm.training.forecast import peak_memory
    from gluon_nrm.training.optimisers import make_trainer, trained_parameters
    from gluon_nrm.training.step import TrainStep

    weights = {
        "cross_entropy": 1.0,
        "reconstruction": 0.5,
        "entropy": 0.5,
        "moment_matching": 0.5,
        "path_norm": 1.0,
    }
    net = initialise(get_model("allconv13", 10, (3, 32, 32)), seed=0)
    objective = Objective(net, weights)
    if mode == "hybridised":
        trace(objective)
    phase = Phase(name="sgd", lr=0.01)
    trainer = make_trainer(trained_parameters(objective, 2), Optimiser([phase]), phase, "device")
    batch = 8
    images = mx.nd.random.normal(shape=(2, batch, 3, 32, 32)).asnumpy()
    labels = (mx.nd.arange(batch) % 10).asnumpy()
    streams = Step(Batch(images[0], labels), Batch(images[1], 0 * labels - 1))
    step = TrainStep(objective, [mx.cpu(0)])
    seconds = median_seconds(lambda: step(streams, weights, trainer, 1), repeats)
    memory = peak_memory()
    floor = 2 * floor_seconds(convolution_calls(objective, (batch, 3, 32, 32)), repeats)
    return {
        "mode": mode,
        "seconds": seconds,
        "images_per_second": 2 * batch / seconds,
        "peak_memory_gb": memory / 1e9,
        "floor_seconds": floor,
        "step_over_floor": seconds / floor,
    }


def main() -> int:
    """Measure both modes in processes of their own and print a table."""
    parser = command_line(__doc__ or "")
    parser.add_argument("--repeats", type=int, default=7, help="timed repetitions (default: 7)")
    parser.add_argument("--measure", choices=MODES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.repeats)))
        return 0
    rows = []
    print("AllConv13, NRM + RPN, 32x32, batch 8 + 8, float32: medians")
    print("| step | s | images/s | peak memory (GB) | floor (s) | step / floor |\n|---|---|---|---|---|---|")
    for mode in MODES:
        row = measure_in_child(__file__, mode, "--repeats", str(options.repeats))
        rows.append(row)
        print(
            f"| {mode} | {row['seconds']:.2f} | {row['images_per_second']:.2f} "
            f"| {row['peak_memory_gb']:.2f} | {row['floor_seconds']:.2f} | {row['step_over_floor']:.2f} |"
        )
    write_json(options.json, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
