"""Encoder of images to codes, and the sampling of a code (ALI, Dumoulin et al. 2017)."""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence, Tuple

import numpy as np
from mxnet.gluon import HybridBlock, nn

from gluon_nrm.generators.convolutions import ConvolutionSpec, he_normal, output_shape, with_inputs
from gluon_nrm.layers.named_outputs import NamedBlock
from gluon_nrm.layers.training_noise import TrainingNoise
from gluon_nrm.typing import Operators, Tensor

#: Slope of the leaky ReLU.
SLOPE = 0.1


class Encoded(NamedTuple):
    """A Gaussian distribution of the code of each image."""

    #: (B, Z)
    mean: Tensor
    #: logarithm of the variance, (B, Z)
    log_variance: Tensor


class ImageEncoder(NamedBlock):
    """Normalised images (B, C, H, W) to ``Encoded``, the mean and log-variance of their codes, (B, Z) each.

    Convolutions with batch norm and leaky ReLU, then a linear layer.

    Args:
        input_shape: channels, height and width of the images.
        convolutions: from the image upwards.
        code: size Z of a code.

    Attributes:
        code: Z.

    Raises:
        ModelError: the images are too small.
    """

    result_type = Encoded

    def __init__(
        self,
        input_shape: Tuple[int, int, int],
        convolutions: Sequence[ConvolutionSpec],
        code: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.code = code
        units = int(np.prod(output_shape(convolutions, input_shape)))
        with self.name_scope():
            self.body = nn.HybridSequential()
            for in_channels, spec in with_inputs(convolutions, input_shape[0]):
                self.body.add(
                    nn.Conv2D(*spec, use_bias=False, in_channels=in_channels, weight_initializer=he_normal()),
                    nn.BatchNorm(in_channels=spec.channels),
                    nn.LeakyReLU(SLOPE),
                )
            self.moments = nn.Dense(2 * code, in_units=units, weight_initializer=he_normal())

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tuple[Tensor, Tensor]:
        moments = self.moments(self.body(x))
        return (
            F.slice_axis(moments, axis=1, begin=0, end=self.code),
            F.slice_axis(moments, axis=1, begin=self.code, end=2 * self.code),
        )


class Reparametrise(HybridBlock):
    """Draw a code in training, mean + deviation * noise, and take the mean in prediction.

    Kingma and Welling 2014, Section 2.4. The noise is standard normal, and the gradient reaches both inputs.
    Called with the mean and the logarithm of the variance, (B, Z) each. Returns (B, Z).
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.noise = TrainingNoise(1.0)

    def hybrid_forward(self, F: Operators, mean: Tensor, log_variance: Tensor) -> Tensor:
        return mean + F.exp(log_variance * 0.5) * self.noise(F.zeros_like(mean))


def make_encoder(input_shape: Tuple[int, int, int], code: int, width: int) -> ImageEncoder:
    """Build a small encoder: convolutions with stride 2 down to 4 pixels a side or less.

    Args:
        input_shape: channels, height and width of the images.
        code: size Z of a code.
        width: feature maps of the first convolution; the next ones have twice and four times as many.

    Raises:
        ModelError: the images are too small.
    """
    return ImageEncoder(input_shape, halving_convolutions(input_shape, width), code)


def halving_convolutions(input_shape: Tuple[int, int, int], width: int) -> Sequence[ConvolutionSpec]:
    """Make convolutions of 4 x 4 with stride 2 down to 4 pixels a side; the maps double twice at most.

    Args:
        input_shape: channels, height and width of the images.
        width: feature maps of the first convolution; the next ones have twice and four times as many.
    """
    found, side = [ConvolutionSpec(width, 4, 2, 1)], min(input_shape[1:]) // 2
    while side > 4:
        found.append(ConvolutionSpec(min(2 * found[-1].channels, 4 * width), 4, 2, 1))
        side //= 2
    return found
