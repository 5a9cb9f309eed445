"""A whole run of a recipe: seconds to the first step, evaluation and checkpoints, wall time.

    PYTHONPATH=. python benchmarks/end_to_end.py [RECIPE] [--repeats 3] [--json FILE]

The default recipe of the package is trained by the command, in a new folder, from the start of Python to the
end of the process; ``stamped_train.py`` reads the clock between its stages. Each figure is the median of the
runs. All cores are used unless OMP_NUM_THREADS says otherwise.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Dict, List, Sequence

from benchmarks.harness import ROOT, BenchmarkError, child_environment, command_line, write_json
from gluon_nrm.console.tool import run_tool

RECIPE = "digits_maxmin_mt"
#: parts of the epochs that are not training
BESIDE = ("evaluation", "checkpoints and curves")


def run(recipe: str, *options: str) -> Dict[str, Any]:
    """Train a recipe in a folder of its own, and return the seconds of its stages.

    Raises:
        BenchmarkError: the run failed; its message is on standard error.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stages.json"
        command = [sys.executable, str(Path(__file__).with_name("stamped_train.py"))]
        asked = [recipe, "--seed", "0", "--runs", str(Path(folder) / "runs"), *options]
        started = time.time()
        done = subprocess.run([*command, repr(started), str(file), *asked], env=child_environment())
        wall = time.time() - started
        if done.returncode or not file.exists():
            raise BenchmarkError(
                f"training {recipe} ended with code {done.returncode};\nits message is above"
            )
        found: Dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return {**found, "wall": wall}


def summarise(runs: Sequence[Dict[str, Any]]) -> Dict[str, Any]:
    """Medians over runs: seconds of the stages, and the share of the epochs that is not training."""
    stages = {
        name: median(each["until_first_step"][name] for each in runs) for name in runs[0]["until_first_step"]
    }
    sums = {name: median(each["sums"][name] for each in runs) for name in runs[0]["sums"]}
    return {
        "until_first_step": stages,
        "first_step_at": median(sum(each["until_first_step"].values()) for each in runs),
        "sums": sums,
        "shares": {
            name: median(each["sums"][name] / each["sums"]["epochs"] for each in runs) for name in BESIDE
        },
        "wall": median(each["wall"] for each in runs),
        "runs": list(runs),
    }


def table(found: Dict[str, Any]) -> str:
    """Lay out the figures in Markdown."""
    lines = ["| stage | s | share of the epochs (%) |", "|---|---:|---:|"]
    lines += [f"| {name} | {seconds:.2f} | |" for name, seconds in found["until_first_step"].items()]
    lines.append(f"| **from the start to the end of the first step** | **{found['first_step_at']:.2f}** | |")
    for name, seconds in found["sums"].items():
        share = f"{100 * found['shares'][name]:.1f}" if name in found["shares"] else ""
        lines.append(f"| {name} | {seconds:.2f} | {share} |")
    lines.append(f"| **the whole run** | **{found['wall']:.2f}** | |")
    return "\n".join(lines)


def main() -> int:
    """Train, and print the table."""
    parser = command_line(__doc__ or "", repeats=3)
    default = ROOT / "recipes" / f"{RECIPE}.yaml"
    parser.add_argument("recipe", nargs="?", default=str(default), help=f"(default: {RECIPE})")
    options = parser.parse_args()
    runs: List[Dict[str, Any]] = [run(options.recipe) for _ in range(options.repeats)]
    found = {"recipe": Path(options.recipe).stem, **summarise(runs)}
    print(f"{found['recipe']}, medians of {options.repeats} runs\n{table(found)}")
    write_json(options.json, found)
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
