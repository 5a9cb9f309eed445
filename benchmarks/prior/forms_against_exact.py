"""Compare the value of every form of path normalisation (RPN) with -log pi(z*|y), image by image.

    PYTHONPATH=. python benchmarks/prior/forms_against_exact.py [--draws 5] [--seeds 0] [--out results]

Two figures of each form: the rank correlation over images with -log pi(z*|y) (Spearman), and the bias, its
mean difference from -log pi(z*|y) in nats. Models whose paths can be enumerated get random parameters, of
both signs and with non-negative filters and templates (where Theorem 3.2 is an equality); log Z_y is exact.
Then runs of the digits without rendering norms, those of compare_forms.py, which are trained if they are not
there; log Z_y is estimated by annealing, and `exact` is left out. Writes forms.csv and, as a table, forms.md.
"""

from __future__ import annotations

import csv
import io
import statistics
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np

from benchmarks.harness import ROOT, command_line, count
from benchmarks.likelihood import NAMES
from benchmarks.prior.compare_forms import FORMS as RECIPES
from benchmarks.prior.compare_forms import train
from gluon_nrm.console.tool import run_tool
from gluon_nrm.data import evaluation_batches
from gluon_nrm.errors import RunError
from gluon_nrm.losses import Objective
from gluon_nrm.models import Network
from gluon_nrm.models.interface.parameters import named_parameters, set_parameters
from gluon_nrm.probability import Enumeration, GibbsSampler, RenderingModel
from gluon_nrm.probability.annealing import estimate_log_partition
from gluon_nrm.runs.restore_networks import build_network, read_run
from gluon_nrm.runs.run_data import data_of_run
from gluon_nrm.storage.files import os_errors, write_text
from gluon_nrm.typing import Tensor

FORMS = ("layerwise", "mode", "sampled", "exact")
#: Images of a model that is enumerated; chains of each class, and sweeps before they count.
IMAGES, CHAINS, BURN_IN = 200, 200, 50
#: Of a trained run: chains of each class, sweeps before they count; runs, chains and sweeps of the annealing.
TRAINED_CHAINS, TRAINED_BURN_IN, ANNEALING = 10, 200, (3, 4, 400)
LABELS, CHUNK = 50, 100


class Line(NamedTuple):
    """A form on one model with one draw of its parameters."""

    model: str
    #: "both signs", "non-negative" or "trained"
    parameters: str
    #: seed of the parameters, or of the run
    draw: int
    form: str
    #: Spearman rank correlation with -log pi over images; nan if the form is the same number for all images
    rank: float
    #: mean over images of the form minus -log pi, in nats
    bias: float
    #: mean of -log pi, in nats
    nats: float
    #: standard deviation of log Z_y over the runs of its estimate, the largest of all classes; 0 if exact
    spread: float


#: Builds a network for a form of RPN; all of them have the same parameters.
Build = Callable[[str], Network]


def rank_correlation(values: np.ndarray, others: np.ndarray) -> float:
    """Spearman rank correlation, ties with their mean rank; nan if either is constant."""
    from scipy.stats import spearmanr  # its import takes a second

    values, others = np.round(values, 4), np.round(others, 4)  # equal paths, unequal by rounding
    if np.ptp(values) == 0 or np.ptp(others) == 0:
        return float("nan")
    return float(spearmanr(values, others)[0])


def negative_log_priors(model: RenderingModel, x: Tensor, log_z: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """-log pi(z*|y) of the inferred paths, (B,), and their classes, (B,); log_z (K,)."""
    inferred = model.infer(x)
    labels = inferred.label.asnumpy().astype(int)
    eta = model.prior_score(inferred.label, inferred.path).asnumpy()
    return log_z[labels] - eta / model.temperature, labels


def form_values(net: Network, x: Tensor, labels: np.ndarray, chains: Optional[Tensor] = None) -> np.ndarray:
    """Value of the form that a network was built for, as in evaluation, (B,).

    Args:
        net: the network.
        x: images (B, C, H, W).
        labels: classes, (B,).
        chains: paths of the chains, for the sampled form.
    """
    objective = Objective(net, ["path_norm"])
    more = [chains if name == "chains" else objective.zero_states(x) for name in objective.inputs[2:]]
    values = objective(x, mx.nd.array(labels, ctx=x.context), *more).terms[0].asnumpy()
    return np.asarray(values, dtype=np.float64)


def draw_chains(model: RenderingModel, chains: int, burn_in: int, seed: int) -> Tensor:
    """Draw paths of every class as the sampled form takes them, (K chains, N)."""
    sampler = GibbsSampler(model, np.tile(np.arange(model.net.classes), chains).tolist(), seed)
    for _ in range(burn_in):
        sampler.sweep()
    return mx.nd.concat(*[mx.nd.flatten(map_) for map_ in sampler.path], dim=1)


def compare(
    build: Build, forms: Sequence[str], batches: Sequence[Tensor], log_z: np.ndarray, chains: Tensor
) -> List[Tuple[str, float, float, float]]:
    """Compare forms on batches of images: form, rank correlation, bias, mean of -log pi."""
    model = RenderingModel(build(forms[0]))
    expected, labels = zip(*[negative_log_priors(model, x, log_z) for x in batches])
    nats, found = np.concatenate(expected), []
    for form in forms:
        net = build(form)
        values = np.concatenate([form_values(net, x, own, chains) for x, own in zip(batches, labels)])
        found.append(
            (form, rank_correlation(values, nats), float((values - nats).mean()), float(nats.mean()))
        )
    return found


def enumerated(name: str, non_negative: bool, draw: int) -> List[Line]:
    """Compare all forms on a model of the tests with one draw of its parameters."""
    tiny_models = import_module("tiny_models")
    first = tiny_models.MODELS[name](path_norm="exact")
    tiny_models.redraw(first, np.random.default_rng(draw), non_negative)
    values = {key: each.data().asnumpy() for key, each in named_parameters(first).items()}

    def build(form: str) -> Network:
        net: Network = tiny_models.MODELS[name](path_norm=form)
        set_parameters(net, values)
        return net

    model = RenderingModel(first)
    enumeration = Enumeration(model)
    log_z = np.array([enumeration.log_partition(label) for label in range(first.classes)])
    x = mx.nd.array(np.random.default_rng(draw).standard_normal((IMAGES, *first.input_shape)))
    chains = draw_chains(model, CHAINS, BURN_IN, draw)
    signs = "non-negative" if non_negative else "both signs"
    return [
        Line(name, signs, draw, form, rank, bias, nats, 0.0)
        for form, rank, bias, nats in compare(build, FORMS, [x], log_z, chains)
    ]


def trained(run: Path, seed: int) -> List[Line]:
    """Compare all forms but the exact one on the test images of a run."""
    folder, recipe, checkpoint = read_run(run)
    dataset = data_of_run(folder, recipe).dataset

    def build(form: str) -> Network:
        own = replace(recipe, model=replace(recipe.model, path_norm=form))
        net = build_network(own, dataset, [mx.cpu()])
        # the norms of the zero image's path are fixed, and only layerwise has them
        start = {name: each.data().asnumpy() for name, each in named_parameters(net).items()}
        own_norms = {name: value for name, value in start.items() if ".zero." in name}
        set_parameters(net, {**own_norms, **checkpoint.arrays["student"]})
        return net

    model = RenderingModel(build(FORMS[0]))
    runs, chains, sweeps = ANNEALING
    found = estimate_log_partition(
        model, list(range(model.net.classes)), runs=runs, chains=chains, sweeps=sweeps, seed=seed
    )
    images = [mx.nd.array(each.images) for each in evaluation_batches(dataset, dataset.test, CHUNK)]
    paths = draw_chains(model, TRAINED_CHAINS, TRAINED_BURN_IN, seed)
    return [
        Line(recipe.name, "trained", seed, form, rank, bias, nats, float(found.spread.max()))
        for form, rank, bias, nats in compare(build, FORMS[:3], images, found.log_z, paths)
    ]


def csv_text(lines: Sequence[Line]) -> str:
    """Format one line for each form, model and draw."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Line._fields)
    for line in lines:
        writer.writerow([*line[:4], *(f"{value:.4f}" for value in line[4:])])
    return text.getvalue()


def table(lines: Sequence[Line]) -> str:
    """Format mean and standard deviation over the draws, one row for each model."""
    head = ["model", "parameters", "draws", "-log pi (nats)"]
    head += [f"{form}: {what}" for form in FORMS for what in ("rank", "bias")]
    rows = ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * (len(head) - 2)]
    for model, parameters in dict.fromkeys(line[:2] for line in lines):
        own = [line for line in lines if line[:2] == (model, parameters)]
        cells = [model, parameters, str(len({line.draw for line in own}))]
        cells.append(spread([line.nats for line in own if line.form == own[0].form], 1))
        for form in FORMS:
            mine = [line for line in own if line.form == form]
            cells += [spread([line.rank for line in mine], 2), spread([line.bias for line in mine], 1)]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def spread(values: Sequence[float], places: int) -> str:
    """Format mean and standard deviation of the numbers among some values, and count the rest."""
    numbers = [value for value in values if np.isfinite(value)]
    if not numbers:
        return "constant" if values else ""
    text = f"{round(statistics.mean(numbers), places) + 0.0:.{places}f}"  # no -0.0
    if len(numbers) > 1:
        text += f" ± {statistics.stdev(numbers):.{places}f}"
    return text if len(numbers) == len(values) else f"{text} ({len(values) - len(numbers)} constant)"


def main() -> int:
    """Compare on all models, and write both files."""
    parser = command_line(__doc__ or "", repeats=None)
    parser.add_argument("--draws", type=count, default=5, help="draws of the parameters (default: 5)")
    parser.add_argument(
        "--seeds", type=int, nargs="*", default=[0], help="of the trained runs (default: 0; none: no runs)"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/prior"), help="folder (default: runs/prior)")
    parser.add_argument("--out", type=Path, default=ROOT / "results", help="folder (default: results)")
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests" / "helpers"))
    lines: List[Line] = []
    for non_negative in (False, True):
        for name in NAMES:
            for draw in range(given.draws):
                lines += enumerated(name, non_negative, draw)
    for form in RECIPES:
        for seed in given.seeds:
            lines += trained(train(form, LABELS, seed, given.runs), seed)
    for name, text in (("forms.csv", csv_text(lines)), ("forms.md", table(lines) + "\n")):
        with os_errors(RunError, "write", given.out / name):
            write_text(given.out / name, text)
    print(table(lines))
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
