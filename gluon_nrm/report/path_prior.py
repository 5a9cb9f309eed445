"""Negative log prior of the paths of a run's test images, in nats a latent, with log Z by annealing."""

from __future__ import annotations

from typing import NamedTuple

import mxnet as mx
import numpy as np

from gluon_nrm.console.progress_bar import ProgressBar
from gluon_nrm.data import evaluation_batches
from gluon_nrm.probability.annealing import estimate_log_partition, log_configurations
from gluon_nrm.probability.rendering_model import RenderingModel
from gluon_nrm.training.restore import Restored

#: Independent runs of annealed importance sampling, and chains of each class in one.
RUNS, CHAINS = 3, 4


class PathPrior(NamedTuple):
    """-log pi(z*|y) of the inferred paths and classes of a run's test images, at its own sigma^2."""

    images: int
    #: number of latents V of a path
    latents: int
    #: mean of -log pi(z*|y) over the images, in nats
    images_nats: float
    #: of a path drawn evenly from all configurations of all latents: -log pi would be this in a flat prior
    flat_nats: float
    #: standard deviation of log Z_y over the runs of the estimate, the largest of all classes
    spread: float
    #: True with rendering norms: the prior is then the softmax of eta of the normalised renderings
    surrogate: bool

    @property
    def per_latent(self) -> float:
        """Mean of -log pi(z*|y) in nats a latent."""
        return self.images_nats / self.latents

    def __str__(self) -> str:
        """Describe it in two lines."""
        of = " of a surrogate, because of its rendering norms" if self.surrogate else ""
        return (
            f"-log pi of the paths of {self.images} test images: {self.per_latent:.4f} nats a latent "
            f"({self.latents} latents); a flat prior: {self.flat_nats / self.latents:.4f}\n"
            f"log Z by annealing{of}: spread {self.spread:.2f} nats over {RUNS} runs"
        )


def measure_path_prior(restored: Restored, sweeps: int, seed: int = 0) -> PathPrior:
    """Measure -log pi(z*|y) = log Z_y - eta(y, z*) / sigma^2 of all test images.

    Args:
        restored: the run.
        sweeps: Gibbs sweeps of each chain of the annealing.
        seed: random seed.

    Raises:
        ModelError: the network does not render, or ``sweeps`` is below 1.
    """
    parts = restored.parts
    model = RenderingModel(restored.network, device=restored.device)
    classes = list(range(model.net.classes))
    with ProgressBar(RUNS * sweeps, f"{restored.run.path.name}, log Z", unit=" sweeps") as progress:
        found = estimate_log_partition(
            model, classes, runs=RUNS, chains=CHAINS, sweeps=sweeps, seed=seed, progress=progress
        )
    nats = []
    for batch in evaluation_batches(parts.dataset, parts.dataset.test, parts.recipe.train.eval_batch):
        inferred = model.infer(mx.nd.array(batch.images, ctx=model.device))
        eta = model.prior_score(inferred.label, inferred.path).asnumpy()
        nats.append(found.log_z[inferred.label.asnumpy().astype(int)] - eta / model.temperature)
    every = np.concatenate(nats)
    latents = sum(latent.variables for latent in model.latents)
    flat, spread = log_configurations(model.latents), float(found.spread.max())
    surrogate = model.net.options.render_norm != "none"
    return PathPrior(len(every), latents, float(every.mean()), flat, spread, surrogate)
