"""Exact block Gibbs sampling of rendering paths, the Monte Carlo step of Algorithm 1.

eta is linear in the latents of one layer. Given all other layers they are therefore independent, and drawing
them from softmax(worth / sigma^2) (``latents.py``) is an exact Gibbs step, which keeps pi(z|y). A sweep draws
layer by layer, from the top down. Every outcome has positive probability, so the chain reaches all paths.
"""

from __future__ import annotations

from typing import Iterator, List, Optional, Sequence, Union

import numpy as np

from gluon_nrm.console.progress_bar import ProgressBar
from gluon_nrm.errors import ModelError
from gluon_nrm.probability.latents import Latent
from gluon_nrm.probability.rendering_model import Path, RenderingModel

#: Largest absolute score for which exp stays well inside float32's range.
LARGE = 60.0


class GibbsSampler:
    """Chains of rendering paths z | y, one for each given class, in one batch.

    Args:
        model: the model, at its temperature.
        classes: class of each chain, (B,).
        seed: random seed; equal models, classes and seeds give equal draws.
        start: initial path, of batch size B or 1; None draws every latent uniformly.

    Attributes:
        path: current path of each chain.
        outcomes: the current path as outcomes, (B, V) for each block.

    Raises:
        ModelError: a class out of range, or no class at all.
    """

    def __init__(
        self, model: RenderingModel, classes: Sequence[int], seed: int = 0, start: Optional[Path] = None
    ) -> None:
        if not len(classes):
            raise ModelError("no class to draw: give at least one")
        self.model, self._rng = model, np.random.default_rng(seed)
        self._code, chains = model.code(classes), len(classes)
        if start is None:
            self.outcomes = model.even_outcomes(chains, self._rng)
        else:
            given = [latent.encode(map_.asnumpy()) for latent, map_ in zip(model.latents, start)]
            self.outcomes = [np.repeat(each, chains // len(each), axis=0) for each in given]
        self.path: Path = model.path_of(self.outcomes)

    def reseed(self, seed: Union[int, Sequence[int]]) -> None:
        """Start the random numbers of the next sweeps anew."""
        self._rng = np.random.default_rng(seed)

    def set_outcomes(self, outcomes: Sequence[np.ndarray]) -> None:
        """Set the current path of every chain, (B, V) for each block."""
        self.outcomes = list(outcomes)
        self.path = self.model.path_of(self.outcomes)

    def sweep(self, temperature: Optional[float] = None) -> None:
        """Draw every block once, given all others, from the top down.

        Args:
            temperature: temperature in place of the model's; at 0 every latent takes its best value, so eta
                never falls.
        """
        temperature = self.model.temperature if temperature is None else temperature
        for block in reversed(range(len(self.model.latents))):
            latent = self.model.latents[block]
            worth = latent.worth(self.model.gradient(self._code, self.path, block))
            if temperature == 0:
                possible = np.where(np.isfinite(latent.log_weights), worth, -np.inf)
                self.outcomes[block] = possible.argmax(axis=2).astype(np.uint16)
            else:
                self.outcomes[block] = self._draw(latent, worth / np.float32(temperature))
            self.path[block] = self.model.path_of_block(block, self.outcomes[block])

    def run(
        self, samples: int, burn_in: int = 0, thin: int = 1, progress: Optional[ProgressBar] = None
    ) -> Iterator[List[np.ndarray]]:
        """Yield the chains' outcomes, (B, V) for each block, ``samples`` times.

        Args:
            samples: number of draws of every chain.
            burn_in: sweeps before the first draw.
            thin: sweeps between draws.
            progress: counts the sweeps.

        Raises:
            ModelError: ``samples`` or ``thin`` below 1, or ``burn_in`` below 0.
        """
        for name, value, least in (("samples", samples, 1), ("burn-in", burn_in, 0), ("thinning", thin, 1)):
            if value < least:
                raise ModelError(f"{name}: {value} sweeps; give at least {least}")
        for number in range(burn_in + samples * thin):
            self.sweep()
            if progress is not None:
                progress.update()
            done = number + 1 - burn_in
            if done > 0 and done % thin == 0:
                yield [each.copy() for each in self.outcomes]

    def _draw(self, latent: Latent, scores: np.ndarray) -> np.ndarray:
        """Draw outcomes (B, V) from softmax(scores + log weights), scores (B, V, n)."""
        shape = scores.shape[:2]
        if scores.shape[2] == 2 and not latent.log_weights.any():
            odds = np.clip(scores[:, :, 0] - scores[:, :, 1], -80, 80)
            return (self._rng.random(shape, dtype=np.float32) * (1 + np.exp(odds)) < 1).astype(np.uint8)
        weighted = scores + latent.log_weights
        if weighted.max() > LARGE or weighted.min() < -LARGE:  # a maximum over a short axis is slow
            weighted -= weighted.max(axis=2, keepdims=True)
        total = np.exp(weighted, out=weighted).cumsum(axis=2)
        threshold = self._rng.random(shape, dtype=np.float32) * total[:, :, -1]
        found = (total <= threshold[:, :, None]).sum(axis=2)
        return np.minimum(found, scores.shape[2] - 1).astype(np.uint16)
