"""The training step of ``step.py`` in PyTorch: seconds, images a second, peak memory.

    PYTHONPATH=. python benchmarks/peer_torch.py [--network allconv13] [--method nrm_rpn] [--mode compiled]
        [--repeats 7] [--json FILE]

Runs in any Python that has PyTorch, without MXNet and without numpy. All cores are used unless
OMP_NUM_THREADS says otherwise. ``step.py`` runs it in turns with our own steps. --obstacles prints, as JSON,
which modes this PyTorch cannot run and why.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import statistics
import sys
import time
from typing import Any, Dict

from benchmarks.networks import METHODS, NETWORKS
from benchmarks.peer_modes import PEER_MODES, obstacles

INSTALL = "PyTorch is not installed in this Python: pip install torch (CPU builds are at pytorch.org)"


def peak_memory_gb() -> float:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (peak if sys.platform == "darwin" else peak * 1024) / 1e9


def command_line() -> argparse.ArgumentParser:
    """Return the parser of this file's command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--network", choices=tuple(NETWORKS), default="allconv13", help="(default: allconv13)"
    )
    parser.add_argument("--method", choices=tuple(METHODS), default="nrm_rpn", help="(default: nrm_rpn)")
    parser.add_argument("--mode", choices=tuple(PEER_MODES), default="eager", help="(default: eager)")
    parser.add_argument("--repeats", type=int, default=7, help="timed repetitions (default: 7)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures to a file")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--obstacles", action="store_true", help="print the modes that cannot run")
    return parser


def measure(options: argparse.Namespace) -> Dict[str, Any]:
    """Build and warm up a step; return its figures, or with ``--serve`` measure once a line that is read."""
    import torch

    from benchmarks.serve import WARM_UP, serve
    from benchmarks.torch_step import training_step

    step = training_step(options.network, options.method, PEER_MODES[options.mode])

    def timed() -> Dict[str, float]:
        started = time.perf_counter()
        step()
        return {"step_seconds": time.perf_counter() - started}

    for _ in range(WARM_UP):
        step()
    ready = {"peak_memory_gb": peak_memory_gb(), "torch": torch.__version__}
    if options.serve:
        serve(ready, timed)
        return {}
    seconds = statistics.median(timed()["step_seconds"] for _ in range(options.repeats))
    images = 2 * NETWORKS[options.network].batch
    asked = {name: getattr(options, name) for name in ("network", "method", "mode")}
    return {**asked, **ready, "seconds": seconds, "images_per_second": images / seconds}


def main() -> int:
    """Measure by oneself, or, with --serve, once for every line that is read."""
    options = command_line().parse_args()
    if importlib.util.find_spec("torch") is None:
        print(f"error: {INSTALL}", file=sys.stderr)
        return 2
    if options.obstacles:
        print(json.dumps(obstacles()))
        return 0
    figures = measure(options)
    if figures:
        print(json.dumps(figures, indent=2))
    if figures and options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
