"""ResNeXt (Xie et al. 2017, "Aggregated Residual Transformations for Deep Neural Networks").

Also ResNeXt with two branches in each block, mixed by Shake-Shake (Gastaldi 2017, Section 2.2).
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any, Callable, Iterator, Optional, Sequence

from mxnet.gluon import HybridBlock, nn

from gluon_nrm.backbones.blocks import (
    ImageClassifier,
    Residual,
    activation,
    batch_norm,
    block_shapes,
    bottleneck_branch,
    convolution,
    projection,
)
from gluon_nrm.backbones.checks import check_classifier, check_counts
from gluon_nrm.layers.shake_shake import ShakeShake

Stem = Callable[[int, int, float], Iterator[HybridBlock]]

EXPANSION = 4
"""Feature maps of the first stage's output over those of the stem."""


def resnext(
    classes: int,
    in_channels: int = 3,
    stem: int = 64,
    cardinality: int = 8,
    width: int = 64,
    blocks: Sequence[int] = (3, 3, 3),
    slope: float = 0.0,
) -> HybridBlock:
    """Build a ResNeXt for small images (Section 5.3): logits (B, K) of images (B, C, H, W).

    A 3x3 convolution, then stages of bottleneck blocks; every stage but the first halves the image and
    doubles the feature maps. Shortcuts are identities, and 1x1 projections where the shape changes.

    Args:
        classes: K.
        in_channels: C.
        stem: feature maps of the first convolution; the first stage puts out four times as many.
        cardinality: groups of the 3x3 convolutions.
        width: feature maps of one group in the first stage.
        blocks: blocks of each stage; n in each of three stages are 9n + 2 layers, here 29.
        slope: slope of the leaky ReLU below zero; 0 is ReLU.

    Raises:
        ModelError: an argument is out of its range.
    """
    return _build(_small_stem, None, classes, in_channels, stem, cardinality, width, blocks, slope)


def resnext29_8x64d(classes: int, **options: Any) -> HybridBlock:
    """Build the ResNeXt-29, 8x64d of Table 7 (34.4 M parameters); ``options`` are those of ``resnext``."""
    return resnext(classes, **{"cardinality": 8, "width": 64, **options})


def resnext29_16x64d(classes: int, **options: Any) -> HybridBlock:
    """Build the ResNeXt-29, 16x64d of Table 7 (68.1 M parameters); ``options`` are those of ``resnext``."""
    return resnext(classes, **{"cardinality": 16, "width": 64, **options})


def resnext50_32x4d(
    classes: int,
    in_channels: int = 3,
    stem: int = 64,
    cardinality: int = 32,
    width: int = 4,
    blocks: Sequence[int] = (3, 4, 6, 3),
    slope: float = 0.0,
) -> HybridBlock:
    """Build the ResNeXt-50, 32x4d of Table 1 for large images, 25.0 M parameters, arguments as ``resnext``.

    Its stem is a 7x7 convolution with stride 2 and a 2x2 max-pooling, whose windows do not overlap, as in the
    paper's NRM for ImageNet (Ho et al. 2019); Xie et al. pool by 3x3.

    Raises:
        ModelError: an argument is out of its range.
    """
    return _build(_large_stem, None, classes, in_channels, stem, cardinality, width, blocks, slope)


def shake_resnext(
    classes: int,
    in_channels: int = 3,
    stem: int = 64,
    cardinality: int = 4,
    width: int = 64,
    blocks: Sequence[int] = (3, 3, 3),
    forward: str = "shake",
    backward: str = "shake",
    level: str = "image",
    slope: float = 0.0,
) -> HybridBlock:
    """Build a ResNeXt of two branches in each block (Gastaldi 2017, Section 2.2), arguments as ``resnext``.

    Cardinality and width are those of each branch. For ``forward``, ``backward`` and ``level`` see
    ``ShakeShake``, which mixes the branches. Shortcuts and activations are those of ``resnext``.

    Raises:
        ModelError: an argument is out of its range or not one of its choices.
    """
    mix = partial(ShakeShake, forward, backward, level)
    return _build(_small_stem, mix, classes, in_channels, stem, cardinality, width, blocks, slope)


def shake_resnext29_2x4x64d(classes: int, **options: Any) -> HybridBlock:
    """Build the ResNeXt-29 2x4x64d of Table 2; ``options`` are those of ``shake_resnext``.

    The paper uses it for CIFAR-100, with ``backward="even"``. It gives 34.4 M parameters, the count with 10
    classes; with 100 there are 34.5 M.
    """
    return shake_resnext(classes, **{"cardinality": 4, "width": 64, **options})


def _build(
    stem_layers: Stem,
    mix: Optional[Callable[[], ShakeShake]],
    classes: int,
    in_channels: int,
    stem: int,
    cardinality: int,
    width: int,
    blocks: Sequence[int],
    slope: float,
) -> HybridBlock:
    check_classifier(classes, in_channels, blocks, slope)
    check_counts(stem=stem, cardinality=cardinality, width=width)
    widths = [EXPANSION * stem * 2**stage for stage in range(len(blocks))]

    def bottlenecks() -> Iterator[HybridBlock]:
        """Yield the residual blocks, stage by stage."""
        for block in block_shapes(stem, widths, blocks):
            inner = cardinality * width * 2**block.stage
            yield Residual(
                [
                    bottleneck_branch(
                        block.in_channels, inner, block.channels, block.stride, cardinality, slope
                    )
                    for _ in range(2 if mix else 1)
                ],
                projection(block.in_channels, block.channels, block.stride),
                mix=mix() if mix else None,
                after=activation(slope),
            )

    layers = itertools.chain(stem_layers(in_channels, stem, slope), bottlenecks())
    return ImageClassifier(layers, widths[-1], classes)


def _small_stem(in_channels: int, channels: int, slope: float) -> Iterator[HybridBlock]:
    yield convolution(in_channels, channels, 3)
    yield batch_norm(channels)
    yield activation(slope)


def _large_stem(in_channels: int, channels: int, slope: float) -> Iterator[HybridBlock]:
    yield convolution(in_channels, channels, 7, 2)
    yield batch_norm(channels)
    yield activation(slope)
    yield nn.MaxPool2D(2, 2)
