"""Draw images from a trained network's prior, and render along given paths (Algorithm 1, Figure 4)."""

from __future__ import annotations

import re
from typing import Any, List, NamedTuple, Optional, Sequence

import mxnet as mx
import numpy as np

from gluon_nrm.console.progress_bar import ProgressBar
from gluon_nrm.errors import ModelError
from gluon_nrm.probability.gibbs import GibbsSampler
from gluon_nrm.probability.rendering_model import Path, RenderingModel, check_classes


class PathRenderings(NamedTuple):
    """Renderings of N classes along N paths."""

    #: (N,)
    labels: np.ndarray
    #: h(0), with pixel noise if requested, (N, C, H, W)
    images: np.ndarray
    #: h(l) of each layer, from the image upwards, (N, C, H, W) each
    features: List[np.ndarray]
    #: prior score, (N,)
    eta: np.ndarray
    #: class that the network predicts for the rendered image, (N,)
    predicted: np.ndarray


def parse_classes(text: str, classes: int) -> List[int]:
    """Read a list of classes such as ``0-9`` or ``0,3,5-7``.

    Raises:
        ModelError: the list cannot be read, or a class is out of range.
    """
    found: List[int] = []
    for entry in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", entry.strip())
        if match is None:
            raise ModelError(f"--classes: {entry.strip()!r} is no class; write 0-9 or 0,3,5-7")
        first, last = int(match.group(1)), int(match.group(2) or match.group(1))
        if last < first:
            raise ModelError(f"--classes: {entry.strip()!r} runs backwards; write the smaller number first")
        check_classes([first, last], classes)
        found += range(first, last + 1)
    return found


def draw(
    model: RenderingModel,
    classes: Sequence[int],
    samples: int,
    *,
    chains: Optional[int] = None,
    burn_in: int = 200,
    thin: int = 20,
    noise: bool = False,
    seed: int = 0,
    progress: Optional[ProgressBar] = None,
) -> PathRenderings:
    """Draw images of each class: a path from the prior by Gibbs sampling, then its rendering.

    Args:
        model: the model, at its temperature.
        classes: class numbers.
        samples: images of each class; the first image of every chain comes first.
        chains: chains of each class; None: one for each image.
        burn_in: sweeps before the first image of a chain.
        thin: sweeps between images of a chain.
        noise: add the pixel noise N(0, sigma^2).
        seed: random seed.
        progress: counts the sweeps (``sweeps`` of them).

    Raises:
        ModelError: a class or number out of range, or more chains than images.
    """
    chains = samples if chains is None else chains
    sweeps(samples, chains, burn_in, thin)
    labels = np.repeat(np.asarray(classes, dtype=int), chains)
    sampler = GibbsSampler(model, list(labels), seed)
    parts = []
    for _ in sampler.run(-(-samples // chains), burn_in, thin, progress):
        parts.append(render_along(model, labels, sampler.path))
    drawn = PathRenderings(*[_by_class(each, chains, samples) for each in zip(*parts)])
    if noise:
        deviation = np.sqrt(model.temperature)
        more = np.random.default_rng([seed, 1]).normal(0, deviation, drawn.images.shape)
        drawn = drawn._replace(images=(drawn.images + more).astype(np.float32))
    return drawn


def sweeps(samples: int, chains: Optional[int], burn_in: int, thin: int) -> int:
    """Count the sweeps that ``draw`` makes.

    Raises:
        ModelError: less than one sample or chain, or more chains than samples.
    """
    chains = samples if chains is None else chains
    if samples < 1 or not 1 <= chains <= samples:
        raise ModelError(f"{samples} samples from {chains} chains a class: give at least 1, no more chains")
    return burn_in + thin * -(-samples // chains)


def render_along(model: RenderingModel, labels: np.ndarray, path: Path) -> PathRenderings:
    """Render classes (N,) along a path, of batch size N or 1."""
    whole = [mx.nd.repeat(map_, len(labels), axis=0) if len(map_) == 1 else map_ for map_ in path]
    rendering = model.render(labels, whole)
    features = [feature.asnumpy() for feature in rendering.features]
    predicted = model.infer(rendering.image).label.asnumpy().astype(int)
    images, eta = rendering.image.asnumpy(), rendering.eta.asnumpy()
    return PathRenderings(np.asarray(labels), images, features, eta, predicted)


def _by_class(parts: Sequence[Any], chains: int, samples: int) -> Any:
    """Reorder rounds of arrays (classes * chains, ...), or of lists of them, to (classes * samples, ...)."""
    if isinstance(parts[0], list):
        return [_by_class(each, chains, samples) for each in zip(*parts)]
    rounds = np.stack([part.reshape(-1, chains, *part.shape[1:]) for part in parts], axis=1)
    merged = rounds.reshape(len(rounds), -1, *rounds.shape[3:])[:, :samples]
    return merged.reshape(-1, *merged.shape[2:])
