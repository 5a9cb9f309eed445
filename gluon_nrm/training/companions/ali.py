"""Adversarially Learned Inference (Dumoulin et al. 2017): generator and encoder against the classifier."""

from __future__ import annotations

from typing import Any

from mxnet.gluon import HybridBlock

from gluon_nrm.generators.encoder import Reparametrise
from gluon_nrm.layers.quiet_block import QuietBlock
from gluon_nrm.losses.adversarial import FoolingLoss
from gluon_nrm.models.adversarial.ali import AliClassifier
from gluon_nrm.training.companions.companion import Setting
from gluon_nrm.training.companions.generator import CodeCompanion, learned
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


class AliCompanion(CodeCompanion):
    """A generator, and the encoder that is part of the classifier; both learn to fool it.

    Args:
        setting: its optimiser, seed and devices.
        classifier: judges pairs of image and code; it has the encoder.
        generator: initialised on all devices.
    """

    terms = ("fooling",)
    normal = True

    def __init__(self, setting: Setting, classifier: AliClassifier, generator: HybridBlock) -> None:
        super().__init__(setting, classifier, generator, classifier.code)
        self._pair = classifier.pair
        trained = [*learned(generator), *learned(classifier.encoder)]
        self._prepare(FoolJudge(classifier, generator), trained)

    def sample(self, code: Tensor) -> Tensor:
        """Generate pairs of image and code."""
        return self._pair(self.generator(code), code)
