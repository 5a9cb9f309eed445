"""Compare recipes/photos.yaml with its supervised twin and a support vector machine on drawn photos.

    PYTHONPATH=. python benchmarks/photos/compare.py [--seeds 0 1 2 3 4] [--csv results/photos.csv]

Each seed draws a data set and seeds the runs. Finished data sets and runs are left as they are, so an
interrupted run goes on. The file has a line for each finished seed. Prints the table of results/README.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple, Sequence

from benchmarks.comparison import mean_deviation, read_lines, shipped, write_lines
from benchmarks.harness import ROOT
from benchmarks.photos.draw_data_set import LABELLED, TEST, UNLABELLED, draw_data_set
from benchmarks.photos.gradient_svm import svm_error
from gluon_nrm.console.tool import run_tool
from gluon_nrm.training.fit import fit

RECIPES = ("photos_supervised", "photos_supervised_longer", "photos")


class Row(NamedTuple):
    """Test errors of one seed, in per cent."""

    seed: int
    svm: float
    photos_supervised: float
    #: as many more steps without unlabelled photos as ``photos`` has with them
    photos_supervised_longer: float
    photos: float


def compare(seed: int, data: Path, runs: Path) -> Row:
    """Draw a data set if it is not there, train on it, and fit the support vector machine.

    ``photos`` starts from the weights of its supervised twin.
    """
    folder = data / f"photos-{seed}"
    if not folder.exists():
        draw_data_set(folder, seed, LABELLED, UNLABELLED, TEST)
    path = f"data.path={folder}"
    first = fit(shipped("photos_supervised", path), seed=seed, root=runs)
    start = f"model.weights={first.path}"
    semi = shipped("photos", path, start)
    steps = [f"train.epochs={semi.train.epochs}", f"train.epoch_steps={semi.train.epoch_steps}"]
    rate = f"optimiser.phases.0.lr={semi.optimiser.phases[0].lr}"
    longer = shipped("photos_supervised", path, start, rate, *steps, "name=photos_supervised_longer")
    found = [first, *(fit(recipe, seed=seed, root=runs) for recipe in (longer, semi))]
    errors = {name: round(run.error, 4) for name, run in zip(RECIPES, found)}
    return Row(seed, round(svm_error(folder)["error"], 4), **errors)


def table(rows: Sequence[Row]) -> str:
    """Format mean and standard deviation of each method, and of its difference from the supervised twin."""
    lines = [
        "| method | seeds | test error (%) | minus supervised, same seed | best | worst |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name in ("svm", *RECIPES):
        errors = [getattr(row, name) for row in rows]
        differences = [error - row.photos_supervised for error, row in zip(errors, rows)]
        paired = "" if name == "photos_supervised" else mean_deviation(differences)
        title = "SVM on gradient histograms" if name == "svm" else name
        cells = (title, len(rows), mean_deviation(errors), paired, f"{min(errors):.2f}", f"{max(errors):.2f}")
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--csv", type=Path, default=ROOT / "results" / "photos.csv")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the drawn data sets")
    parser.add_argument("--runs", type=Path, default=Path("runs/photos"))
    given = parser.parse_args()
    for seed in given.seeds:
        found = compare(seed, given.data, given.runs)
        rows = [*(row for row in read_lines(given.csv, Row) if row.seed != seed), found]
        write_lines(given.csv, Row, sorted(rows))
    print(table(read_lines(given.csv, Row)))
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
