"""Compare the forms of path normalisation (RPN) on the digits: test error, prior of the images' paths, draws.

    PYTHONPATH=. python benchmarks/prior/compare_forms.py [--seeds 0 1 2 3 4] [--labels 50 100]

A draw counts as recognised if a network that was trained on all labels, without rendering, takes it for the
class that it was drawn from; chance is 10 %. All forms train without rendering norms, so that they share one
model. Finished runs and lines are left as they are, so an interrupted comparison goes on. Writes
results/prior_forms.csv and, for the first seed, a picture of the draws of each form.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Dict, NamedTuple, Sequence

import mxnet as mx
import numpy as np

from benchmarks.comparison import mean_deviation, read_lines, shipped, train_judge, write_lines
from benchmarks.harness import ROOT
from gluon_nrm.console.tool import run_tool
from gluon_nrm.probability.generate import draw
from gluon_nrm.probability.rendering_model import RenderingModel
from gluon_nrm.report.path_prior import measure_path_prior
from gluon_nrm.runs.figures import plot_rendering_grid
from gluon_nrm.training.fit import fit
from gluon_nrm.training.restore import Restored, restore

#: form of RPN -> its recipe
FORMS = {
    "none": "digits_nrm", "layerwise": "digits_nrm_rpn", "mode": "digits_nrm_rpn_mode",
    "sampled": "digits_nrm_rpn_sampled",
}  # fmt: skip
#: images of each class; sweeps before them; sweeps of annealing (200 gave the same nats to four digits)
SAMPLES, BURN_IN, ANNEALING = 20, 200, 50


class Line(NamedTuple):
    """One run."""

    form: str
    labels: int
    seed: int
    #: per cent
    test_error: float
    #: -log pi of the paths of the test images, in nats a latent
    nats: float
    #: share of 20 draws of each class that the judge takes for that class, in per cent
    recognised: float


class Measured(NamedTuple):
    """A line, and the draws that it counts."""

    line: Line
    #: by class, (200, 1, 8, 8)
    images: np.ndarray


def train(form: str, labels: int, seed: int, runs: Path) -> Path:
    """Train one run, if it is not finished, and return its folder."""
    overrides = [f"data.labels={labels}", f"data.split_seed={seed}", "model.render_norm=none"]
    return fit(shipped(FORMS[form], *overrides), seed=seed, root=runs / f"labels-{labels}").path


def measure(run: Path, judge: Restored, form: str, labels: int, seed: int) -> Measured:
    """Measure a finished run, and draw ``SAMPLES`` images of each class from its prior."""
    restored = restore(run, devices="cpu")
    prior = measure_path_prior(restored, ANNEALING)
    model = RenderingModel(restored.network, device=restored.device)
    classes = list(range(restored.network.classes))
    drawn = draw(model, classes, SAMPLES, burn_in=BURN_IN)
    scores = judge.network(mx.nd.array(drawn.images, ctx=judge.device)).logits.asnumpy()
    share = 100.0 * float(np.mean(scores.argmax(axis=1) == drawn.labels))
    error = restored.run.read_metrics()[-1]["error/student"]
    return Measured(
        Line(form, labels, seed, round(error, 2), round(prior.per_latent, 4), round(share, 2)), drawn.images
    )


def table(lines: Sequence[Line]) -> str:
    """Format mean and standard deviation over the seeds."""
    rows = [
        "| RPN | labels | runs | test error (%) | -log pi (nats a latent) | draws recognised (%) |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for form in FORMS:
        for labels in sorted({line.labels for line in lines}):
            mine = [line for line in lines if (line.form, line.labels) == (form, labels)]
            if mine:
                columns = (("test_error", 2), ("nats", 3), ("recognised", 1))
                cells = [
                    mean_deviation([getattr(line, name) for line in mine], places) for name, places in columns
                ]
                rows.append(f"| {form} | {labels} | {len(mine)} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--labels", type=int, nargs="+", default=[50, 100])
    parser.add_argument("--csv", type=Path, default=ROOT / "results" / "prior_forms.csv")
    parser.add_argument("--picture", type=Path, default=ROOT / "results" / "prior_forms.png")
    parser.add_argument("--runs", type=Path, default=Path("runs/prior"))
    given = parser.parse_args()
    judge = train_judge(given.runs)
    lines = read_lines(given.csv, Line)
    pictures: Dict[str, np.ndarray] = {}
    for seed in given.seeds:
        for labels in given.labels:
            for form in FORMS:
                wanted = given.seeds[0] == seed and given.labels[0] == labels
                if not wanted and (form, labels, seed) in {line[:3] for line in lines}:
                    continue
                found = measure(train(form, labels, seed, given.runs), judge, form, labels, seed)
                if wanted:
                    pictures[form] = found.images[::SAMPLES]
                lines = [line for line in lines if line[:3] != found.line[:3]] + [found.line]
                write_lines(given.csv, Line, lines)
    names = list(map(str, range(10)))
    columns = list(pictures.items())
    plot_rendering_grid(columns, given.picture, names, "One draw of each class, by the form of RPN")
    print(table(lines))
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
