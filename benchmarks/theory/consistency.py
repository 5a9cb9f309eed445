"""Theorem 4.1 in numbers: the learned class posterior approaches the true one as the images grow in number.

    PYTHONPATH=. python benchmarks/theory/consistency.py [--seeds 2] [--images 100 1000 ...] [--out results]

Images are drawn from a known NRM of 125 rendering paths and three classes. A second NRM of the same shape
learns from n of them with their labels, in two ways: by the exact posterior (the sum over all paths), and by
the network's cross-entropy (the largest term, Theorem 3.3a). The distance is the total variation between
learned and true p(y|x), averaged over 2,000 fresh images. Learning starts near the truth, because the theorem
is about the global minimum. Writes consistency.csv and consistency.png.
"""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path
from typing import Callable, NamedTuple, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet import autograd
from mxnet.gluon import Trainer

from benchmarks.harness import ROOT
from gluon_nrm.console.tool import run_tool
from gluon_nrm.errors import RunError
from gluon_nrm.models import NRM, NRMOptions, architecture_of
from gluon_nrm.models.interface.parameters import named_parameters
from gluon_nrm.probability import Enumeration, RenderingModel
from gluon_nrm.probability.enumerated_scores import EnumeratedScores
from gluon_nrm.runs.figures import new_figure, save
from gluon_nrm.storage.files import os_errors, write_text

IMAGES = (100, 1000, 10_000, 100_000)
FRESH, BATCH, STEPS, RATE = 2000, 200, 300, 0.03
#: sigma^2 of the known model.
TEMPERATURE = 0.25
CLASSES, SHAPE = 3, (1, 2, 2)
#: Standard deviation of what is added to the true parameters at the start, relative to theirs.
AWAY = 0.3

Scores = Callable[[mx.nd.NDArray], mx.nd.NDArray]


class Row(NamedTuple):
    """One trained model."""

    method: str
    images: int
    seed: int
    #: mean total variation between learned and true class posterior, 0 to 1
    total_variation: float
    #: mean Kullback-Leibler divergence of the learned from the true one, in nats
    divergence: float


class Truth(NamedTuple):
    """The known model, and fresh images with their class probabilities."""

    net: NRM
    fresh: mx.nd.NDArray  # (FRESH, *SHAPE)
    posterior: np.ndarray  # (FRESH, CLASSES)


def build() -> NRM:
    """Make a network of one layer with three feature maps and a pooling: 5^3 paths."""
    options = NRMOptions(norm="none", render_norm="none", path_norm="none", slope=0.0)
    net = NRM(architecture_of([3, "pool"]), CLASSES, SHAPE, options)
    net.initialize()
    return net


def known_model(seed: int = 0) -> NRM:
    """Draw the parameters of the known model, of both signs."""
    net, rng = build(), np.random.default_rng(seed)
    for parameter in named_parameters(net).values():
        scale = {4: 0.7, 2: 3.0}.get(len(parameter.shape), 0.5)
        parameter.set_data(mx.nd.array(scale * rng.standard_normal(parameter.shape)))
    return net


def draw(net: NRM, count: int, rng: np.random.Generator) -> Tuple[np.ndarray, np.ndarray]:
    """Draw classes, paths and images from the model: images (count, *SHAPE), classes (count,)."""
    model = RenderingModel(net, temperature=TEMPERATURE)
    enumeration = Enumeration(model)
    classes = np.exp(model.log_class_prior().astype(np.float64))
    labels = rng.choice(CLASSES, count, p=classes / classes.sum())
    images = np.empty((count, *SHAPE), dtype=np.float32)
    for label in range(CLASSES):
        rendered = model.render([label] * len(enumeration), enumeration.paths).image.asnumpy()
        prior = np.exp(enumeration.log_prior(label).astype(np.float64))
        own = np.flatnonzero(labels == label)
        images[own] = rendered[rng.choice(len(prior), len(own), p=prior / prior.sum())]
    images += np.sqrt(TEMPERATURE) * rng.standard_normal(images.shape)
    return images, labels


def learn(truth: Truth, method: str, count: int, seed: int, steps: int) -> Row:
    """Train one model on ``count`` images, and compare its class probabilities with the true ones."""
    rng = np.random.default_rng([seed, count])
    images, labels = draw(truth.net, count, rng)
    net = build()
    start_near(net, truth.net, method, rng)
    scores: Scores = EnumeratedScores(net, TEMPERATURE) if method == "exact" else lambda x: net(x).logits
    if method == "exact":
        scores.hybridize(static_alloc=True)  # type: ignore[attr-defined]
    else:
        net.hybridize(static_alloc=True)
    trainer = Trainer(net.collect_params(), "adam", {"learning_rate": RATE})
    for step in range(steps):
        chosen = rng.choice(count, min(BATCH, count), replace=False) if count < 10 * BATCH else (
            rng.integers(0, count, BATCH)
        )  # fmt: skip
        with autograd.record():
            logs = mx.nd.log_softmax(scores(mx.nd.array(images[chosen])))
            loss = -mx.nd.pick(logs, mx.nd.array(labels[chosen]))
        loss.backward()
        trainer.set_learning_rate(RATE * 0.5 * (1 + np.cos(np.pi * step / steps)))
        trainer.step(len(chosen), ignore_stale_grad=True)
    return compare(truth, method, count, seed, scores)


def start_near(net: NRM, true: NRM, method: str, rng: np.random.Generator) -> None:
    """Set parameters near the true ones; a network's templates hold the factor 1 / sigma^2."""
    known = named_parameters(true)
    for name, parameter in named_parameters(net).items():
        value = known[name].data().asnumpy()
        value = value + AWAY * value.std() * rng.standard_normal(value.shape)
        divided = method == "network" and name.endswith("classifier.weight")
        parameter.set_data(mx.nd.array(value / TEMPERATURE if divided else value))


def compare(truth: Truth, method: str, count: int, seed: int, scores: Scores) -> Row:
    """Measure the distance of the class probabilities from the true ones."""
    learned = mx.nd.softmax(scores(truth.fresh)).asnumpy().astype(np.float64)
    variation = 0.5 * np.abs(learned - truth.posterior).sum(axis=1).mean()
    logs = np.log(truth.posterior + 1e-30) - np.log(learned + 1e-30)
    return Row(method, count, seed, float(variation), float((truth.posterior * logs).sum(axis=1).mean()))


def make_truth(fresh: int = FRESH) -> Truth:
    """Draw the known model and fresh images, and compute their true class probabilities."""
    net = known_model()
    images, _ = draw(net, fresh, np.random.default_rng(12345))
    x = mx.nd.array(images)
    posterior = mx.nd.softmax(EnumeratedScores(net, TEMPERATURE)(x)).asnumpy().astype(np.float64)
    return Truth(net, x, posterior)


def write(rows: Sequence[Row], path: Path) -> None:
    """Write one line for each trained model."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Row._fields)
    for row in rows:
        writer.writerow([*row[:3], f"{row.total_variation:.6f}", f"{row.divergence:.6f}"])
    with os_errors(RunError, "write", path):
        write_text(path, text.getvalue())


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw the distance against the number of images, on logarithmic axes."""
    figure = new_figure(6.4, 4.4)
    axes = figure.subplots()
    names = {"exact": "exact posterior, the sum over all paths", "network": "network, the best path"}
    for (method, name), colour in zip(names.items(), ("#1f77b4", "#d62728")):
        own = [row for row in rows if row.method == method]
        counts = sorted({row.images for row in own})
        means = [np.mean([row.total_variation for row in own if row.images == n]) for n in counts]
        axes.plot(counts, means, color=colour, label=name)
        axes.plot([row.images for row in own], [row.total_variation for row in own], ".", color=colour)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("labelled images n")
    axes.set_ylabel("total variation from the true p(y | x)")
    axes.grid(True, alpha=0.3, linewidth=0.6)
    axes.legend(fontsize=8, frameon=False)
    save(figure, path)


def summary(rows: Sequence[Row]) -> str:
    """Format a Markdown table: mean and standard deviation of the total variation."""
    lines = ["| n | exact posterior | network |", "|---:|---:|---:|"]
    for count in sorted({row.images for row in rows}):
        cells = []
        for method in ("exact", "network"):
            values = [r.total_variation for r in rows if (r.method, r.images) == (method, count)]
            spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.4f}{spread}")
        lines.append(f"| {count} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Train all models and write both files."""
    parser = argparse.ArgumentParser(prog="consistency.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=2, help="number of seeds (default: 2)")
    parser.add_argument(
        "--images", type=int, nargs="+", default=IMAGES, metavar="N", help="sizes of training sets"
    )
    parser.add_argument("--steps", type=int, default=STEPS, help=f"steps of each model (default: {STEPS})")
    parser.add_argument("--out", type=Path, default=ROOT / "results", help="folder (default: results)")
    given = parser.parse_args(arguments)
    if min(given.seeds, given.steps, *given.images) < 1:
        parser.error("--seeds, --images and --steps take numbers of at least 1")
    truth, rows = make_truth(), []
    for count in given.images:
        for seed in range(given.seeds):
            rows += [learn(truth, method, count, seed, given.steps) for method in ("exact", "network")]
        print(f"n = {count} done", flush=True)
    write(rows, given.out / "consistency.csv")
    plot(rows, given.out / "consistency.png")
    print(summary(rows))
    return 0


if __name__ == "__main__":
    run_tool(main)
