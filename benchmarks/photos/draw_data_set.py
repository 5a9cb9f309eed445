"""Draw a data set of photo-like images: few with labels, many without, and a test set.

    PYTHONPATH=. python benchmarks/photos/draw_data_set.py FOLDER [--seed 0] [--labelled 5]
        [--unlabelled 1200] [--test 60]

Writes FOLDER/labelled/CLASS/*.jpg, FOLDER/unlabelled/*/*.jpg and FOLDER/test/CLASS/*.jpg. The eight classes
are shapes with a usual colour, which most objects have. Background, light, place and size say
nothing about the class, and neither do the names of unlabelled files. A folder that exists is left as it is,
so that an interrupted comparison goes on.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np

from benchmarks.harness import BenchmarkError, count
from benchmarks.photos.scene import draw_photo
from benchmarks.photos.shapes import SHAPES
from gluon_nrm.console.tool import run_tool

#: Photos in a subfolder of the unlabelled ones.
IN_SUBFOLDER = 250
#: Labelled and test photos of each class, and unlabelled photos in all, as in results/photos.csv.
LABELLED, TEST, UNLABELLED = 5, 60, 1200


def draw_data_set(folder: Path, seed: int, labelled: int, unlabelled: int, test: int) -> None:
    """Draw a data set into a new folder.

    Args:
        folder: it must not exist yet.
        seed: the same seed and numbers give the same photos.
        labelled: photos of each class.
        test: photos of each class.
        unlabelled: photos in all, each of a random class.

    Raises:
        BenchmarkError: the folder exists.
    """
    if folder.exists():
        raise BenchmarkError(f"{folder} exists; remove it, or give another folder")
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    names = list(SHAPES)
    for place, (kind, each) in enumerate((("labelled", labelled), ("test", test))):
        rng = np.random.default_rng([seed, place])
        for name in names:
            for number in range(each):
                _save(part / kind / name / f"{number:04d}.jpg", name, rng)
    rng = np.random.default_rng([seed, 2])
    for number in range(unlabelled):
        album = f"album{number // IN_SUBFOLDER:02d}"
        _save(part / "unlabelled" / album / f"{number:05d}.jpg", names[rng.integers(len(names))], rng)
    part.replace(folder)


def _save(path: Path, name: str, rng: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_photo(name, rng).save(path, quality=int(rng.integers(70, 95)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--labelled", type=count, default=LABELLED, help="photos of each class")
    parser.add_argument("--unlabelled", type=count, default=UNLABELLED, help="photos in all")
    parser.add_argument("--test", type=count, default=TEST, help="photos of each class")
    given = parser.parse_args()
    if given.folder.exists():
        print(f"{given.folder} is there already", file=sys.stderr)
        return 0
    draw_data_set(given.folder, given.seed, given.labelled, given.unlabelled, given.test)
    print(f"drawn: {given.folder}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
