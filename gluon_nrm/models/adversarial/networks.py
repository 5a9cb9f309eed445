"""Registered classifiers of the adversarial methods: those of the papers, and small ones."""

from __future__ import annotations

from typing import Tuple

from gluon_nrm.layers.options import NRMOptions
from gluon_nrm.models.adversarial import ali, gan
from gluon_nrm.models.adversarial.ali import AliClassifier
from gluon_nrm.models.adversarial.gan import GanClassifier
from gluon_nrm.models.registry import register_classifier


@register_classifier
def gan_digits(classes: int, input_shape: Tuple[int, int, int], options: NRMOptions) -> GanClassifier:
    """Digits of 8 x 8: five small convolutions; noise of 0.3 on the image, dropout 0.5."""
    return GanClassifier(gan.SIZES["gan_digits"], classes, input_shape, options)


@register_classifier
def gan_28(classes: int, input_shape: Tuple[int, int, int], options: NRMOptions) -> GanClassifier:
    """Fashion-MNIST and other images of 28 x 28: six convolutions; noise of 0.3, dropout 0.5."""
    return GanClassifier(gan.SIZES["gan_28"], classes, input_shape, options)


@register_classifier
def gan_conv9(classes: int, input_shape: Tuple[int, int, int], options: NRMOptions) -> GanClassifier:
    """CIFAR-10 and SVHN: the nine convolutions of Salimans et al. (2016).

    Dropout of 0.2 on the image, as in their program; ``options.noise`` adds Gaussian noise, by default none.
    """
    return GanClassifier(gan.SIZES["gan_conv9"], classes, input_shape, options)


@register_classifier
def ali_digits(classes: int, input_shape: Tuple[int, int, int], options: NRMOptions) -> AliClassifier:
    """Digits of 8 x 8: code of 64, small convolutions, leaky ReLU, dropout 0.2."""
    return AliClassifier(ali.SIZES["ali_digits"], classes, input_shape, options)


@register_classifier
def ali_28(classes: int, input_shape: Tuple[int, int, int], options: NRMOptions) -> AliClassifier:
    """Fashion-MNIST and other images of 28 x 28: as ``ali_digits``, with one more convolution."""
    return AliClassifier(ali.SIZES["ali_28"], classes, input_shape, options)


@register_classifier
def ali_cifar(classes: int, input_shape: Tuple[int, int, int], options: NRMOptions) -> AliClassifier:
    """CIFAR-10: encoder and discriminator of Dumoulin et al. (2017), code of 64.

    The convolutions, the two layers of the code and of both, and maxout are those of the paper's appendix.
    Differences: dropout has one rate in all layers (0.2; there 0.2 or 0.5), leaky ReLU in the encoder has a
    slope of 0.1 (there 0.02), biases are one number a feature map, the first weights are those of He et al.
    (2015), and the discriminator has K scores in place of one.
    """
    return AliClassifier(ali.SIZES["ali_cifar"], classes, input_shape, options)


@register_classifier
def ali_svhn(classes: int, input_shape: Tuple[int, int, int], options: NRMOptions) -> AliClassifier:
    """SVHN: as ``ali_cifar``, with a code of 256."""
    return AliClassifier(ali.SIZES["ali_svhn"], classes, input_shape, options)
