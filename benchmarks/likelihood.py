"""Sampled RPN and log Z beside the exact values, on models whose paths can be enumerated.

    PYTHONPATH=. python benchmarks/likelihood.py [--draws 3] [--json FILE]

The models are those of the tests, with random parameters of both signs. The gradient of the sampled form is
the mean over groups of chains; its distance from the gradient of the exact form is given in standard errors
of Monte Carlo, which the groups' spread tells: about 1 is expected, 3 is the limit. log Z is estimated by
annealed importance sampling; the limit of its error is 0.05 nats.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, Dict, List, NamedTuple

import mxnet as mx
import numpy as np
from mxnet import autograd

from benchmarks.harness import ROOT, command_line, count, write_json
from gluon_nrm.console.tool import run_tool
from gluon_nrm.losses import Objective
from gluon_nrm.models import Network
from gluon_nrm.models.interface.parameters import named_parameters
from gluon_nrm.probability import Enumeration, GibbsSampler, RenderingModel
from gluon_nrm.probability.annealing import estimate_log_partition

NAMES = ("two_layers", "pool_small", "leaky", "average_pool", "skip", "skip_overlapping")
#: Chains of each class, groups of them, and sweeps before they count.
CHAINS, GROUPS, BURN_IN = 1000, 25, 50
IMAGES = 6


class GradientError(NamedTuple):
    """Distance of the sampled gradient of all parameters from the exact one."""

    #: length of the exact gradient
    exact: float
    #: standard error of Monte Carlo, over all parameters together
    standard_error: float
    #: distance in standard errors
    distance: float
    #: largest distance of a single parameter, in its own standard errors
    largest: float


def pair_of(name: str, seed: int, temperature: float = 1.0) -> Dict[str, Network]:
    """Build a model twice with equal parameters, for the sampled and for the exact form."""
    tiny_models = import_module("tiny_models")
    nets = {
        form: tiny_models.MODELS[name](path_norm=form, temperature=temperature)
        for form in ("exact", "sampled")
    }
    tiny_models.redraw(nets["exact"], np.random.default_rng(seed), False)
    values = {key: parameter.data() for key, parameter in named_parameters(nets["exact"]).items()}
    for key, parameter in named_parameters(nets["sampled"]).items():
        parameter.set_data(values[key])
    return nets


def gradient(objective: Objective, *inputs: Any) -> np.ndarray:
    """Gradient of the mean loss with respect to all parameters, in one vector."""
    with autograd.record():
        outcome = objective(*inputs)
    objective.backward([outcome], [mx.nd.ones_like(outcome.terms) / IMAGES])
    named = sorted(named_parameters(objective.net).items())
    unique = {id(p): p for name, p in named if p.grad_req != "null" and not name.startswith("zero")}
    return np.concatenate([p.grad().asnumpy().ravel() for p in unique.values()]).astype(np.float64)


def compare_gradients(nets: Dict[str, Network], seed: int, burn_in: int = BURN_IN) -> GradientError:
    """Compare the gradient of the sampled form, from ``CHAINS`` chains of each class, with the exact one."""
    sampled, exact = (Objective(nets[form], ["path_norm"]) for form in ("sampled", "exact"))
    for objective in (sampled, exact):
        objective.hybridize()
    net = nets["sampled"]
    x = mx.nd.array(np.random.default_rng(seed).standard_normal((IMAGES, *net.input_shape)))
    label = mx.nd.array(np.arange(IMAGES) % net.classes)
    sampler = GibbsSampler(RenderingModel(net), np.tile(np.arange(net.classes), CHAINS).tolist(), seed)
    for _ in range(burn_in):
        sampler.sweep()
    paths = mx.nd.concat(*[mx.nd.flatten(map_) for map_ in sampler.path], dim=1)
    groups = mx.nd.split(paths, num_outputs=GROUPS, axis=0)
    found = np.stack([gradient(sampled, x, label, group) for group in groups])
    expected = gradient(exact, x, label)
    errors = found.std(axis=0, ddof=1) / np.sqrt(GROUPS)
    away, total = found.mean(axis=0) - expected, float(np.sqrt((errors**2).sum()))
    moved = errors > 1e-6
    return GradientError(
        float(np.linalg.norm(expected)), total, float(np.linalg.norm(away)) / total,
        float(np.abs(away[moved] / errors[moved]).max()),
    )  # fmt: skip


def compare_partitions(
    net: Network, seed: int, sweeps: int = 200, chains: int = 100
) -> Dict[str, List[float]]:
    """Error of the estimated log Z of every class, in nats, and its spread over runs."""
    model, classes = RenderingModel(net), list(range(net.classes))
    enumeration = Enumeration(model)
    expected = np.array([enumeration.log_partition(label) for label in classes])
    found = estimate_log_partition(model, classes, runs=3, chains=chains, sweeps=sweeps, seed=seed)
    return {
        "log_z": expected.tolist(),
        "error": (found.log_z - expected).tolist(),
        "spread": found.spread.tolist(),
    }


def main() -> int:
    """Print a line for each model."""
    parser = command_line(__doc__ or "", repeats=None)
    parser.add_argument("--draws", type=count, default=3, help="draws of the parameters (default: 3)")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests" / "helpers"))
    print(
        "| model | paths | distance (standard errors), mean and most | of one parameter, most "
        "| standard error / gradient | log Z error, most (nats) | spread over runs, most |\n|" + "---|" * 7
    )
    rows = []
    for name in NAMES:
        errors: List[GradientError] = []
        partitions: List[Dict[str, List[float]]] = []
        for seed in range(options.draws):
            nets = pair_of(name, seed)
            errors.append(compare_gradients(nets, seed))
            partitions.append(compare_partitions(nets["exact"], seed))
        paths = len(Enumeration(RenderingModel(nets["exact"])))
        distance = [each.distance for each in errors]
        row: Dict[str, Any] = {
            "model": name, "paths": paths, "distance": distance, "largest": max(e.largest for e in errors),
            "relative": float(np.mean([each.standard_error / each.exact for each in errors])),
            "log_z_error": float(max(np.abs(each["error"]).max() for each in partitions)),
            "log_z_spread": float(max(max(each["spread"]) for each in partitions)),
        }  # fmt: skip
        rows.append(row)
        print(
            f"| {name} | {paths} | {np.mean(distance):.2f}, {max(distance):.2f} | {row['largest']:.2f} "
            f"| {row['relative']:.3f} | {row['log_z_error']:.3f} | {row['log_z_spread']:.3f} |",
            flush=True,
        )
    write_json(options.json, {"chains": CHAINS, "draws": options.draws, "models": rows})
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
