"""Residual networks for small images (He et al. 2016, "Deep Residual Learning for Image Recognition")."""

from __future__ import annotations

from typing import Iterator, Sequence

from mxnet.gluon import HybridBlock

from gluon_nrm.backbones.blocks import (
    ImageClassifier,
    Residual,
    activation,
    basic_branch,
    batch_norm,
    block_shapes,
    convolution,
    projection,
)
from gluon_nrm.backbones.checks import check_classifier, check_counts


def cifar_resnet(
    classes: int,
    in_channels: int = 3,
    width: int = 16,
    blocks: Sequence[int] = (3, 3, 3),
    slope: float = 0.0,
) -> HybridBlock:
    """Build the residual network of Section 4.2: logits (B, K) of images (B, C, H, W).

    A 3x3 convolution, then stages of basic blocks with post-activation; every stage but the first halves the
    image and doubles the feature maps. The shortcut where it does is a 1x1 projection (option B); the paper's
    CIFAR networks pad with zeros there (option A).

    Args:
        classes: K.
        in_channels: C.
        width: feature maps of the first stage.
        blocks: blocks of each stage; (n, n, n) is the paper's network of 6n + 2 layers, here ResNet-20.
        slope: slope of the leaky ReLU below zero; 0 is ReLU.

    Raises:
        ModelError: an argument is out of its range.
    """
    check_classifier(classes, in_channels, blocks, slope)
    check_counts(width=width)
    widths = [width * 2**stage for stage in range(len(blocks))]
    return ImageClassifier(_layers(in_channels, widths, blocks, slope), widths[-1], classes)


def _layers(
    in_channels: int, widths: Sequence[int], blocks: Sequence[int], slope: float
) -> Iterator[HybridBlock]:
    yield convolution(in_channels, widths[0], 3)
    yield batch_norm(widths[0])
    yield activation(slope)
    for block in block_shapes(widths[0], widths, blocks):
        yield Residual(
            [basic_branch(block.in_channels, block.channels, block.stride, slope)],
            projection(block.in_channels, block.channels, block.stride),
            after=activation(slope),
        )
