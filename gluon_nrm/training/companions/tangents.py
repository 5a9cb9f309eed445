"""Improved GAN with Jacobian regularisation and tangents (Kumar et al. 2017)."""

from __future__ import annotations

from typing import Any, List

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from gluon_nrm.data.pipeline.streams import Batch
from gluon_nrm.generators.tangents import random_tangent, tangent_directions
from gluon_nrm.layers.quiet_block import QuietBlock
from gluon_nrm.losses.feature_matching import FeatureMatching
from gluon_nrm.models.adversarial.classifier import AdversarialClassifier
from gluon_nrm.training.companions.codes import PURPOSE, draw_codes, on_devices
from gluon_nrm.training.companions.companion import Setting
from gluon_nrm.training.companions.generator import CodeCompanion, learned
from gluon_nrm.typing import Operators, Tensor

#: Places of random numbers in a step, after those of ``generator.py``.
JITTER, START = 10, 20
TINY = 1e-12
#: Directions of an image, of which one is drawn in their span; and power iterations that find them.
DIRECTIONS, ITERATIONS = 4, 1


class EncodeAndGenerate(QuietBlock):
    """Losses of generator and encoder on images (B, C, H, W) and codes (B, Z), (3,).

    Feature matching of the generator, as in Improved GAN. The encoder learns the codes of generated images,
    and images that it can generate: the mean squared distance of the features of G(E(x)) from those of x.
    Kumar et al. (2017) train both against a discriminator of pairs (augmented BiGAN); here the two distances
    take its place, so that there is one adversary.
    """

    def __init__(
        self, classifier: AdversarialClassifier, generator: HybridBlock, encoder: HybridBlock, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.classifier, self.generator, self.encoder = classifier, generator, encoder
            self.matching = FeatureMatching()

    def hybrid_forward(self, F: Operators, x: Tensor, code: Tensor) -> Tensor:
        with mx.autograd.pause():  # eager runs; the graph has BlockGrad
            real = F.BlockGrad(self.classifier.features(x))
        generated = self.generator(code)
        matched = self.matching(real, self.classifier.features(generated))
        coded = F.mean(F.square(self.encoder(F.BlockGrad(generated))[0] - code))
        again = self.classifier.features(self.generator(self.encoder(x)[0]))
        encoded = F.mean(F.square(again - real))
        return F.concat(*[F.reshape(each, (1,)) for each in (matched, coded, encoded)], dim=0)


class TangentCompanion(CodeCompanion):
    """A generator and an encoder; they give the directions in which the classifier should not change.

    ``jittered`` images move by a step along a random direction, ``moved`` ones along a dominant direction of
    the generator's Jacobian at their code. A step is ``adversarial.step`` of the image's L2 norm.

    Args:
        setting: its optimiser, seed and devices.
        classifier: the network that is trained.
        generator: initialised on all devices.
        encoder: initialised on all devices.
    """

    terms = ("feature_matching", "code_distance", "encoding_distance")
    inputs = ("generated", "jittered", "moved")

    def __init__(
        self,
        setting: Setting,
        classifier: AdversarialClassifier,
        generator: HybridBlock,
        encoder: HybridBlock,
    ) -> None:
        # not static: with static memory, MXNet 1.9.1 computes wrong gradients of the inputs of a graph
        super().__init__(setting, classifier, generator, setting.recipe.code, static=False)
        self.encoder = encoder
        self.networks["encoder"] = encoder
        encoder.hybridize(static_alloc=True, static_shape=True)
        graph = EncodeAndGenerate(classifier, generator, encoder)
        self._prepare(graph, [*learned(generator), *learned(encoder)])

    def of(self, name: str, batch: Batch, number: int, place: int) -> List[Tensor]:
        """Generate images, or move those of the batch."""
        if name == "generated":
            return super().of(name, batch, number, place)
        setting = self.setting
        images = on_devices(batch.images, setting.devices)
        if name == "jittered":
            drawn = draw_codes(
                batch.images.shape, setting.seed, number, JITTER + place, setting.workers.rank, normal=True
            )
            directions = on_devices(drawn, setting.devices)
        else:
            key = (PURPOSE, number, START + place, setting.workers.rank)
            rng = np.random.default_rng(np.random.SeedSequence(setting.seed, spawn_key=key))
            directions = [self._tangents(part, rng) for part in images]
        return [move(image, direction, setting.recipe.step) for image, direction in zip(images, directions)]

    def _tangents(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Draw a direction among the generator's dominant tangents at each image's code, (B, C, H, W)."""
        with mx.autograd.pause():
            codes = self.encoder(images)[0]
        found = tangent_directions(self.generator, codes, DIRECTIONS, rng, ITERATIONS)
        return mx.nd.array(random_tangent(found, rng), ctx=images.context)


def move(images: Tensor, directions: Tensor, step: float) -> Tensor:
    """Move images by ``step`` times their L2 norm along directions, (B, C, H, W) each."""
    lengths, norms = _norms(images), _norms(directions)
    return images + mx.nd.broadcast_mul(directions, step * lengths / (norms + TINY))


def _norms(x: Tensor) -> Tensor:
    """L2 norm of each image, (B, 1, 1, 1)."""
    return mx.nd.sqrt(mx.nd.sum(mx.nd.square(x), axis=0, exclude=True, keepdims=True))
