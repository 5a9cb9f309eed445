"""Build the companion that a recipe describes."""

from __future__ import annotations

from typing import Any, List, Optional

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from gluon_nrm.data import Dataset
from gluon_nrm.distributed.workers import Workers
from gluon_nrm.errors import ModelError
from gluon_nrm.generators.discriminator import make_discriminator
from gluon_nrm.generators.encoder import make_encoder
from gluon_nrm.generators.generator import make_generator
from gluon_nrm.models import Network
from gluon_nrm.models.adversarial.ali import AliClassifier
from gluon_nrm.models.adversarial.classifier import AdversarialClassifier
from gluon_nrm.recipe.schema import Recipe
from gluon_nrm.recipe.terms import ALI, IMPROVED_GAN, RENDERING
from gluon_nrm.training.companions.ali import AliCompanion
from gluon_nrm.training.companions.companion import Companion, Setting
from gluon_nrm.training.companions.discriminator import DiscriminatorCompanion
from gluon_nrm.training.companions.generator import GeneratorCompanion
from gluon_nrm.training.companions.tangents import TangentCompanion

#: Added to the run's seed for the first parameters of a companion's networks.
SEED_OFFSET = 1


def make_companion(
    recipe: Recipe, dataset: Dataset, net: Network, devices: List[Any], workers: Workers
) -> Optional[Companion]:
    """Build the networks that are trained beside the classifier; None if the recipe has none.

    Raises:
        ModelError: a network cannot be built for images of this size, or the classifier is of another method.
    """
    section = recipe.adversarial
    if section.method == "none":
        return None
    setting = Setting(section, recipe.train.seed, devices, workers, recipe.train.kvstore)
    if section.method == RENDERING:
        discriminator = make_discriminator(dataset.input_shape, section.width)
        return DiscriminatorCompanion(setting, _initialised(discriminator, recipe, devices))
    if section.method == ALI:
        if not isinstance(net, AliClassifier):
            raise _wrong_network(recipe, "ali_*")
        return AliCompanion(setting, net, _generator(recipe, dataset, net.code, devices))
    if not isinstance(net, AdversarialClassifier) or isinstance(net, AliClassifier):
        raise _wrong_network(recipe, "gan_*")
    generator = _generator(recipe, dataset, section.code, devices)
    if section.method == IMPROVED_GAN:
        return GeneratorCompanion(setting, net, generator)
    encoder = make_encoder(dataset.input_shape, section.code, section.width)
    return TangentCompanion(setting, net, generator, _initialised(encoder, recipe, devices))


def _generator(recipe: Recipe, dataset: Dataset, code: int, devices: List[Any]) -> HybridBlock:
    """Build and initialise a generator of images in the range of the data's pixels."""
    ends = np.stack([np.full(dataset.input_shape, end, np.float32) for end in dataset.pixel_range])
    low, high = dataset.normalise(ends)[:, :, 0, 0]
    made = make_generator(dataset.input_shape, code, recipe.adversarial.width, low, high)
    return _initialised(made, recipe, devices)


def _initialised(block: HybridBlock, recipe: Recipe, devices: List[Any]) -> HybridBlock:
    mx.random.seed(recipe.train.seed + SEED_OFFSET)
    block.initialize(mx.init.Xavier(magnitude=2.0), ctx=devices)
    return block


def _wrong_network(recipe: Recipe, wanted: str) -> ModelError:
    return ModelError(
        f"model.name: {recipe.model.name} is no network of adversarial.method {recipe.adversarial.method}; "
        f"take one of {wanted}"
    )
