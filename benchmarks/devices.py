"""Step time and images a second over devices and workers: the digits with NRM + RPN, one thread a device.

    PYTHONPATH=. python benchmarks/devices.py [--epochs 4] [--json FILE]

One and two CPU devices of one process, one and two worker processes with dist_sync on the loopback, each a
run of tools/train.py as a user starts it; batches are global, so all of them do the same work. The speed is
the median of the epochs after the first, evaluation and checkpoints aside; a step's time follows from it.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence

from benchmarks.harness import ROOT, BenchmarkError, child_environment, command_line, count, write_json
from gluon_nrm.console.tool import run_tool

RECIPE = "recipes/digits_nrm_rpn.yaml"


class Setting(NamedTuple):
    """A way to run the recipe."""

    title: str
    devices: str
    workers: int = 0


SETTINGS = (
    Setting("1 device", "cpu(0)"),
    Setting("2 devices", "cpu(0),cpu(1)"),
    Setting("1 worker, dist_sync", "cpu(0)", 1),
    Setting("2 workers, dist_sync", "cpu(0)", 2),
)


def measure(setting: Setting, epochs: int) -> Dict[str, Any]:
    """Train once in a folder of its own.

    Raises:
        BenchmarkError: the run failed; its message is on standard error.
    """
    from gluon_nrm.runs.open_run import load_run

    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "tools/train.py", RECIPE, "--devices", setting.devices, "--runs", folder,
            "--set", f"train.epochs={epochs}", "--set", "loss.generative_rampup_epochs=1",
        ]  # fmt: skip
        if setting.workers:
            job = [sys.executable, "tools/launch.py", "-n", str(setting.workers), "-s", "1"]
            command = [*job, *command, "--kvstore", "dist_sync"]
        done = subprocess.run(command, cwd=ROOT, env=child_environment(), stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise BenchmarkError(f"{setting.title}: ended with code {done.returncode};\n{done.stderr[-500:]}")
        (recipe,) = Path(folder).glob("*/recipe.yaml")
        return row(setting, load_run(recipe.parent).read_metrics())


def row(setting: Setting, epochs: Sequence[Dict[str, Any]]) -> Dict[str, Any]:
    """Figures of a run from its metrics, an entry an epoch; the first epoch is left out."""
    from gluon_nrm.recipe.load import load_recipe

    train = load_recipe(ROOT / RECIPE).train
    speed = statistics.median(epoch["images_per_second"] for epoch in epochs[1:])
    seconds = (train.batch_labelled + train.batch_unlabelled) / speed
    return {"setting": setting.title, "images_per_second": speed, "step_seconds": seconds}


def main() -> int:
    """Measure every setting and print a table."""
    parser = command_line(__doc__ or "", repeats=None)
    parser.add_argument("--epochs", type=count, default=4, help="of each run, at least 2 (default: 4)")
    options = parser.parse_args()
    if options.epochs < 2:
        raise BenchmarkError("--epochs: the first is not counted; give 2 or more")
    os.environ["OMP_NUM_THREADS"] = "1"  # of every run, and in the file of figures
    rows: List[Dict[str, Any]] = [measure(setting, options.epochs) for setting in SETTINGS]
    for each in rows:
        each["over_one"] = each["images_per_second"] / rows[0]["images_per_second"]
    print(table(rows))
    write_json(options.json, rows)
    return 0


def table(rows: List[Dict[str, Any]]) -> str:
    """Lay the figures out in Markdown."""
    lines = ["| digits, NRM + RPN | ms a step | images/s | over 1 device |", "|---|---:|---:|---:|"]
    for each in rows:
        speed = f"{1e3 * each['step_seconds']:.1f} | {each['images_per_second']:.0f}"
        lines.append(f"| {each['setting']} | {speed} | {each['over_one']:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run_tool(lambda _: main())
