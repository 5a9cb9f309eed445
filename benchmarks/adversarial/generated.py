"""Images that a trained network generates, by whatever its method has: a generator, its paths, its prior."""

from __future__ import annotations

from typing import NamedTuple, Optional

import mxnet as mx
import numpy as np

from gluon_nrm.errors import ModelError
from gluon_nrm.models import Reconstructor
from gluon_nrm.probability.generate import draw
from gluon_nrm.probability.rendering_model import RenderingModel
from gluon_nrm.training.restore import Restored

#: Gibbs sweeps before a draw from the prior is taken.
BURN_IN = 200


class GeneratedImages(NamedTuple):
    """Normalised images, and the class that each should show."""

    #: (N, C, H, W)
    images: np.ndarray
    #: (N,); None if the generator has no classes
    classes: Optional[np.ndarray] = None


def generated_images(run: Restored, count: int, seed: int) -> GeneratedImages:
    """Generate images by the generator that was trained beside the classifier.

    Raises:
        ModelError: the run has no generator.
    """
    companion = run.parts.companion
    images = None if companion is None else companion.generate(count, seed)
    if images is None:
        raise ModelError(f"{run.run.path.name}: its adversarial.method has no generator")
    return GeneratedImages(images)


def reconstructions(run: Restored) -> GeneratedImages:
    """Render the predicted class of each test image along the image's own path, in the Max branch."""
    render = Reconstructor(run.network)
    images, classes = [], []
    for batch in run.parts.evaluation(held_out=False):
        unknown = -mx.nd.ones(len(batch.labels), ctx=run.device)
        rendered = render(mx.nd.array(batch.images, ctx=run.device), unknown)
        images.append(rendered.images[0].asnumpy())
        classes.append(rendered.code.asnumpy().argmax(axis=1))
    return GeneratedImages(np.concatenate(images), np.concatenate(classes))


def prior_draws(run: Restored, count: int, seed: int) -> GeneratedImages:
    """Draw ``count`` images of equally many of each class from the prior over rendering paths."""
    model = RenderingModel(run.network, device=run.device)
    classes = list(range(run.network.classes))
    drawn = draw(model, classes, max(1, count // len(classes)), burn_in=BURN_IN, seed=seed)
    return GeneratedImages(drawn.images, drawn.labels)


def training_images(run: Restored, count: int, seed: int) -> GeneratedImages:
    """Choose training images, none twice: what a perfect generator would make."""
    dataset = run.parts.dataset
    chosen = np.random.default_rng(seed).choice(dataset.training_images, count, replace=False)
    return GeneratedImages(dataset.normalise(dataset.train.images[chosen]), dataset.train.labels[chosen])
