"""Registered Ladder networks: those of the paper, and a small one for the digits.

The weights of the denoising cost are those of the authors' program
(https://github.com/CuriousAI/ladder).
"""

from __future__ import annotations

from typing import List, Tuple

from gluon_nrm.layers.options import NRMOptions
from gluon_nrm.models.ladder.layers import LadderLayer, convolution, dense, global_mean, max_pooling
from gluon_nrm.models.ladder.network import LadderNetwork
from gluon_nrm.models.registry import register_classifier

ImageShape = Tuple[int, int, int]


def _top_alone(layers: List[LadderLayer], weight: float) -> List[float]:
    """Weights of the Gamma-model: the cost of the top layer alone."""
    return [0.0] * len(layers) + [weight]


@register_classifier
def ladder_digits(classes: int, input_shape: ImageShape, options: NRMOptions) -> LadderNetwork:
    """Digits: the layers of ``digits_cnn``, three convolutions and one pooling, with a decoder of all."""
    layers = [
        convolution(32), max_pooling(), convolution(64), convolution(64), global_mean(), dense(classes),
    ]  # fmt: skip
    return LadderNetwork(
        layers, classes, input_shape, options, denoising=[10.0, 1.0, 0.1, 0.1, 0.1, 0.1, 0.1], slope=0.1
    )


@register_classifier
def ladder_fashion_mnist(classes: int, input_shape: ImageShape, options: NRMOptions) -> LadderNetwork:
    """Fashion-MNIST: the layers of the other methods' recipes, with a decoder of all."""
    layers = [
        convolution(16), max_pooling(), convolution(32), max_pooling(), convolution(64), max_pooling(),
        convolution(64), global_mean(), dense(classes),
    ]  # fmt: skip
    return LadderNetwork(
        layers, classes, input_shape, options, denoising=[10.0, 1.0, *[0.1] * (len(layers) - 1)], slope=0.1
    )


@register_classifier
def ladder_mnist_dense(classes: int, input_shape: ImageShape, options: NRMOptions) -> LadderNetwork:
    """MNIST with 100 labels: fully connected, 1000-500-250-250-250, with a decoder of all layers."""
    layers = [dense(units) for units in (1000, 500, 250, 250, 250, classes)]
    return LadderNetwork(
        layers, classes, input_shape, options, denoising=[1000.0, 10.0, 0.1, 0.1, 0.1, 0.1, 0.1]
    )


@register_classifier
def ladder_conv_small(classes: int, input_shape: ImageShape, options: NRMOptions) -> LadderNetwork:
    """MNIST with 100 labels: Conv-Small, Gamma-model; up to its last layers it is ``lenet_small``."""
    layers = [
        convolution(32, 5, pad=4), max_pooling(), convolution(64, pad=0), convolution(64, pad=2),
        max_pooling(), convolution(128, pad=0), convolution(classes, 1, pad=0), global_mean(), dense(classes),
    ]  # fmt: skip
    return LadderNetwork(layers, classes, input_shape, options, denoising=_top_alone(layers, 1.0))


@register_classifier
def ladder_conv_large(classes: int, input_shape: ImageShape, options: NRMOptions) -> LadderNetwork:
    """CIFAR-10 with 4,000 labels: Conv-Large, Gamma-model, leaky ReLU."""
    layers = [
        convolution(96, pad=0), convolution(96, pad=2), convolution(96, pad=2), max_pooling(),
        convolution(192, pad=0), convolution(192, pad=2), convolution(192, pad=0), max_pooling(),
        convolution(192, pad=0), convolution(192, 1, pad=0), convolution(classes, 1, pad=0), global_mean(),
    ]  # fmt: skip
    return LadderNetwork(
        layers, classes, input_shape, options, denoising=_top_alone(layers, 4.0), slope=0.1, scales=False
    )
