"""Search for the prior's most probable path of a class.

By Theorem 3.2 it is the zero image's path if the rendering is non-negative along it. In a trained network,
with filters of both signs, it is often far from it. The search starts from annealing (Gibbs sweeps at a
falling temperature) and from the zero image's path. Sweeps that take the best value of every latent follow,
until nothing changes. The result is a local maximum: no path that differs in one block only is better.
"""

from __future__ import annotations

from typing import List, Sequence

import numpy as np

from gluon_nrm.probability.gibbs import GibbsSampler
from gluon_nrm.probability.rendering_model import Path, RenderingModel

#: Annealed chains of each class, their sweeps, and the factor by which the temperature falls.
CHAINS, SWEEPS, COOLING = 4, 60, 1e-3
#: Largest number of sweeps of ascent.
ASCENT = 50


def most_probable_path(model: RenderingModel, classes: Sequence[int], seed: int = 0) -> Path:
    """Search for the path with the largest eta of each class; the batch size is the number of classes.

    It is never less probable than the zero image's path.

    Raises:
        ModelError: a class out of range, or no class.
    """
    repeated = [label for label in classes for _ in range(CHAINS)]
    annealed = GibbsSampler(model, repeated, seed)
    start = float(np.std(model.prior_score(repeated, annealed.path).asnumpy())) + 1e-6
    for temperature in start * np.geomspace(1, COOLING, SWEEPS):
        annealed.sweep(float(temperature))
    climbed = GibbsSampler(model, classes, seed, start=model.zero_path())
    for sampler in (annealed, climbed):
        _ascend(sampler)
    eta = [
        model.prior_score(labels, sampler.path).asnumpy().reshape(len(classes), -1)
        for labels, sampler in ((repeated, annealed), (classes, climbed))
    ]
    best = np.concatenate(eta, axis=1).argmax(axis=1)
    outcomes: List[np.ndarray] = []
    for from_noise, from_zero in zip(annealed.outcomes, climbed.outcomes):
        grouped = from_noise.reshape(len(classes), CHAINS, -1)
        every = np.concatenate([grouped, from_zero[:, None]], axis=1)
        outcomes.append(every[np.arange(len(classes)), best])
    return model.path_of(outcomes)


def _ascend(sampler: GibbsSampler) -> None:
    for _ in range(ASCENT):
        before = [each.copy() for each in sampler.outcomes]
        sampler.sweep(0)
        if all(np.array_equal(old, new) for old, new in zip(before, sampler.outcomes)):
            return
