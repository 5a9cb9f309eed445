"""Classifier of Improved GAN: a weight-normalised CNN with noise and dropout (Salimans et al. 2016)."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

import mxnet as mx
from mxnet.gluon import HybridBlock, nn

from gluon_nrm.generators.convolutions import ConvolutionSpec, output_shape, with_inputs
from gluon_nrm.generators.weight_norm import WeightNormConvolution, WeightNormDense, WeightNormLayer
from gluon_nrm.layers.options import NRMOptions
from gluon_nrm.layers.training_noise import TrainingNoise
from gluon_nrm.models.adversarial.classifier import AdversarialClassifier
from gluon_nrm.models.interface.passes import Inference
from gluon_nrm.typing import Tensor

#: Slope of the leaky ReLU.
SLOPE = 0.2
#: Standard deviation of the class scores over the first batch.
SCORE_DEVIATION = 0.1


class GanSizes(NamedTuple):
    """Layers of a ``GanClassifier``."""

    #: convolutions from the image upwards
    convolutions: Sequence[ConvolutionSpec]
    #: indices of the convolutions with dropout before them
    dropout_before: Tuple[int, ...]
    #: standard deviation of the noise on the image, where ``options.noise`` is None
    noise: float = 0.0
    #: rate of the dropout on the image
    image_dropout: float = 0.0
    #: rate of the other dropouts, where ``options.dropout`` is None
    dropout: float = 0.5


class GanClassifier(AdversarialClassifier):
    """Noise, dropout, weight-normalised convolutions, global average and linear scores.

    As in the program of Salimans et al. (2016), g of a convolution stays where ``start_from`` puts it, and
    that of the scores is learned.

    Args:
        sizes: the layers.
        classes: number of classes K.
        input_shape: channels, height and width of the images.
        options: the network's options; ``noise`` and ``dropout`` apply.

    Raises:
        ModelError: as for ``Network``, or the images are too small.
    """

    def __init__(
        self,
        sizes: GanSizes,
        classes: int,
        input_shape: Tuple[int, int, int],
        options: NRMOptions,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, input_shape, options, **kwargs)
        channels, _, _ = output_shape(sizes.convolutions, input_shape)
        noise = sizes.noise if options.noise is None else options.noise
        dropout = sizes.dropout if options.dropout is None else options.dropout
        self.stochastic = max(noise, dropout, sizes.image_dropout) > 0
        with self.name_scope():
            self.body = nn.HybridSequential()
            self.body.add(*self._layers(sizes, noise, dropout))
            self.scores = WeightNormDense(channels, classes)

    def _layers(self, sizes: GanSizes, noise: float, dropout: float) -> Iterator[HybridBlock]:
        if noise > 0:
            yield TrainingNoise(noise)
        if sizes.image_dropout > 0:
            yield nn.Dropout(sizes.image_dropout)
        layers = with_inputs(sizes.convolutions, self.input_shape[0])
        for place, (in_channels, spec) in enumerate(layers):
            if dropout > 0 and place in sizes.dropout_before:
                yield nn.Dropout(dropout)
            yield WeightNormConvolution(in_channels, *spec, learn_scale=False)
            yield nn.LeakyReLU(SLOPE)
        yield nn.GlobalAvgPool2D()
        yield nn.Flatten()

    def features(self, x: Tensor) -> Tensor:
        """Compute the global average of the last feature maps, (B, N), as Salimans et al. (2016)."""
        return self.body(x)

    def judge(self, sample: Tensor) -> Tensor:
        """Score images (B, *input_shape), (B, K)."""
        return self.scores(self.features(sample))

    def infer(self, x: Tensor) -> List[Inference]:
        """Scores of the one branch: those of ``judge``."""
        return [Inference(self.judge(x))]

    def start_from(self, images: Tensor) -> None:
        """Set g and b of all layers by a batch of images, in the order of the layers.

        Each layer sees the outputs of the started layers below it, with the noise and dropout of training,
        as in the program of Salimans et al. (2016); the caller seeds MXNet's random stream.
        """
        with mx.autograd.pause(train_mode=True):
            x = images
            for block in self.body:
                x = block.start_from(x) if isinstance(block, WeightNormLayer) else block(x)
            self.scores.start_from(x, SCORE_DEVIATION)


#: The sizes of the registered networks, by name.
SIZES: Dict[str, GanSizes] = {
    "gan_digits": GanSizes(
        convolutions=(
            ConvolutionSpec(32, 3, 1, 1),
            ConvolutionSpec(32, 3, 2, 1),
            ConvolutionSpec(64, 3, 1, 1),
            ConvolutionSpec(64, 3),
            ConvolutionSpec(64, 1),
        ),
        dropout_before=(2, 3),
        noise=0.3,
    ),
    "gan_28": GanSizes(
        convolutions=(
            ConvolutionSpec(16, 3, 1, 1),
            ConvolutionSpec(32, 3, 2, 1),
            ConvolutionSpec(64, 3, 2, 1),
            ConvolutionSpec(64, 3),
            ConvolutionSpec(64, 1),
        ),
        dropout_before=(2, 3),
        noise=0.3,
    ),
    "gan_conv9": GanSizes(
        convolutions=(
            ConvolutionSpec(96, 3, 1, 1),
            ConvolutionSpec(96, 3, 1, 1),
            ConvolutionSpec(96, 3, 2, 1),
            ConvolutionSpec(192, 3, 1, 1),
            ConvolutionSpec(192, 3, 1, 1),
            ConvolutionSpec(192, 3, 2, 1),
            ConvolutionSpec(192, 3),
            ConvolutionSpec(192, 1),
            ConvolutionSpec(192, 1),
        ),
        dropout_before=(3, 6),
        image_dropout=0.2,
    ),
}
