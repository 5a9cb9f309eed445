"""Residual networks of two randomly mixed branches (Gastaldi 2017, "Shake-Shake regularization").

Details that the paper leaves open follow its author's program, and give the published numbers of parameters:
no convolution has a bias, the stem has a norm but no activation, and the first block, which widens the stem,
has the two-path shortcut with stride 1.
"""

from __future__ import annotations

from typing import Any, Iterator, Optional, Sequence

from mxnet.gluon import HybridBlock, nn

from gluon_nrm.backbones.blocks import (
    ImageClassifier,
    Residual,
    activation,
    basic_branch,
    batch_norm,
    block_shapes,
    convolution,
)
from gluon_nrm.backbones.checks import check_classifier, check_counts
from gluon_nrm.errors import ModelError
from gluon_nrm.layers.shake_shake import ShakeShake
from gluon_nrm.typing import Operators, Tensor


def shake_resnet(
    classes: int,
    in_channels: int = 3,
    stem: int = 16,
    width: int = 32,
    blocks: Sequence[int] = (4, 4, 4),
    forward: str = "shake",
    backward: str = "shake",
    level: str = "image",
    slope: float = 0.0,
) -> HybridBlock:
    """Build the residual network of Section 2.1: logits (B, K) of images (B, C, H, W).

    A 3x3 convolution, then stages of pre-activated blocks of two branches; every stage but the first halves
    the image and doubles the feature maps. A last activation comes before the pooling.

    Args:
        classes: K.
        in_channels: C.
        stem: feature maps of the first convolution.
        width: feature maps of the first stage.
        blocks: blocks of each stage; n in each of three stages are 6n + 2 layers, here 26.
        forward: gates of the forward pass, "shake" or "even", as for ``ShakeShake``.
        backward: gates of the backward pass, "shake" or "even".
        level: draw gates for each "image" or for each "batch".
        slope: slope of the leaky ReLU below zero; 0 is ReLU.

    Raises:
        ModelError: an argument is out of its range or not one of its choices.
    """
    check_classifier(classes, in_channels, blocks, slope)
    check_counts(stem=stem, width=width)
    widths = [width * 2**stage for stage in range(len(blocks))]
    for block in block_shapes(stem, widths, blocks):
        if block.in_channels != block.channels and block.channels % 2:
            raise ModelError(
                f"width: the two paths of a shortcut share its feature maps, but {block.channels} is odd; "
                "give an even width"
            )

    def layers() -> Iterator[HybridBlock]:
        """Yield the layers below the classifier."""
        yield convolution(in_channels, stem, 3)
        yield batch_norm(stem)
        for block in block_shapes(stem, widths, blocks):
            shape = (block.in_channels, block.channels, block.stride)
            yield Residual(
                [basic_branch(*shape, slope) for _ in range(2)],
                _shortcut(*shape),
                before=activation(slope),
                mix=ShakeShake(forward, backward, level),
            )
        yield activation(slope)

    return ImageClassifier(layers(), widths[-1], classes)


def shake_resnet26_2x32d(classes: int, **options: Any) -> HybridBlock:
    """Build the 26 2x32d network of Table 1 (2.9 M parameters); ``options``: of ``shake_resnet``."""
    return shake_resnet(classes, **{"width": 32, **options})


def shake_resnet26_2x64d(classes: int, **options: Any) -> HybridBlock:
    """Build the 26 2x64d network of Table 1 (11.7 M parameters); ``options``: of ``shake_resnet``."""
    return shake_resnet(classes, **{"width": 64, **options})


def shake_resnet26_2x96d(classes: int, **options: Any) -> HybridBlock:
    """Build the 26 2x96d network of Table 1 (26.2 M parameters); ``options``: of ``shake_resnet``."""
    return shake_resnet(classes, **{"width": 96, **options})


class TwoPathShortcut(HybridBlock):
    """Shortcut of two paths over different pixels: (B, C_in, H, W) to (B, C, H', W').

    Each path computes half of the feature maps by a 1x1 convolution of every ``stride``-th pixel. The second
    path first moves the image by one pixel to the right and down, and fills in zeros.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool = nn.AvgPool2D(1, stride) if stride > 1 else None
        self.straight = convolution(in_channels, channels // 2, 1)
        self.moved = convolution(in_channels, channels // 2, 1)
        self.norm = batch_norm(channels)

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tensor:
        inside = F.slice_axis(F.slice_axis(x, axis=2, begin=0, end=-1), axis=3, begin=0, end=-1)
        moved = F.pad(inside, mode="constant", pad_width=(0, 0, 0, 0, 1, 0, 1, 0), constant_value=0)
        if self.pool is not None:
            x, moved = self.pool(x), self.pool(moved)
        return self.norm(F.concat(self.straight(x), self.moved(moved), dim=1))


def _shortcut(in_channels: int, channels: int, stride: int) -> Optional[HybridBlock]:
    if in_channels == channels and stride == 1:
        return None
    return TwoPathShortcut(in_channels, channels, stride)
