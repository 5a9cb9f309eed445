"""Train a recipe; a run that was stopped goes on by itself.

python tools/train.py recipes/digits_maxmin_mt.yaml
python tools/train.py recipes/digits_maxmin_mt.yaml --seeds 0 1 2 --set data.labels=100
"""

from __future__ import annotations

import _checkout  # noqa: F401  (first: finds gluon_nrm)

# isort: split
import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Sequence

from gluon_nrm.console.tool import ToolParser, add_data_dir, place, run_tool
from gluon_nrm.models import list_models
from gluon_nrm.recipe import load_recipe
from gluon_nrm.system.job_variables import COMMAND
from gluon_nrm.training.fit import fit
from gluon_nrm.training.forecast import forecast


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("recipe", nargs="?", type=place, metavar="RECIPE", help="a YAML file of recipes/")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a key, e.g. train.epochs=5"
    )
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--seed", type=int, help="in place of train.seed")
    seeds.add_argument("--seeds", type=int, nargs="+", metavar="N", help="one run after the other")
    parser.add_argument("--devices", help="cpu(0),cpu(1) or gpu(0-3); default: every GPU, or the CPU")
    parser.add_argument("--kvstore", help="in place of train.kvstore")
    add_data_dir(parser)
    parser.add_argument(
        "--runs", type=place, default="runs", metavar="DIR", help="folder of all runs (default: runs)"
    )
    parser.add_argument("--fresh", action="store_true", help="start a new folder, leaving what is there")
    parser.add_argument(
        "--accept", action="append", default=[], metavar="KEY",
        help="go on with a run although this key changes its learning rates: train.epochs",
    )  # fmt: skip
    parser.add_argument("--eager", action="store_true", help="run operator by operator, for debugging")
    parser.add_argument(
        "--dry-run", action="store_true", help="take a few steps and forecast time and memory; write nothing"
    )
    parser.add_argument("--list-models", action="store_true", help="print the names model.name may have")
    options = parser.parse_args(arguments)
    if options.recipe is None and not options.list_models:
        parser.error("give a recipe, such as recipes/digits_maxmin_mt.yaml")
    return options


def go_on_command(arguments: Sequence[str]) -> str:
    """The command that goes on with a run: this one, but for ``--fresh``, which would start another."""
    if COMMAND in os.environ:
        return os.environ[COMMAND]
    python = Path(sys.executable)
    shown = os.path.relpath(python)
    if shutil.which(python.name) == str(python):
        shown = python.name
    elif shown.startswith(os.pardir):
        shown = str(python)
    return shlex.join([shown, sys.argv[0], *(word for word in arguments if word != "--fresh")])


def main(arguments: Sequence[str]) -> int:
    """Train, forecast or list, as asked."""
    options = parse(arguments)
    if options.list_models:
        print("\n".join(list_models()))
        return 0
    overrides = list(options.set)
    if options.kvstore is not None:
        overrides.append(f"train.kvstore={options.kvstore}")
    seeds = options.seeds or [options.seed]
    seeded = [[] if seed is None else [f"train.seed={seed}"] for seed in seeds]
    # all of them first: a mistake must not wait for the first run's end
    for recipe in [load_recipe(options.recipe, overrides + more) for more in seeded]:
        if options.dry_run:
            print(forecast(recipe, devices=options.devices, hybridise=not options.eager,
                           data_dir=options.data_dir))  # fmt: skip
            continue
        fit(
            recipe, devices=options.devices, root=options.runs, fresh=options.fresh, hybridise=not
            options.eager, go_on=go_on_command(arguments), data_dir=options.data_dir, accept=options.accept,
        )  # fmt: skip
    return 0


if __name__ == "__main__":
    run_tool(main)
