"""Prepare a data set for training: find or download its files, and verify them; check a folder of your own.

gluon-nrm data cifar10
gluon-nrm data --list              list the files with their places and checksums
gluon-nrm data digits --splits     write the labelled subsets of the tables to files
gluon-nrm data photos/             check your own images: labelled/CLASS/, test/CLASS/, unlabelled/
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Optional, Sequence

from gluon_nrm.console.tool import ToolParser, add_data_dir, place
from gluon_nrm.data import list_datasets, load_dataset
from gluon_nrm.data.fetch.check_folder import check_folder
from gluon_nrm.data.fetch.prepare import describe_files, prepare
from gluon_nrm.data.pipeline.split_files import TABLE_LABELS, write_splits
from gluon_nrm.errors import DataError
from gluon_nrm.storage.files import is_dir


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = ToolParser("data", __doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"one of {', '.join(list_datasets())}, or a folder of your own images",
    )
    add_data_dir(parser)
    parser.add_argument("--list", action="store_true", help="list the files with their places and checksums")
    parser.add_argument("--mirror", metavar="URL", help="folder that is tried first for each file")
    parser.add_argument(
        "--splits", action="store_true", help="write labelled subsets to files; check existing ones"
    )
    parser.add_argument(
        "--unlabelled", type=place, metavar="PATH", help="images without classes, for a folder of your own"
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
    """Prepare data sets, check folders, list files, or write splits.

    Raises:
        DataError: a data set cannot be prepared, or some images of a folder cannot be read.
    """
    options = parse(arguments)
    if options.list:
        for name in options.names or [None]:
            print(describe_files(options.data_dir, name))
        return 0
    for name in options.names:
        if not options.splits and _is_folder(name):
            _check(place(name), options.unlabelled)
            continue
        if not options.splits:
            print(prepare(name, options.data_dir, mirror=options.mirror))
            continue
        dataset = load_dataset(name, options.data_dir)
        counts = options.labels or TABLE_LABELS[name]
        for path in write_splits(dataset, counts, options.seeds, options.split_dir):
            print(path)
    return 0


def _is_folder(name: str) -> bool:
    """Return True for a path, False for the name of a data set."""
    return name not in list_datasets() and ("/" in name or os.sep in name or is_dir(Path(name), DataError))


def _check(folder: Path, unlabelled: Optional[Path]) -> None:
    found = check_folder(folder, unlabelled)
    for line in found.lines:
        print(line)
    if found.problem is not None:
        raise DataError(found.problem)
