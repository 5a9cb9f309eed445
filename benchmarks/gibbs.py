"""Speed of the probability model: a Gibbs sweep in rendering passes a layer; memory of path statistics.

    PYTHONPATH=. python benchmarks/gibbs.py [--repeats 7] [--images 50000] [--json FILE]

A sweep of the digits network over 80 chains may cost at most 3 rendering passes a layer. Path statistics of
CIFAR-sized images (a network of three convolutions and two poolings) must not need more memory the more
images there are: the peak is read after a tenth of them and at the end, in a process of its own. Its C
library is told to give large arrays back at once (MALLOC_MMAP_THRESHOLD_): what it holds back by itself
differs from run to run by over 100 MB.
"""

from __future__ import annotations

import argparse
import json
import time
from statistics import median
from typing import Any, Dict, Iterator, Tuple

from benchmarks.harness import command_line, measure_in_child, write_json
from gluon_nrm.console.tool import run_tool

CHAINS, BATCH = 80, 50


def sweep(repeats: int) -> Dict[str, Any]:
    """Median seconds of a sweep and of a rendering pass of the digits network."""
    from benchmarks.timing import take_turns
    from gluon_nrm.models import get_model, initialise
    from gluon_nrm.probability import GibbsSampler, RenderingModel

    model = RenderingModel(initialise(get_model("digits_cnn", 10, (1, 8, 8)), seed=0))
    labels = [chain % 10 for chain in range(CHAINS)]
    sampler = GibbsSampler(model, labels)
    works = (lambda: model.render(labels, sampler.path), sampler.sweep)
    passes, whole = (median(found) for found in take_turns(works, 3 * repeats))
    layers = len(model.latents)
    return {
        "chains": CHAINS, "layers": layers, "rendering_seconds": passes, "sweep_seconds": whole,
        "passes_a_layer": whole / passes / layers,
    }  # fmt: skip


def statistics(images: int) -> Dict[str, Any]:
    """Seconds and memory of path statistics over that many images, drawn as they are needed."""
    import numpy as np

    from gluon_nrm.models import get_model, initialise
    from gluon_nrm.probability import RenderingModel
    from gluon_nrm.probability.path_counts import count_paths
    from gluon_nrm.training.step_cost import peak_memory

    net = get_model("digits_cnn", 10, (3, 32, 32), channels=[48, "pool", 32, "pool", 32])
    model = RenderingModel(initialise(net, seed=0))
    peaks = []

    def batches() -> Iterator[Tuple[np.ndarray, np.ndarray]]:
        rng = np.random.default_rng(0)
        for start in range(0, images, BATCH):
            if start == images // 10:
                peaks.append(peak_memory())
            yield rng.standard_normal((BATCH, 3, 32, 32), dtype=np.float32), np.arange(BATCH) % 10

    started = time.perf_counter()
    joint = count_paths(model, batches())[-1]
    seconds = time.perf_counter() - started
    return {
        "images": joint.images, "log2_paths": joint.log2_all, "active": joint.active, "seconds": seconds,
        "peak_memory_gb": peak_memory() / 1e9, "memory_added_mb": (peak_memory() - peaks[0]) / 1e6,
    }  # fmt: skip


def main() -> int:
    """Measure both in processes of their own and print two tables."""
    parser = command_line(__doc__ or "")  # a third of the repetitions
    parser.add_argument("--images", type=int, default=50_000, help="of the statistics (default: 50000)")
    parser.add_argument("--measure", choices=("sweep", "statistics"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        found = sweep(options.repeats) if options.measure == "sweep" else statistics(options.images)
        print(json.dumps(found))
        return 0
    swept = measure_in_child(__file__, "sweep", "--repeats", str(options.repeats))
    print("| chains | layers | rendering pass (ms) | sweep (ms) | passes a layer |\n|---|---|---|---|---|")
    print(
        f"| {swept['chains']} | {swept['layers']} | {1e3 * swept['rendering_seconds']:.2f} "
        f"| {1e3 * swept['sweep_seconds']:.2f} | {swept['passes_a_layer']:.2f} |\n"
    )
    counted = measure_in_child(
        __file__, "statistics", "--images", str(options.images), MALLOC_MMAP_THRESHOLD_="1000000"
    )
    print("| images | log2 of all paths | s | peak memory (GB) | of it, after a tenth of the images (MB) |")
    print("|---|---|---|---|---|")
    print(
        f"| {counted['images']} | {counted['log2_paths']:.0f} | {counted['seconds']:.0f} "
        f"| {counted['peak_memory_gb']:.2f} | {counted['memory_added_mb']:.1f} |"
    )
    write_json(options.json, {"sweep": swept, "statistics": counted})
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
