"""Print a table: of finished runs, or one of the paper's with the reported errors beside ours.

gluon-nrm table runs/digits_*-s? [--csv digits.csv]
gluon-nrm table digits.csv --against digits_supervised         also the difference, paired by seed
gluon-nrm table table3                                         the runs there are, written to tables/
gluon-nrm table table3 --seeds 0 1 2 --train                   trains what is missing, run after run
gluon-nrm table table3 --paired                                also what each part adds, seed by seed
gluon-nrm table table3 --data digits --train --jobs 2          on the embedded digits, two runs at once
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path
from typing import List, Sequence

from gluon_nrm.console.aligned_tables import for_stream
from gluon_nrm.console.tool import ToolParser, add_data_dir, place
from gluon_nrm.errors import RunError
from gluon_nrm.option_names import option
from gluon_nrm.recipe.shipped import recipes_folder
from gluon_nrm.report.paper_tables import STAND_INS, TABLES, Table, get_table
from gluon_nrm.report.reproduce import train_missing
from gluon_nrm.report.table_cost import describe_cost
from gluon_nrm.report.table_files import make_table
from gluon_nrm.runs.averages import group_mean_std, to_markdown
from gluon_nrm.runs.tables import collect, read_csv, write_csv
from gluon_nrm.storage.files import exists
from gluon_nrm.system.commands import command

#: Of ``--train``.
SEEDS = (0, 1, 2)
#: Folder of a checkout with the rows of our runs.
RESULTS = Path("results")


def main(arguments: Sequence[str]) -> int:
    """Print the table; return 0 if every folder could be read."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if str(options.runs[0]) in TABLES:
        if len(options.runs) > 1:
            parser.error(f"{options.runs[0]} takes its runs from --root or --from")
        if options.against is not None:
            parser.error(f"{options.runs[0]} compares its methods with --paired; --against is for runs")
        return _paper(options)
    for path in options.runs:
        if difflib.get_close_matches(str(path), TABLES, n=1, cutoff=0.75) and not exists(path, RunError):
            raise RunError(f"there is no {path}; the tables of the paper are {', '.join(TABLES)}")
    tables = [path for path in options.runs if path.suffix == ".csv"]
    rows = collect([path for path in options.runs if path not in tables])
    for path in tables:
        rows += read_csv(path)
    print(for_stream(to_markdown(group_mean_std(rows, options.against)), sys.stdout), end="")
    if options.csv is not None:
        write_csv(rows, options.csv)
        print(f"\n{len(rows)} runs in {options.csv}")
    return 0


def _paper(options: argparse.Namespace) -> int:
    table, recipes = get_table(str(options.runs[0]), options.data), recipes_folder()
    if not table.runnable(recipes):
        raise RunError(
            f"{option('data')}: there is no recipe {table.data}_*.yaml of its methods in {recipes}"
        )
    if options.train:
        train_missing(table, options.seeds or SEEDS, options.root, recipes, rows=options.rows,
                      devices=options.devices, data_dir=options.data_dir, jobs=options.jobs)  # fmt: skip
    made = make_table(table, options.seeds, options.root, options.out, recipes, options.rows, options.paired)
    kept = RESULTS / f"{table.stem}_runs.csv"
    if not made.runs and not options.train and options.rows is None and exists(kept, RunError):
        print(f"none of its runs is in {options.root}/; this is made from {kept}\n")
        made = make_table(table, options.seeds, options.root, options.out, recipes, kept, options.paired)
    print(for_stream(made.markdown, sys.stdout))
    print("\n".join(f"written: {path}" for path in made.paths) if made.runs else _empty(table, options))
    return 0


def _empty(table: Table, options: argparse.Namespace) -> str:
    """Say how to fill a table without a run of ours, and what that costs."""
    seeds: List[int] = list(options.seeds or SEEDS)
    words = [table.name, *([] if table.own else ["--data", table.data]), "--seeds", *map(str, seeds)]
    if options.root != Path("runs"):
        words += ["--root", str(options.root)]
    cells = [cell for cell in table.runnable(recipes_folder()) for _ in seeds]
    return (
        f"none of its runs is in {options.root}/, so nothing is written; to train all {len(cells)}: "
        f"{command('table', *words, '--train')}\n{describe_cost(cells, recipes_folder())}"
    )


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser("table", __doc__)
    what = f"a run folder, a table written with --csv, or one of {', '.join(TABLES)}"
    parser.add_argument("runs", nargs="+", type=place, metavar="RUN", help=what)
    parser.add_argument("--csv", type=place, metavar="FILE", help="also write one line a run to this file")
    parser.add_argument(
        "--against", metavar="RECIPE", help="add the difference of every other recipe from it, paired by seed"
    )
    paper = parser.add_argument_group("with a table of the paper")
    paper.add_argument("--data", help=f"make it on another data set: {' or '.join(STAND_INS)}")
    paper.add_argument("--seeds", type=int, nargs="+", metavar="N", help="of runs and labelled draws (all)")
    paper.add_argument("--train", action="store_true", help="train the runs that are missing (seeds 0 1 2)")
    paper.add_argument(
        "--jobs", type=_count, default=1, metavar="N", help="runs to train at once, which share the cores (1)"
    )
    paper.add_argument(
        "--root",
        type=place,
        default=Path("runs"),
        metavar="DIR",
        help="the runs anywhere under this folder are found (default: runs)",
    )
    paper.add_argument(
        "--paired", action="store_true", help="add the differences between methods, paired by seed"
    )
    paper.add_argument(
        "--from",
        type=place,
        dest="rows",
        metavar="CSV",
        help="further runs: TABLE_runs.csv, or as --csv writes",
    )
    paper.add_argument(
        "--out",
        type=place,
        metavar="DIR",
        default=Path("tables"),
        help="for table, CSV and figures (default: tables)",
    )
    paper.add_argument("--devices", help="with --train, as for the command train")
    add_data_dir(parser)
    return parser
