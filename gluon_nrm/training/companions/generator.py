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


class CodeCompanion(Companion):
    """A generator of images from random codes, beside a classifier that judges what it generates.

    A subclass calls ``_prepare``. Its graph takes unlabelled images (B, C, H, W) and codes (B, Z).

    Args:
        setting: its optimiser, seed and devices.
        classifier: the network that is trained.
        generator: initialised on all devices.
        size: size Z of a code.
        static: run the generator with static memory.
    """

    inputs: Tuple[str, ...] = ("generated",)
    #: standard normal codes; False: uniform in [-1, 1)
    normal = False

    def __init__(
        self,
        setting: Setting,
        classifier: AdversarialClassifier,
        generator: HybridBlock,
        size: int,
        static: bool = True,
    ) -> None:
        super().__init__(setting)
        self.classifier, self.generator, self._size = classifier, generator, size
        self.networks = {"generator": generator}
        generator.hybridize(static_alloc=static, static_shape=static)

    def start(self, images: np.ndarray) -> None:
        """Start the classifier's weight normalisation from a batch (Salimans and Kingma 2016)."""
        self.classifier.start_from(mx.nd.array(images, ctx=self.setting.devices[0]))

    def codes(self, count: int, number: int, place: int) -> List[Tensor]:
        """Draw the codes of a batch of ``count`` images, on each device."""
        setting, shape = self.setting, (count, self._size)
        rank = setting.workers.rank
        drawn = draw_codes(shape, setting.seed, number, place, rank, normal=self.normal)
        return on_devices(drawn, setting.devices)

    def sample(self, code: Tensor) -> Tensor:
        """Generate what the classifier judges, from codes (B, Z)."""
        return self.generator(code)

    def of(self, name: str, batch: Batch, number: int, place: int) -> List[Tensor]:
        """Generate as many samples as the batch has images."""
        with mx.autograd.pause(train_mode=True):
            return [self.sample(code) for code in self.codes(len(batch.images), number, place)]

    def arguments(self, step: Step, terms: List[StreamTerms], number: int) -> List[Tuple[Tensor, ...]]:
        """Return unlabelled images and new codes."""
        assert step.unlabelled is not None  # the recipe's checks ask for the stream
        images = on_devices(step.unlabelled.images, self.setting.devices)
        return list(zip(images, self.codes(len(step.unlabelled.images), number, OWN)))

    def generate(self, count: int, seed: int) -> np.ndarray:
        """See ``Companion``."""
        code = draw_codes((count, self._size), seed, 0, 0, normal=self.normal)
        generated: np.ndarray = self.generator(mx.nd.array(code, ctx=self.setting.devices[0])).asnumpy()
        return generated


class GeneratorCompanion(CodeCompanion):
    """A generator of images; the classifier's losses ``generated`` and ``real`` tell them from real ones.

    Args: as for ``CodeCompanion``; a code has ``adversarial.code`` numbers.
    """

    terms = ("feature_matching",)

    def __init__(self, setting: Setting, classifier: AdversarialClassifier, generator: HybridBlock) -> None:
        super().__init__(setting, classifier, generator, setting.recipe.code)
        self._prepare(MatchFeatures(classifier, generator), learned(generator))


def learned(block: HybridBlock) -> List[mx.gluon.Parameter]:
    """List the parameters of a block that get gradients."""
    return [parameter for parameter in block.collect_params().values() if parameter.grad_req != "null"]
