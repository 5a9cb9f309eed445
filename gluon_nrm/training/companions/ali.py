"""Adversarially Learned Inference (Dumoulin et al. 2017): generator and encoder against the classifier."""

from __future__ import annotations

from typing import Any, List, Tuple

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from gluon_nrm.data.pipeline.streams import Batch, Step
from gluon_nrm.generators.encoder import Reparametrise
from gluon_nrm.layers.quiet_block import QuietBlock
from gluon_nrm.losses.adversarial import FoolingLoss
from gluon_nrm.models.adversarial.ali import AliClassifier
from gluon_nrm.training.companions.codes import draw_codes, on_devices
from gluon_nrm.training.companions.companion import Companion, Setting
from gluon_nrm.training.companions.generator import OWN, learned
from gluon_nrm.training.stream_terms import StreamTerms
from gluon_nrm.typing import Operators, Tensor


class FoolJudge(QuietBlock):
    """Loss of generator and encoder on images (B, C, H, W) and codes (B, Z), (1,).

    The pair of a generated image and its code should look real to the classifier, the pair of an image and
    its encoding generated.
    """

    def __init__(self, classifier: AliClassifier, generator: HybridBlock, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.classifier, self.generator = classifier, generator
            self.sample, self.fooling = Reparametrise(), FoolingLoss()

    def hybrid_forward(self, F: Operators, x: Tensor, code: Tensor) -> Tensor:
        drawn = self.sample(*self.classifier.encode(x))
        encoded = self.classifier.judge(self.classifier.pair(x, drawn))
        generated = self.classifier.judge(self.classifier.pair(self.generator(code), code))
        return F.reshape(F.mean(self.fooling(encoded, generated)), (1,))


class AliCompanion(Companion):
    """A generator, and the encoder that is part of the classifier; both learn to fool it.

    Args:
        setting: its optimiser, seed and devices.
        classifier: judges pairs of image and code; it has the encoder.
        generator: initialised on all devices.
    """

    terms = ("fooling",)
    inputs = ("generated",)

    def __init__(self, setting: Setting, classifier: AliClassifier, generator: HybridBlock) -> None:
        super().__init__(setting)
        self.classifier, self.generator = classifier, generator
        self.networks = {"generator": generator}
        generator.hybridize(static_alloc=True, static_shape=True)
        trained = [*learned(generator), *learned(classifier.encoder)]
        self._prepare(FoolJudge(classifier, generator), trained)

    def codes(self, count: int, number: int, place: int) -> List[Tensor]:
        """Draw standard normal codes of a batch of ``count`` images, on each device."""
        setting = self.setting
        shape, rank = (count, self.classifier.code), setting.workers.rank
        return on_devices(draw_codes(shape, setting.seed, number, place, rank, normal=True), setting.devices)

    def of(self, name: str, batch: Batch, number: int, place: int) -> List[Tensor]:
        """Generate as many pairs of image and code as the batch has images."""
        with mx.autograd.pause(train_mode=True):
            codes = self.codes(len(batch.images), number, place)
            return [self.classifier.pair(self.generator(code), code) for code in codes]

    def arguments(self, step: Step, terms: List[StreamTerms], number: int) -> List[Tuple[Tensor, ...]]:
        """Return unlabelled images and new codes."""
        assert step.unlabelled is not None  # the recipe's checks ask for the stream
        images = on_devices(step.unlabelled.images, self.setting.devices)
        return list(zip(images, self.codes(len(step.unlabelled.images), number, OWN)))

    def generate(self, count: int, seed: int) -> np.ndarray:
        """See ``Companion``."""
        code = draw_codes((count, self.classifier.code), seed, 0, 0, normal=True)
        generated: np.ndarray = self.generator(mx.nd.array(code, ctx=self.setting.devices[0])).asnumpy()
        return generated
