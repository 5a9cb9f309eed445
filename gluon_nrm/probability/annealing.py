"""Estimate log Z_y, the normaliser of the prior over paths, by annealed importance sampling (Neal 2001).

    Z_y = sum_z exp(eta(y, z) / sigma^2),        -log pi(z|y) = log Z_y - eta(y, z) / sigma^2

A chain starts from the flat prior, whose Z is the number of configurations (s, t). It goes through the priors
of exp(beta eta / sigma^2), with beta from 0 to 1, by one Gibbs sweep each. Its weight is the product of
exp((beta_k - beta_{k-1}) eta / sigma^2), of which the mean over chains estimates Z_y / Z_0 without bias. The
logarithm of that mean is too low rather than too high where the chains are few or the sweeps short.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence

import numpy as np

from gluon_nrm.console.progress_bar import ProgressBar
from gluon_nrm.errors import ModelError
from gluon_nrm.probability.gibbs import GibbsSampler
from gluon_nrm.probability.latents import Latent
from gluon_nrm.probability.rendering_model import RenderingModel


class PartitionEstimate(NamedTuple):
    """Estimates of log Z_y for C classes."""

    #: from all chains of all runs, (C,)
    log_z: np.ndarray
    #: standard deviation of the estimates of single runs, (C,); 0 for one run
    spread: np.ndarray
    #: estimate of each run, (runs, C)
    runs: np.ndarray


def estimate_log_partition(
    model: RenderingModel,
    classes: Sequence[int],
    *,
    runs: int = 3,
    chains: int = 10,
    sweeps: int = 200,
    seed: int = 0,
    progress: Optional[ProgressBar] = None,
) -> PartitionEstimate:
    """Estimate log Z_y of some classes at the model's temperature.

    Args:
        model: the model.
        classes: class numbers, (C,).
        runs: independent runs, whose spread tells how good the estimate is.
        chains: chains of each class in a run.
        sweeps: Gibbs sweeps of a chain; more of them lower bias and spread.
        seed: random seed.
        progress: counts the sweeps of all runs.

    Raises:
        ModelError: a class out of range, or a number below 1.
    """
    for name, value in (("runs", runs), ("chains", chains), ("sweeps", sweeps)):
        if value < 1:
            raise ModelError(f"annealed importance sampling: {value} {name}; give at least 1")
    labels = np.repeat(np.asarray(classes, dtype=int), chains)
    weights = np.array(
        [_run(model, labels, sweeps, [seed, run], progress).reshape(-1, chains) for run in range(runs)]
    )  # (runs, classes, chains)
    start = log_configurations(model.latents)
    each = start + _log_mean_exp(weights)
    every = start + _log_mean_exp(weights.transpose(1, 0, 2).reshape(weights.shape[1], -1))
    spread = each.std(axis=0, ddof=1) if runs > 1 else np.zeros(len(every))
    return PartitionEstimate(every, spread, each)


def _run(
    model: RenderingModel,
    labels: np.ndarray,
    sweeps: int,
    seed: List[int],
    progress: Optional[ProgressBar],
) -> np.ndarray:
    """Log weight of each chain of one run, (B,)."""
    sampler = GibbsSampler(model, list(labels))
    sampler.reseed(seed)
    sampler.set_outcomes(model.even_outcomes(len(labels), np.random.default_rng([*seed, 0])))
    total = np.zeros(len(labels))
    betas = np.linspace(0, 1, sweeps + 1)
    for before, beta in zip(betas, betas[1:]):
        eta = model.prior_score(labels, sampler.path).asnumpy()
        total += (beta - before) * eta / model.temperature
        if beta < 1:  # a sweep after the last factor changes no weight
            sampler.sweep(model.temperature / beta)
        if progress is not None:
            progress.update()
    return total


def log_configurations(latents: Sequence[Latent]) -> float:
    """Logarithm of the number of configurations (s, t) of all latents: log Z of the flat prior."""
    total = 0.0
    for latent in latents:
        counts = np.log(np.exp(latent.log_weights.astype(np.float64)).sum(axis=1))
        total += float(np.broadcast_to(counts, (latent.variables,)).sum())
    return total


def _log_mean_exp(values: np.ndarray) -> np.ndarray:
    """Logarithm of the mean of exp over the last axis."""
    top = values.max(axis=-1, keepdims=True)
    return np.asarray(np.log(np.exp(values - top).mean(axis=-1)) + top[..., 0])
