"""Train a recipe; a run that was stopped goes on by itself.

gluon-nrm train digits_maxmin_mt                                        a recipe of the package, by its name
gluon-nrm train digits_maxmin_mt --seeds 0 1 2 --set data.labels=100
gluon-nrm train digits_maxmin_mt --show > mine.yaml                     copy it, to change the copy
gluon-nrm train mine.yaml
"""

from __future__ import annotations

import argparse
import os
import textwrap
from typing import Iterator, Sequence

from gluon_nrm.cli.train_options import replace_option
from gluon_nrm.console.tool import ToolParser, add_data_dir, place
from gluon_nrm.models import list_models
from gluon_nrm.recipe import load_recipe
from gluon_nrm.recipe.load import read_recipe
from gluon_nrm.recipe.shipped import list_recipes, recipes_folder
from gluon_nrm.report.recipe_header import read_header
from gluon_nrm.system.commands import command, line_again
from gluon_nrm.system.job_variables import COMMAND
from gluon_nrm.training.fit import fit
from gluon_nrm.training.forecast import forecast


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = ToolParser("train", __doc__, replace_option)
    parser.add_argument(
        "recipe",
        nargs="?",
        type=place,
        metavar="RECIPE",
        help="a YAML file, or a recipe of the package by name",
    )
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
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        help="also write the metrics for TensorBoard, to RUN/tensorboard",
    )
    parser.add_argument("--eager", action="store_true", help="run operator by operator, for debugging")
    parser.add_argument(
        "--dry-run", action="store_true", help="take a few steps and forecast time and memory; write nothing"
    )
    parser.add_argument("--verbose", action="store_true", help="show every loss term and error of an epoch")
    parser.add_argument("--show", action="store_true", help="print the recipe's file, and train nothing")
    parser.add_argument("--list-recipes", action="store_true", help="print the recipes of the package")
    parser.add_argument("--list-models", action="store_true", help="print the names model.name may have")
    options = parser.parse_args(arguments)
    if options.recipe is None and not (options.list_models or options.list_recipes):
        parser.error(f"give a recipe, such as digits_maxmin_mt ({command('train', '--list-recipes')})")
    return options


def main(arguments: Sequence[str]) -> int:
    """Train, forecast or list, as asked."""
    options = parse(arguments)
    if options.list_models:
        print("\n".join(list_models()))
        return 0
    if options.list_recipes:
        print("\n".join(_recipes()))
        return 0
    if options.show:
        print(read_recipe(options.recipe), end="")
        return 0
    overrides = list(options.set)
    if options.kvstore is not None:
        overrides.append(f"train.kvstore={options.kvstore}")
    seeds = options.seeds or [options.seed]
    seeded = [[] if seed is None else [f"train.seed={seed}"] for seed in seeds]
    go_on = os.environ.get(COMMAND) or line_again("train", arguments)
    # all of them first: a mistake must not wait for the first run's end
    for recipe in [load_recipe(options.recipe, overrides + more) for more in seeded]:
        if options.dry_run:
            print(forecast(recipe, devices=options.devices, hybridise=not options.eager,
                           data_dir=options.data_dir))  # fmt: skip
            continue
        fit(
            recipe, devices=options.devices, root=options.runs, fresh=options.fresh,
            hybridise=not options.eager, go_on=go_on, data_dir=options.data_dir, accept=options.accept,
            tensorboard=options.tensorboard, verbose=options.verbose,
        )  # fmt: skip
    return 0


def _recipes() -> Iterator[str]:
    """Name the recipes of the package, each with its subject."""
    names = list_recipes()
    width = max(map(len, names))
    for name in names:
        title = read_header(recipes_folder() / f"{name}.yaml").get("title", "")
        yield f"{name:<{width}}  {textwrap.shorten(title, 75, placeholder=' ...')}"
