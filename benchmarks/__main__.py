"""Run the benchmarks in order, write each one's figures to DIR/NAME.json, and print one table.

    python -m benchmarks [--only step,input] [--repeats N] [--peer-python PATH] [--out DIR]

`make bench` does this. A file of figures also says on what they were measured: processor, cores, threads,
versions and commit. It is written when its benchmark ends, so what was measured before a failure is kept; a
benchmark that fails does not keep the others from running.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Sequence

from benchmarks.harness import ROOT, BenchmarkError, child_environment, count, read_json
from benchmarks.summary import table
from gluon_nrm.console.tool import run_tool

#: name -> arguments with which it is run; {out} is the folder of the figures
BENCHMARKS: Dict[str, List[str]] = {
    "step": [],
    "peer_terms": [],
    "profile_step": ["--plot", "{out}/profile_step.png"],
    "input": [],
    "end_to_end": [],
    "engines": [],
    "maxmin": [],
    "shake": ["shake_resnext29_2x4x64d", "shake_resnet26_2x32d", "--batch", "16"],
    "gibbs": [],
    "sampled_step": [],
    "methods_step": [],
    "likelihood": [],
    "devices": [],
    "network": [],
    "inference": [],
    "folding": [],
}
#: Those that take no --repeats.
ONCE = ("peer_terms", "input", "devices", "network", "likelihood")


def chosen(text: str) -> List[str]:
    """Names of the benchmarks to run, in their own order.

    Raises:
        BenchmarkError: there is none of that name.
    """
    wanted = [name.strip() for name in text.split(",") if name.strip()] or list(BENCHMARKS)
    unknown = [name for name in wanted if name not in BENCHMARKS]
    if unknown:
        raise BenchmarkError(f"--only: no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    return [name for name in BENCHMARKS if name in wanted]


def run(name: str, out: Path, repeats: int) -> bool:
    """Run one benchmark; whether it succeeded."""
    print(f"== {name}", flush=True)
    file, figures = Path(__file__).with_name(f"{name}.py"), out / f"{name}.json"
    command = [sys.executable, str(file), "--json", str(figures)]
    command += [argument.format(out=out) for argument in BENCHMARKS[name]]
    command += ["--repeats", str(repeats)] if repeats and name not in ONCE else []
    return subprocess.run(command, env=child_environment()).returncode == 0


def main(arguments: Sequence[str]) -> int:
    """See the top of the file."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", metavar="NAMES", help=f"some of {', '.join(BENCHMARKS)}")
    parser.add_argument("--repeats", type=count, default=0, help="timed repetitions (default: its own)")
    parser.add_argument("--peer-python", metavar="PATH", help="a Python that has PyTorch ($PEER_PYTHON)")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=ROOT / "results", help="of the figures (default: results)"
    )
    options = parser.parse_args(arguments)
    names = chosen(options.only)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.peer_python:
        os.environ["PEER_PYTHON"] = options.peer_python
    done = [name for name in names if run(name, options.out, options.repeats)]
    print(table({name: read_json(options.out / f"{name}.json") for name in done}))
    failed = [name for name in names if name not in done]
    if failed:
        raise BenchmarkError(
            f"{', '.join(failed)} failed; what went wrong is above, under each one's heading.\n"
            f"Mend that, then run what is missing: --only {','.join(failed)}"
        )
    return 0


if __name__ == "__main__":
    run_tool(main)
