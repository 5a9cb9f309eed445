"""Persistent chains of rendering paths, which ``SampledPathNorm`` takes for the prior's expectation."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Mapping

import mxnet as mx
import numpy as np

from gluon_nrm.distributed.workers import Workers
from gluon_nrm.errors import CheckpointError, ModelError
from gluon_nrm.losses.sampled_path_norm import check_chains
from gluon_nrm.models import Network
from gluon_nrm.probability.bridge import Bridge
from gluon_nrm.probability.gibbs import GibbsSampler
from gluon_nrm.probability.rendering_model import RenderingModel
from gluon_nrm.recipe.schema import Sampling
from gluon_nrm.runs.check_memory import free_memory
from gluon_nrm.runs.checkpoint import check_arrays
from gluon_nrm.typing import Tensor

#: Type of the outcomes in a checkpoint.
STORED = np.uint16
#: Copies of the chains' maps that a training step holds at the least: paths, renderings, their gradients.
COPIES = 4


class PathChains:
    """Chains of rendering paths z | y for each class; they go on from step to step.

    The chains are kept on the first device, whose running statistics they use (norms are frozen, as in
    ``RenderingModel``), and copied to the others. Every worker has chains of its own. The random numbers of a
    step depend only on seed, worker and step, so a run resumes with the same bits.

    Args:
        net: the initialised network, at its own sigma^2.
        recipe: chains of each class, and sweeps a step.
        seed: random seed.
        device: the first device.
        worker: rank of this worker.

    Raises:
        ModelError: the network does not render, has dropout or gates, or the chains do not fit into the free
            memory.
    """

    def __init__(self, net: Network, recipe: Sampling, seed: int, device: Any, worker: int = 0) -> None:
        check_chains(net)
        _check_memory(net, recipe.chains)
        self._sweeps, self._seed, self._worker = recipe.sweeps, seed, worker
        labels = list(range(net.classes)) * recipe.chains  # as ``SampledPathNorm`` takes them
        self.sampler = GibbsSampler(RenderingModel(net, device=device), labels)
        self.sampler.reseed(self._seeds(0))
        self.sampler.set_outcomes(self.sampler.model.even_outcomes(len(labels), np.random.default_rng(seed)))

    def _seeds(self, step: int) -> List[int]:
        return [self._seed, self._worker, step]

    def advance(self, step: int) -> None:
        """Sweep every chain with the network as it is now, for training step ``step``."""
        self.sampler.model.freeze()
        self.sampler.reseed(self._seeds(step))
        for _ in range(self._sweeps):
            self.sampler.sweep()

    def paths(self, devices: List[Any]) -> List[Tensor]:
        """Copy the current paths to every device: their maps side by side, (K chains, N) each."""
        flat = mx.nd.concat(*[mx.nd.flatten(map_) for map_ in self.sampler.path], dim=1)
        return [flat.as_in_context(device) for device in devices]

    def arrays(self, workers: Workers) -> Dict[str, np.ndarray]:
        """Outcomes of all workers' chains as ``RANK.BLOCK``, (K chains, V) each, for a checkpoint."""
        own = [each.astype(STORED) for each in self.sampler.outcomes]
        rows = workers.gather(np.concatenate([each.ravel() for each in own]))
        ends = np.cumsum([each.size for each in own])
        return {
            f"{rank}.{block}": part.reshape(own[block].shape)
            for rank, row in enumerate(rows)
            for block, part in enumerate(np.split(row, ends[:-1]))
        }

    def load(self, arrays: Mapping[str, np.ndarray], where: str) -> None:
        """Restore the chains of this worker; a worker without an entry takes those of worker 0.

        Raises:
            CheckpointError: the arrays are of other chains or another network, or damaged.
        """
        rank = self._worker if f"{self._worker}.0" in arrays else 0
        blocks = self.sampler.model.latents
        shapes = {f"{rank}.{block}": each.shape for block, each in enumerate(self.sampler.outcomes)}
        own = {name: array for name, array in arrays.items() if name.split(".")[0] == str(rank)}
        check_arrays(shapes, own, where, STORED)
        for latent, (name, array) in zip(blocks, sorted(own.items(), key=lambda item: _block(item[0]))):
            if (array >= latent.log_weights.shape[1]).any():
                raise CheckpointError(
                    f"{where}: {name!r} has a latent with no such outcome; the file is damaged"
                )
        self.sampler.set_outcomes([own[f"{rank}.{block}"] for block in range(len(blocks))])


def _block(name: str) -> int:
    return int(name.split(".")[1])


def _check_memory(net: Network, chains: int) -> None:
    """Check that the chains fit into the free memory.

    Raises:
        ModelError: they do not.
    """
    values = sum(math.prod(latent.shape) for latent in Bridge(net).latents)
    one, free = 4 * COPIES * values * net.classes, free_memory()
    if one * chains > free:
        raise ModelError(
            f"loss.sampling.chains: {chains} chains of each class need at least "
            f"{one * chains / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} are free;\n"
            f"give at most {max(int(free // one), 1)}"
        )
