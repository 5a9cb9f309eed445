"""Registered classifiers of the adversarial methods: those of the papers, and small ones."""

from __future__ import annotations

from typing import Tuple

from gluon_nrm.layers.options import NRMOptions
from gluon_nrm.models.adversarial.gan import SIZES, GanClassifier
from gluon_nrm.models.registry import register_classifier


@register_classifier
def gan_digits(classes: int, input_shape: Tuple[int, int, int], options: NRMOptions) -> GanClassifier:
    """Digits of 8 x 8: five small convolutions; noise of 0.3 on the image, dropout 0.5."""
    return GanClassifier(SIZES["gan_digits"], classes, input_shape, options)


@register_classifier
def gan_28(classes: int, input_shape: Tuple[int, int, int], options: NRMOptions) -> GanClassifier:
    """Fashion-MNIST and other images of 28 x 28: six convolutions; noise of 0.3, dropout 0.5."""
    return GanClassifier(SIZES["gan_28"], classes, input_shape, options)


@register_classifier
def gan_conv9(classes: int, input_shape: Tuple[int, int, int], options: NRMOptions) -> GanClassifier:
    """CIFAR-10 and SVHN: the nine convolutions of Salimans et al. (2016).

    Dropout of 0.2 on the image, as in their program; ``options.noise`` adds Gaussian noise, by default none.
    """
    return GanClassifier(SIZES["gan_conv9"], classes, input_shape, options)
