"""Densely connected networks (Huang et al. 2017, "Densely Connected Convolutional Networks")."""

from __future__ import annotations

from typing import Any, Iterator, Sequence

from mxnet.gluon import HybridBlock, nn

from gluon_nrm.backbones.blocks import ImageClassifier, activation, batch_norm, chain, convolution
from gluon_nrm.backbones.checks import check_classifier, check_counts
from gluon_nrm.errors import ModelError
from gluon_nrm.typing import Operators, Tensor

BOTTLENECK = 4
"""Feature maps of the 1x1 convolution of a layer, in growth rates."""

ALIGNED = 16
"""Feature maps in a unit of oneDNN's blocked memory layout.

The gradient of a concatenation arrives in that layout, and MXNet 1.9.1 on the CPU cannot split it within a
unit ("could not construct a sub-memory"). A slice of all feature maps behind the concatenation returns its
gradient in the plain layout.
"""


def cifar_densenet(
    classes: int,
    in_channels: int = 3,
    growth_rate: int = 12,
    blocks: Sequence[int] = (16, 16, 16),
    compression: float = 0.5,
    slope: float = 0.0,
) -> HybridBlock:
    """Build the DenseNet-BC of Section 4.2 without dropout: logits (B, K) of images (B, C, H, W).

    Args:
        classes: K.
        in_channels: C.
        growth_rate: k, the feature maps that each layer adds.
        blocks: layers of each dense block, of two convolutions each; n in each of three are 6n + 4 layers
            of the network, here DenseNet-BC (L=100, k=12).
        compression: theta, the share of feature maps that a transition between dense blocks keeps.
        slope: slope of the leaky ReLU below zero; 0 is ReLU.

    Raises:
        ModelError: an argument is out of its range.
    """
    check_classifier(classes, in_channels, blocks, slope)
    check_counts(growth_rate=growth_rate)
    if not 0 < compression <= 1:
        raise ModelError(f"compression: must be above 0 and at most 1, found {compression}")
    widths = []  # feature maps after each dense block
    channels = 2 * growth_rate
    for count in blocks:
        widths.append(channels + count * growth_rate)
        channels = int(widths[-1] * compression)
        if channels < 1:
            raise ModelError(
                f"compression: {compression} of {widths[-1]} feature maps leaves no feature map; raise it"
            )

    def layers() -> Iterator[HybridBlock]:
        """Yield the layers below the classifier."""
        yield convolution(in_channels, 2 * growth_rate, 3)
        for stage, (count, width) in enumerate(zip(blocks, widths)):
            if stage > 0:
                yield from _transition(widths[stage - 1], width - count * growth_rate, slope)
            for place in range(count):
                yield DenseLayer(width - (count - place) * growth_rate, growth_rate, slope)
        yield batch_norm(widths[-1])
        yield activation(slope)

    return ImageClassifier(layers(), widths[-1], classes)


class DenseLayer(HybridBlock):
    """Append ``growth_rate`` feature maps: (B, C, H, W) to (B, C + growth_rate, H, W)."""

    def __init__(self, in_channels: int, growth_rate: int, slope: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        inner = BOTTLENECK * growth_rate
        unaligned = in_channels % ALIGNED or growth_rate % ALIGNED
        self._whole = in_channels + growth_rate if unaligned else None
        self.body = chain(
            [
                batch_norm(in_channels),
                activation(slope),
                convolution(in_channels, inner, 1),
                batch_norm(inner),
                activation(slope),
                convolution(inner, growth_rate, 3),
            ]
        )

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tensor:
        joined = F.concat(x, self.body(x), dim=1)
        if self._whole is None:
            return joined
        return F.slice_axis(joined, axis=1, begin=0, end=self._whole)


def _transition(in_channels: int, channels: int, slope: float) -> Iterator[HybridBlock]:
    """Yield a transition: fewer feature maps, of half the height and width."""
    yield batch_norm(in_channels)
    yield activation(slope)
    yield convolution(in_channels, channels, 1)
    yield nn.AvgPool2D(2, 2)
