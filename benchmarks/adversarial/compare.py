"""Compare images of three GANs, and of NRM + RPN with and without a discriminator, on the digits.

    PYTHONPATH=. python benchmarks/adversarial/compare.py [--labels 50]

A judge, a classifier trained on all labels without rendering, gives the share of images that it takes for
their class with a probability above 0.9 and at all (for a generator without classes: for any class above
0.9), and the Frechet distance of its features from those of the test images. An NRM is measured along the
test images' own paths and by draws from its prior. Training images are measured too, as what a perfect
generator would make.

Runs are trained if they are not finished (`make results-adversarial` trains them side by side), and lines are
left as they are, so an interrupted comparison goes on. Writes results/adversarial_generation.csv and, for the
first seed, a picture of each kind of image.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from benchmarks.adversarial.generated import (
    GeneratedImages,
    generated_images,
    prior_draws,
    reconstructions,
    training_images,
)
from benchmarks.comparison import mean_deviation, read_lines, shipped, train_judge, write_lines
from benchmarks.harness import ROOT
from gluon_nrm.console.tool import run_tool
from gluon_nrm.report.generated_quality import Judge
from gluon_nrm.runs.figures import plot_rendering_grid
from gluon_nrm.training.fit import fit
from gluon_nrm.training.restore import Restored, restore

#: Generates images of a run: the run, their number, a seed.
Source = Callable[[Restored, int, int], GeneratedImages]
#: Kind of images -> what generates them, for methods with a generator and for NRMs.
GENERATOR: Dict[str, Source] = {"generator": generated_images}
NRM: Dict[str, Source] = {"own paths": lambda run, *_: reconstructions(run), "prior": prior_draws}


class Method(NamedTuple):
    """A method, its recipe and what is measured of it."""

    recipe: str
    sources: Dict[str, Source]
    #: the runs have seeds 0 to this number less one
    seeds: int
    #: heading in the picture
    short: str


METHODS = {
    "Improved GAN": Method("digits_improved_gan", GENERATOR, 3, "Improved\nGAN"),
    "ALI": Method("digits_ali", GENERATOR, 3, "ALI"),
    "Improved GAN + Jacobian reg. + tangents": Method("digits_tangents", GENERATOR, 3, "GAN +\ntangents"),
    "NRM + RPN": Method("digits_nrm_rpn", NRM, 5, "NRM + RPN"),
    "NRM + RPN + discriminator": Method("digits_nrm_rpn_adversarial", NRM, 5, "+ discrim-\ninator"),
}
#: Name of the line of the training images.
REAL = "training images"
#: Rows of the picture.
ROWS = 10


class Line(NamedTuple):
    """What one run generates in one way."""

    method: str
    source: str
    labels: int
    seed: int
    #: per cent; None for training images
    test_error: Optional[float]
    images: int
    #: per cent, as in ``GeneratedQuality``
    confident: float
    recognised: Optional[float]
    #: Frechet distance in the judge's features
    distance: float


#: method, kind of images, labels, seed
Key = Tuple[str, str, int, int]


def train(recipe: str, labels: int, seed: int, runs: Path) -> Path:
    """Train one run, if it is not finished, and return its folder."""
    overrides = (f"data.labels={labels}", f"data.split_seed={seed}")
    return fit(shipped(recipe, *overrides), seed=seed, root=runs / f"digits-{labels}").path


def measure(key: Key, generated: GeneratedImages, judge: Judge, error: Optional[float]) -> Line:
    """Judge images, and round the figures."""
    found = judge.measure(*generated)
    recognised = None if found.recognised is None else round(found.recognised, 2)
    rounded = None if error is None else round(error, 2)
    return Line(*key, rounded, found.images, round(found.confident, 2), recognised, round(found.distance, 4))


def table(lines: Sequence[Line]) -> str:
    """Format mean and standard deviation over the seeds."""
    rows = [
        "| method | images | labels | runs | test error (%) | above 0.9 (%) | own class (%) | distance |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    columns = (("test_error", 2), ("confident", 1), ("recognised", 1), ("distance", 2))
    for key in dict.fromkeys(line[:3] for line in lines):
        mine = [line for line in lines if line[:3] == key]
        cells = [_cell([getattr(line, name) for line in mine], places) for name, places in columns]
        rows.append(f"| {' | '.join(map(str, [*key, len(mine), *cells]))} |")
    return "\n".join(rows)


def _cell(values: Sequence[Optional[float]], places: int) -> str:
    known = [value for value in values if value is not None]
    return mean_deviation(known, places) if known else ""


def picture(generated: GeneratedImages, count: int = ROWS) -> np.ndarray:
    """Choose images for a column of the picture, (count, C, H, W): one a class, or the first ones."""
    if generated.classes is None:
        return generated.images[:count]
    classes = list(generated.classes)
    places = [classes.index(each) if each in classes else each for each in range(count)]
    return generated.images[places]


def compare(given: argparse.Namespace) -> List[Line]:
    """Measure all methods, write the lines as they are found, and draw the picture."""
    classifier = train_judge(given.judge)
    judge = Judge(classifier)
    count = len(judge.real.features)
    lines: Dict[Key, Line] = {_key(line): line for line in read_lines(given.csv, Line)}
    columns: List[Tuple[str, np.ndarray]] = []

    def add(line: Line) -> None:
        lines[_key(line)] = line
        write_lines(given.csv, Line, list(lines.values()))

    real = training_images(classifier, min(count, classifier.parts.dataset.training_images), 0)
    add(measure((REAL, "data", given.labels, 0), real, judge, None))
    columns.append(("training\nimages", picture(real)))
    for name, method in METHODS.items():
        for seed in range(method.seeds):
            wanted = [(name, source, given.labels, seed) for source in method.sources]
            if seed and lines.keys() >= set(wanted):
                continue
            run = restore(train(method.recipe, given.labels, seed, given.runs), devices="cpu")
            error = run.run.read_metrics()[-1]["error/student"]
            for key in wanted:
                generated = method.sources[key[1]](run, count, seed)
                add(measure(key, generated, judge, error))
                if seed == 0:
                    columns.append((f"{method.short}\n{key[1]}", picture(generated)))
    names = list(map(str, range(ROWS)))
    plot_rendering_grid(
        columns, given.picture, names, "Generated digits; rows are classes where there are any"
    )
    return list(lines.values())


def _key(line: Line) -> Key:
    return line.method, line.source, line.labels, line.seed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--labels", type=int, default=50)
    parser.add_argument("--csv", type=Path, default=ROOT / "results" / "adversarial_generation.csv")
    parser.add_argument("--picture", type=Path, default=ROOT / "results" / "adversarial_generation.png")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of digits-50/ and so on")
    parser.add_argument("--judge", type=Path, default=Path("runs/prior"), help="folder of the judge's run")
    print(table(compare(parser.parse_args())))
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
