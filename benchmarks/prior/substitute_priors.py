"""Replace the prior over rendering paths by others, to find what draws from the trained prior lack.

    PYTHONPATH=. python benchmarks/prior/substitute_priors.py RUN... --judge JUDGE_RUN [--csv FILE]

Paths of each class are drawn from five distributions and rendered by the same network. ``uniform`` draws
every latent evenly. ``model`` is the network's own prior. ``by_map`` draws independent latents; their
frequencies, for each class and feature map, are those of the training images' paths. It knows no place, as
the biases b(l) of the prior know none. ``by_place`` gives each latent frequencies of its own: it knows
places, but no dependence. ``images`` are paths of test images of the class. A judge (a classifier of all
labels) says which share of the renderings shows its class.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Dict, List, NamedTuple

import mxnet as mx
import numpy as np

from benchmarks.comparison import mean_deviation, write_lines
from gluon_nrm.console.tool import run_tool
from gluon_nrm.probability.generate import draw, render_along
from gluon_nrm.probability.rendering_model import RenderingModel
from gluon_nrm.runs.figures import plot_rendering_grid
from gluon_nrm.training.restore import Restored, restore

SAMPLES, BURN_IN = 20, 200
PRIORS = ("uniform", "model", "by_map", "by_place", "images")


class Share(NamedTuple):
    """Renderings of one run along the paths of one prior."""

    run: str
    prior: str
    #: renderings that the judge takes for their class, in per cent
    recognised: float


def frequencies(outcomes: np.ndarray, kinds: int) -> np.ndarray:
    """Share of each outcome of each latent, (V, kinds), from outcomes of paths (N, V)."""
    return np.stack([(outcomes == kind).mean(axis=0) for kind in range(kinds)], axis=1)


def pool_by_map(shares: np.ndarray, maps: int) -> np.ndarray:
    """Average shares (V, kinds) over the places of a feature map; V lists ``maps`` of them one by one."""
    by_map = shares.reshape(maps, -1, shares.shape[1])
    return np.broadcast_to(by_map.mean(axis=1, keepdims=True), by_map.shape).reshape(shares.shape)


def draw_outcomes(shares: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw independent outcomes (count, V) by their shares (V, kinds)."""
    ends = np.cumsum(shares, axis=1)
    drawn = rng.random((count, len(shares), 1)) * ends[:, -1:]
    return np.minimum((drawn >= ends).sum(axis=2), shares.shape[1] - 1)


def substitute_outcomes(
    model: RenderingModel, restored: Restored, prior: str, rng: np.random.Generator
) -> List[np.ndarray]:
    """Draw ``SAMPLES`` paths of each class from a substitute prior, as outcomes of each block, (N, V)."""
    dataset = restored.parts.dataset
    part = dataset.test if prior == "images" else dataset.train
    chosen: List[List[np.ndarray]] = []
    for label in range(dataset.classes):
        images = dataset.normalise(part.subset(np.flatnonzero(part.labels == label)).images)
        found = model.outcomes(mx.nd.array(images, ctx=restored.device))
        chosen.append([_draw_block(model, block, each, prior, rng) for block, each in enumerate(found)])
    return [np.concatenate(blocks) for blocks in zip(*chosen)]


def _draw_block(
    model: RenderingModel, block: int, outcomes: np.ndarray, prior: str, rng: np.random.Generator
) -> np.ndarray:
    if prior == "images":
        return outcomes[:SAMPLES]
    latent = model.latents[block]
    shares = frequencies(outcomes, latent.log_weights.shape[1])
    if prior == "by_map":
        shares = pool_by_map(shares, latent.shape[0])
    return draw_outcomes(shares, SAMPLES, rng)


def render_prior(model: RenderingModel, restored: Restored, prior: str, seed: int = 0) -> np.ndarray:
    """Render ``SAMPLES`` paths of each class from a prior, (K SAMPLES, C, H, W), by class."""
    classes = list(range(restored.network.classes))
    if prior == "model":
        return draw(model, classes, SAMPLES, burn_in=BURN_IN, seed=seed).images
    labels, rng = np.repeat(classes, SAMPLES), np.random.default_rng(seed)
    if prior == "uniform":
        outcomes = model.even_outcomes(len(labels), rng)
    else:
        outcomes = substitute_outcomes(model, restored, prior, rng)
    return render_along(model, labels, model.path_of(outcomes)).images


def measure(run: Path, judge: Restored) -> Dict[str, np.ndarray]:
    """Render along the paths of every prior; prior -> images by class."""
    restored = restore(run, devices="cpu")
    model = RenderingModel(restored.network, device=restored.device)
    return {prior: render_prior(model, restored, prior) for prior in PRIORS}


def recognised(images: np.ndarray, judge: Restored) -> float:
    """Share of images, listed by class, that the judge takes for their class, in per cent."""
    labels = np.repeat(np.arange(judge.network.classes), len(images) // judge.network.classes)
    scores = judge.network(mx.nd.array(images, ctx=judge.device)).logits.asnumpy()
    return 100.0 * float(np.mean(scores.argmax(axis=1) == labels))


def table(shares: List[Share]) -> str:
    """Format mean and standard deviation over the runs."""
    lines = ["| prior over paths | runs | renderings recognised (%) |", "|---|---:|---:|"]
    for prior in PRIORS:
        found = [share.recognised for share in shares if share.prior == prior]
        lines.append(f"| {prior} | {len(found)} | {mean_deviation(found, 1)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--picture", type=Path, help="draws of the first run, one of each class and prior")
    given = parser.parse_args()
    judge, shares = restore(given.judge, devices="cpu"), []
    for place, run in enumerate(given.runs):
        images = measure(run, judge)
        shares += [Share(run.name, prior, round(recognised(images[prior], judge), 2)) for prior in PRIORS]
        if place == 0 and given.picture is not None:
            columns = [(prior, images[prior][::SAMPLES]) for prior in PRIORS]
            names = [str(label) for label in range(judge.network.classes)]
            plot_rendering_grid(columns, given.picture, names, f"{run.name}: one draw of each class")
    if given.csv is not None:
        write_lines(given.csv, Share, shares)
    print(table(shares))
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
