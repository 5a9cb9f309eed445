"""Discriminator of images and renderings, for the adversarial term of the NRM."""

from __future__ import annotations

from typing import Any, Sequence, Tuple

import numpy as np
from mxnet.gluon import HybridBlock, nn

from gluon_nrm.generators.convolutions import ConvolutionSpec, he_normal, output_shape, with_inputs
from gluon_nrm.generators.encoder import halving_convolutions
from gluon_nrm.typing import Operators, Tensor

#: Slope of the leaky ReLU.
SLOPE = 0.2


class ImageDiscriminator(HybridBlock):
    """Images (B, C, H, W) to scores (B,) before the sigmoid, above 0 for a real image.

    Convolutions with leaky ReLU and a linear score. Without batch norm: the score of an image must not depend
    on the others of its batch, which are all images or all renderings.

    Args:
        input_shape: channels, height and width of the images.
        convolutions: from the image upwards.

    Raises:
        ModelError: the images are too small.
    """

    def __init__(
        self, input_shape: Tuple[int, int, int], convolutions: Sequence[ConvolutionSpec], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        units = int(np.prod(output_shape(convolutions, input_shape)))
        with self.name_scope():
            self.body = nn.HybridSequential()
            for in_channels, spec in with_inputs(convolutions, input_shape[0]):
                self.body.add(
                    nn.Conv2D(*spec, in_channels=in_channels, weight_initializer=he_normal()),
                    nn.LeakyReLU(SLOPE),
                )
            self.score = nn.Dense(1, in_units=units, weight_initializer=he_normal())

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tensor:
        return F.reshape(self.score(self.body(x)), (-1,))


def make_discriminator(input_shape: Tuple[int, int, int], width: int) -> ImageDiscriminator:
    """Build a small discriminator: convolutions with stride 2 down to 4 pixels a side or less.

    Args:
        input_shape: channels, height and width of the images.
        width: feature maps of the first convolution; the next ones have twice and four times as many.

    Raises:
        ModelError: the images are too small.
    """
    return ImageDiscriminator(input_shape, halving_convolutions(input_shape, width))
