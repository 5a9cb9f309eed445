"""Classifier of ALI: a discriminator of pairs of image and code (Dumoulin et al. 2017)."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import mxnet as mx
from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import Parameter

from gluon_nrm.errors import ModelError
from gluon_nrm.generators.convolutions import ConvolutionSpec
from gluon_nrm.generators.encoder import Encoded, ImageEncoder, Reparametrise, halving_convolutions
from gluon_nrm.layers.options import NRMOptions
from gluon_nrm.models.adversarial.ali_towers import JoinPair, PairTower, SplitPair, TowerSizes
from gluon_nrm.models.adversarial.classifier import AdversarialClassifier
from gluon_nrm.models.interface.passes import Inference
from gluon_nrm.typing import Operators, Tensor

#: Rate of dropout where ``options.dropout`` is None.
DROPOUT = 0.2


class AliSizes(NamedTuple):
    """Layers of an ``AliClassifier``."""

    #: size Z of a code
    code: int
    #: convolutions of the encoder
    encoder: Sequence[ConvolutionSpec]
    towers: TowerSizes


class HeldCode(HybridBlock):
    """Draw codes (B, Z) of images (B, C, H, W) that carry no gradient to the encoder.

    In a hybridised graph, the training passes of the classifier move the running statistics of the encoder's
    batch norms, as those of any network do; its parameters stay. Eagerly the statistics stay too.

    Args:
        encoder: images to ``Encoded``.
    """

    def __init__(self, encoder: ImageEncoder, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.encoder = encoder
        with self.name_scope():
            self.sample = Reparametrise()

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tensor:
        # paused for eager runs: MXNet 1.9.1 crashes in the backward pass of layers that get no gradient
        with mx.autograd.pause(train_mode=mx.autograd.is_training()):
            return F.BlockGrad(self.sample(*self.encoder(x)))


class AliClassifier(AdversarialClassifier):
    """Encode an image, then judge the pair of image and code.

    Of the paper's K + 1 outputs, the (K + 1)-th score, "generated", is fixed at 0, which loses nothing: a
    softmax depends on differences of scores only. So "real or generated" is log sum_k exp(l_k) against 0, as
    for ``GanClassifier``.

    A sample of ``judge`` is an image and its code side by side, flattened: (B, C * H * W + Z).

    Args:
        sizes: the layers.
        classes: number of classes K.
        input_shape: channels, height and width of the images.
        options: the network's options; ``dropout`` applies, and ``noise`` is refused.

    Attributes:
        code: size Z of a code.
        encoder: images to ``Encoded``.

    Raises:
        ModelError: as for ``Network``, or the images are too small, or ``options.noise`` is set.
    """

    def __init__(
        self,
        sizes: AliSizes,
        classes: int,
        input_shape: Tuple[int, int, int],
        options: NRMOptions,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, input_shape, options, **kwargs)
        if options.noise is not None:
            raise ModelError(
                "model.noise: the networks of ALI have no noise on the image; leave this key out"
            )
        dropout = DROPOUT if options.dropout is None else options.dropout
        self.code, self.stochastic = sizes.code, True  # a code is drawn in training
        with self.name_scope():
            self.encoder = ImageEncoder(input_shape, sizes.encoder, sizes.code)
            self.held_code = HeldCode(self.encoder)
            self.tower = PairTower(sizes.towers, input_shape, sizes.code, classes, dropout)
            self.split_pair, self.join_pair = SplitPair(input_shape), JoinPair()

    def encode(self, x: Tensor) -> Encoded:
        """Encode images (B, *input_shape): mean and log-variance of the code, (B, Z) each."""
        return self.encoder(x)

    def pair(self, x: Tensor, code: Tensor) -> Tensor:
        """Put images (B, *input_shape) and codes (B, Z) side by side, as a sample of ``judge``."""
        return self.join_pair(x, code)

    def judge(self, sample: Tensor) -> Tensor:
        """Score pairs of image and code, (B, K)."""
        return self.tower(*self.split_pair(sample))

    def features(self, x: Tensor) -> Tensor:
        """Compute the features of the image tower, (B, N)."""
        return self.tower.of_image(x)

    def infer(self, x: Tensor) -> List[Inference]:
        """Scores of each image with its code: drawn in training, the mean in prediction."""
        return [Inference(self.tower(x, self.held_code(x)))]

    @property
    def learned_elsewhere(self) -> List[Parameter]:
        """The encoder's parameters, which the losses of encoder and generator train."""
        return list(self.encoder.collect_params().values())


def _small(width: int, halved: int, shape: Tuple[int, int, int]) -> AliSizes:
    """Make small networks for images of 8 x 8 and 28 x 28, leaky ReLU in the towers.

    Args:
        width: feature maps of the first convolution.
        halved: feature maps of the next one, which halves the sides.
        shape: of the images.
    """
    convolutions = [ConvolutionSpec(width, 3, 1, 1), *halving_convolutions(shape, halved)]
    return AliSizes(64, convolutions, TowerSizes(convolutions, (128,), (256, 256)))


#: Convolutions of encoder and image tower for 32 x 32: the program of Dumoulin et al. (2017) for CIFAR-10.
_OF_32 = (
    ConvolutionSpec(32, 5),
    ConvolutionSpec(64, 4, 2),
    ConvolutionSpec(128, 4),
    ConvolutionSpec(256, 4, 2),
    ConvolutionSpec(512, 4),
)
_TOWERS_OF_32 = TowerSizes(_OF_32, (512, 512), (1024, 1024), maxout=True)

#: The sizes of the registered networks, by name.
SIZES: Dict[str, AliSizes] = {
    "ali_digits": _small(16, 32, (1, 8, 8)),
    "ali_28": _small(16, 16, (1, 28, 28)),
    "ali_cifar": AliSizes(64, (*_OF_32, ConvolutionSpec(512, 1)), _TOWERS_OF_32),
    "ali_svhn": AliSizes(256, (*_OF_32, ConvolutionSpec(512, 1)), _TOWERS_OF_32),
}
