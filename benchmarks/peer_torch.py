"""The training step of ``step.py`` in PyTorch: seconds, images a second, peak memory.

    PYTHONPATH=. python benchmarks/peer_torch.py [--method nrm_rpn] [--repeats 7] [--json FILE]

Runs in any Python that has PyTorch, without MXNet and without numpy. All cores are used unless
OMP_NUM_THREADS says otherwise. ``step.py`` runs it in turns with our own steps.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import json
import resource
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional

if TYPE_CHECKING:
    from benchmarks.torch_nrm import TorchNRM

#: name of the method -> (Max-Min, Mean Teacher), as in ``step_methods.py``
METHODS = {"nrm_rpn": (False, False), "nrm_rpn_maxmin_mt": (True, True)}
INSTALL = "PyTorch is not installed in this Python: pip install torch (CPU builds are at pytorch.org)"
BATCH, CLASSES, DECAY = 8, 10, 0.99
WEIGHTS = {
    "cross_entropy": 1.0, "reconstruction": 0.5, "entropy": 0.5, "moment_matching": 0.5, "path_norm": 1.0,
    "consistency": 33.0,
}  # fmt: skip


def training_step(method: str) -> Callable[[], None]:
    """Build networks and optimiser of a method; the result takes one step on random images."""
    import torch

    from benchmarks.torch_nrm import TorchNRM

    maxmin, teaches = METHODS[method]
    torch.manual_seed(0)
    net = TorchNRM(CLASSES, maxmin)
    teacher: Optional[TorchNRM] = copy.deepcopy(net) if teaches else None
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01, weight_decay=5e-4)
    images = torch.randn(2, BATCH, 3, 32, 32)
    labels = torch.arange(BATCH) % CLASSES

    def step() -> None:
        optimiser.zero_grad()
        unlabelled = _total(net, teacher, images[1], None)
        labelled = _total(net, teacher, images[0], labels)
        (unlabelled + labelled).backward()
        optimiser.step()
        if teacher is not None:
            _follow(teacher, net)

    return step


def _total(net: TorchNRM, teacher: Optional[TorchNRM], images: Any, labels: Any) -> Any:
    import torch

    from benchmarks.torch_nrm import loss_terms, probabilities

    targets = None
    if teacher is not None:
        with torch.no_grad():
            targets = probabilities(teacher, images)
    terms = loss_terms(net, images, labels, targets)
    return sum(WEIGHTS[name] * term for name, term in terms.items())


def _follow(teacher: TorchNRM, net: TorchNRM) -> None:
    """Move parameters and running statistics of the teacher towards the student's."""
    import torch

    with torch.no_grad():
        for mine, new in zip(teacher.state_dict().values(), net.state_dict().values()):
            if mine.is_floating_point():
                mine.lerp_(new, 1.0 - DECAY)


def peak_memory_gb() -> float:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (peak if sys.platform == "darwin" else peak * 1024) / 1e9


def main() -> int:
    """Measure by oneself, or, with --serve, once for every line that is read."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--method", choices=tuple(METHODS), default="nrm_rpn", help="(default: nrm_rpn)")
    parser.add_argument("--repeats", type=int, default=7, help="timed repetitions (default: 7)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures to a file")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        print(f"error: {INSTALL}", file=sys.stderr)
        return 2
    import torch

    from benchmarks.serve import WARM_UP, serve

    step = training_step(options.method)

    def timed() -> Dict[str, float]:
        started = time.perf_counter()
        step()
        return {"step_seconds": time.perf_counter() - started}

    for _ in range(WARM_UP):
        step()
    if options.serve:
        serve({"peak_memory_gb": peak_memory_gb(), "torch": torch.__version__}, timed)
        return 0
    seconds = statistics.median(timed()["step_seconds"] for _ in range(options.repeats))
    figures = {
        "method": options.method, "mode": f"PyTorch {torch.__version__}", "seconds": seconds,
        "images_per_second": 2 * BATCH / seconds, "peak_memory_gb": peak_memory_gb(),
    }  # fmt: skip
    print(json.dumps(figures, indent=2))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
