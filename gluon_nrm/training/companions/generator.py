"""Improved GAN (Salimans et al. 2016): a generator that matches the classifier's mean features."""

from __future__ import annotations

from typing import Any, List, Tuple

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from gluon_nrm.data.pipeline.streams import Batch, Step
from gluon_nrm.layers.quiet_block import QuietBlock
from gluon_nrm.losses.feature_matching import FeatureMatching
from gluon_nrm.models.adversarial.classifier import AdversarialClassifier
from gluon_nrm.training.companions.codes import draw_codes, on_devices
from gluon_nrm.training.companions.companion import Companion, Setting
from gluon_nrm.training.stream_terms import StreamTerms
from gluon_nrm.typing import Operators, Tensor

#: Place of the generator's own codes in a step; the streams have 0 and 1.
OWN = 2


class MatchFeatures(QuietBlock):
    """Feature matching of images (B, C, H, W) and of the images generated from codes (B, Z), (1,).

    Args:
        classifier: gives the features; it gets gradients, which its optimiser does not use.
        generator: makes images of codes.
    """

    def __init__(self, classifier: AdversarialClassifier, generator: HybridBlock, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.classifier, self.generator = classifier, generator
            self.matching = FeatureMatching()

    def hybrid_forward(self, F: Operators, x: Tensor, code: Tensor) -> Tensor:
        with mx.autograd.pause():  # eager runs; the graph has BlockGrad
            real = F.BlockGrad(self.classifier.features(x))
        generated = self.classifier.features(self.generator(code))
        return self.matching(real, generated)


class GeneratorCompanion(Companion):
    """A generator of images; the classifier's losses ``generated`` and ``real`` tell them from real ones.

    Args:
        setting: its optimiser, seed and devices.
        classifier: the network that is trained.
        generator: initialised on all devices.
    """

    terms: Tuple[str, ...] = ("feature_matching",)
    inputs: Tuple[str, ...] = ("generated",)

    def __init__(self, setting: Setting, classifier: AdversarialClassifier, generator: HybridBlock) -> None:
        super().__init__(setting)
        self.classifier, self.generator = classifier, generator
        self.networks = {"generator": generator}
        generator.hybridize(static_alloc=True, static_shape=True)
        self._prepare(MatchFeatures(classifier, generator), learned(generator))

    def start(self, images: np.ndarray) -> None:
        """Start the classifier's weight normalisation from a batch (Salimans and Kingma 2016)."""
        self.classifier.start_from(mx.nd.array(images, ctx=self.setting.devices[0]))

    def codes(self, count: int, number: int, place: int) -> List[Tensor]:
        """Draw the codes of a batch of ``count`` images, on each device."""
        setting = self.setting
        drawn = draw_codes((count, setting.recipe.code), setting.seed, number, place, setting.workers.rank)
        return on_devices(drawn, setting.devices)

    def of(self, name: str, batch: Batch, number: int, place: int) -> List[Tensor]:
        """Generate as many images as the batch has."""
        with mx.autograd.pause(train_mode=True):
            return [self.generator(code) for code in self.codes(len(batch.images), number, place)]

    def arguments(self, step: Step, terms: List[StreamTerms], number: int) -> List[Tuple[Tensor, ...]]:
        """Return unlabelled images and new codes."""
        assert step.unlabelled is not None  # the recipe's checks ask for the stream
        images = on_devices(step.unlabelled.images, self.setting.devices)
        return list(zip(images, self.codes(len(step.unlabelled.images), number, OWN)))

    def generate(self, count: int, seed: int) -> np.ndarray:
        """See ``Companion``."""
        code = draw_codes((count, self.setting.recipe.code), seed, 0, 0)
        generated: np.ndarray = self.generator(mx.nd.array(code, ctx=self.setting.devices[0])).asnumpy()
        return generated


def learned(block: HybridBlock) -> List[mx.gluon.Parameter]:
    """List the parameters of a block that get gradients."""
    return [parameter for parameter in block.collect_params().values() if parameter.grad_req != "null"]
