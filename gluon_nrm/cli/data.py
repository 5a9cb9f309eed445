"""Prepare a data set for training: find or download its files, and verify them.

gluon-nrm data cifar10
gluon-nrm data --list              list the files with their places and checksums
gluon-nrm data digits --splits     write the labelled subsets of the tables to files
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Sequence

from gluon_nrm.console.tool import ToolParser, add_data_dir, place
from gluon_nrm.data import list_datasets, load_dataset
from gluon_nrm.data.fetch.prepare import describe_files, prepare
from gluon_nrm.data.pipeline.split_files import TABLE_LABELS, write_splits


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = ToolParser("data", __doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(list_datasets())}")
    add_data_dir(parser)
    parser.add_argument("--list", action="store_true", help="list the files with their places and checksums")
    parser.add_argument("--mirror", metavar="URL", help="folder that is tried first for each file")
    parser.add_argument(
        "--splits", action="store_true", help="write labelled subsets to files; check existing ones"
    )
    only = parser.add_argument_group("with --splits")
    only.add_argument("--labels", type=int, nargs="+", metavar="N", help="default: the numbers of the tables")
    only.add_argument("--seeds", type=int, nargs="+", default=range(5), metavar="N", help="default: 0 to 4")
    only.add_argument("--split-dir", type=place, default=Path("recipes/splits"), metavar="DIR",
                      help="default: recipes/splits")  # fmt: skip
    options = parser.parse_args(arguments)
    if not options.names and not options.list:
        parser.error("give a data set, such as cifar10")
    if options.splits and not options.labels and any(name not in TABLE_LABELS for name in options.names):
        parser.error("--splits needs --labels for a data set that is in no table")
    return options


def main(arguments: Sequence[str]) -> int:
    """Prepare data sets, list their files, or write splits."""
    options = parse(arguments)
    if options.list:
        for name in options.names or [None]:
            print(describe_files(options.data_dir, name))
        return 0
    for name in options.names:
        if not options.splits:
            print(prepare(name, options.data_dir, mirror=options.mirror))
            continue
        dataset = load_dataset(name, options.data_dir)
        counts = options.labels or TABLE_LABELS[name]
        for path in write_splits(dataset, counts, options.seeds, options.split_dir):
            print(path)
    return 0
