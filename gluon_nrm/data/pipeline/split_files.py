"""Text files with the positions of labelled images, written from the draw and checked when they are read.

A file has a line for each key and then the positions of the labelled images in the training set, in ascending
order::

    gluon_nrm split 1
    data digits
    labels 50
    seed 0
    images 1297
    labels_sha256 ...      of the classes of all training images, as little-endian 64-bit integers
    positions_sha256 ...   of the positions, likewise
    3 17 64 ...

It holds the draw of ``draw_split``: a recipe means the same with and without it. Use it to see the images, to
use them elsewhere, or to make sure of them.
"""

from __future__ import annotations

import hashlib
import re
import textwrap
from pathlib import Path
from typing import Dict, List, Sequence, Tuple, Union

import numpy as np

from gluon_nrm.data.pipeline.splits import Split, check_split, draw_split
from gluon_nrm.data.sets.dataset import Dataset
from gluon_nrm.errors import DataError
from gluon_nrm.storage.files import exists, expand_path, os_errors, read_file, write_text

TITLE = "gluon_nrm split 1"
KEYS = ("data", "labels", "seed", "images", "labels_sha256", "positions_sha256")
#: Largest header in bytes, and largest position in bytes with its space.
HEADER, POSITION = 2**20, 16

#: Numbers of labelled images in the paper's tables and in ours.
TABLE_LABELS: Dict[str, Tuple[int, ...]] = {
    "cifar10": (1000, 2000, 4000),
    "cifar100": (10000,),
    "svhn": (250, 500, 1000),
    "digits": (50, 100),
}


def split_file_name(name: str, labels: int, seed: int) -> str:
    """Name the file of ``labels`` labelled images of data set ``name``, drawn with ``seed``."""
    return f"{name}_{labels}_s{seed}.txt"


def write_splits(dataset: Dataset, counts: Sequence[int], seeds: Sequence[int], folder: Path) -> List[Path]:
    """Write a file for every number of labelled images and every seed, and return their paths.

    An existing file is compared and not rewritten.

    Raises:
        DataError: an existing file holds another split, or the draw is impossible.
    """
    paths = []
    for labels in counts:
        for seed in seeds:
            path = folder / split_file_name(dataset.name, labels, seed)
            text = _to_text(dataset, labels, seed)
            with os_errors(DataError, "write", path):
                folder.mkdir(parents=True, exist_ok=True)
                if not exists(path, DataError):
                    write_text(path, text)
                elif read_file(path).decode("utf-8", errors="replace") != text:
                    raise DataError(f"{path} is there and holds another split; move it away and start again")
            paths.append(path)
    return paths


def read_split(
    path: Union[str, Path], dataset: Dataset, *, labels: int, seed: int, include_labelled: bool = False
) -> Split:
    """Read a split without validation part from a file.

    Args:
        path: the file.
        dataset: the data set that was split.
        labels: ``data.labels`` of the recipe; the file must have the same.
        seed: ``data.split_seed`` of the recipe; the file must have the same.
        include_labelled: as in ``draw_split``.

    Raises:
        DataError: the file cannot be read, is damaged, or is of another data set, number or seed; positions
            are out of range, repeated, or not the same number of each class.
    """
    path = expand_path(Path(path), DataError)
    classes = dataset.train.labels
    header, positions = _parse(path, HEADER + POSITION * len(classes))
    expected = {
        "data": dataset.name,
        "labels": str(labels),
        "seed": str(seed),
        "images": str(len(classes)),
        "labels_sha256": _digest(classes),
        "positions_sha256": _digest(positions),
    }
    for key, value in expected.items():
        if header[key] != value:
            raise DataError(f"{path}: {key} is {header[key]}; {_explain(key, value)}")
    if len(positions) != labels:
        raise DataError(f"{path}: {len(positions)} positions, and the header says {labels}; make it anew")
    everything = np.arange(len(classes))
    rest = everything if include_labelled else np.setdiff1d(everything, positions)
    split = Split(positions, rest, everything[:0])
    try:
        check_split(split, classes, classes=dataset.classes, include_labelled=include_labelled)
    except DataError as problem:
        raise DataError(f"{path}: {problem}") from None
    return split


def _to_text(dataset: Dataset, labels: int, seed: int) -> str:
    """Format the contents of a file."""
    classes = dataset.train.labels
    split = draw_split(classes, labelled=labels, split_seed=seed, classes=dataset.classes)
    values = (
        dataset.name,
        labels,
        seed,
        len(classes),
        _digest(classes),
        _digest(split.labelled),
    )
    lines = [TITLE, *(f"{key} {value}" for key, value in zip(KEYS, values))]
    return "\n".join(lines + textwrap.wrap(" ".join(map(str, split.labelled)), 100)) + "\n"


def _parse(path: Path, most: int) -> Tuple[Dict[str, str], np.ndarray]:
    """Read header and positions (n,) int64 of a file of at most ``most`` bytes."""
    with os_errors(DataError, "read", path):
        lines = read_file(path, most).decode("utf-8", errors="replace").splitlines()
    head, body = lines[: 1 + len(KEYS)], " ".join(lines[1 + len(KEYS) :])
    header = dict(line.split(" ", 1) for line in head[1:] if " " in line)
    if head[:1] != [TITLE] or tuple(header) != KEYS:
        raise DataError(f"{path} is no split file: it does not begin with '{TITLE}' and {', '.join(KEYS)}")
    words = body.split()
    strange = [word for word in words if not re.fullmatch(r"[0-9]{1,15}", word)]
    if strange or not words:
        raise DataError(f"{path}: {strange[0][:20] if strange else 'nothing'} where positions should be")
    return header, np.array(words, dtype=np.int64)


def _digest(values: np.ndarray) -> str:
    """Return the SHA-256 of integers, as little-endian 64-bit integers."""
    return hashlib.sha256(values.astype("<i8").tobytes()).hexdigest()


def _explain(key: str, value: str) -> str:
    """Describe the expected value of a header's entry, and the remedy."""
    if key == "positions_sha256":
        return f"but its positions have {value}; the file was changed: make it anew"
    if key == "labels_sha256":
        return f"but the training images' classes have {value}; it belongs to other images"
    where = {"data": "data.name", "labels": "data.labels", "seed": "data.split_seed"}.get(key)
    return f"but {where} is {value}" if where else f"but there are {value} training images"
