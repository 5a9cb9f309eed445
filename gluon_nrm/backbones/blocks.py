"""Blocks of networks with skip connections: branches, shortcuts, the residual block, the classifier."""

from __future__ import annotations

from typing import Any, Iterable, Iterator, NamedTuple, Optional, Sequence

from mxnet.gluon import HybridBlock, nn

from gluon_nrm.typing import Operators, Tensor


def convolution(in_channels: int, channels: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2D:
    """Build a convolution without bias, padded to keep the size at stride 1."""
    return nn.Conv2D(
        channels,
        kernel,
        stride,
        kernel // 2,
        groups=groups,
        use_bias=False,
        in_channels=in_channels,
    )


def batch_norm(channels: int) -> nn.BatchNorm:
    """Build a batch normalisation with the papers' momentum and epsilon."""
    return nn.BatchNorm(momentum=0.9, epsilon=1e-5, in_channels=channels)


def activation(slope: float) -> HybridBlock:
    """Build a leaky ReLU, or a ReLU if ``slope`` is 0."""
    return nn.LeakyReLU(slope) if slope else nn.Activation("relu")


def chain(layers: Iterable[HybridBlock]) -> nn.HybridSequential:
    """Build a sequence of layers."""
    sequence = nn.HybridSequential()
    sequence.add(*layers)
    return sequence


def basic_branch(in_channels: int, channels: int, stride: int, slope: float) -> Iterator[HybridBlock]:
    """Yield two 3x3 convolutions with norms (He et al. 2016, Figure 5 left), without a last activation."""
    yield convolution(in_channels, channels, 3, stride)
    yield batch_norm(channels)
    yield activation(slope)
    yield convolution(channels, channels, 3)
    yield batch_norm(channels)


def bottleneck_branch(
    in_channels: int, inner: int, channels: int, stride: int, groups: int, slope: float
) -> Iterator[HybridBlock]:
    """Yield 1x1, grouped 3x3 and 1x1 convolutions (Xie et al. 2017, Figure 3c), without a last activation."""
    yield convolution(in_channels, inner, 1)
    yield batch_norm(inner)
    yield activation(slope)
    yield convolution(inner, inner, 3, stride, groups)
    yield batch_norm(inner)
    yield activation(slope)
    yield convolution(inner, channels, 1)
    yield batch_norm(channels)


def projection(in_channels: int, channels: int, stride: int) -> Optional[HybridBlock]:
    """Build a 1x1 convolution with norm (He et al. 2016, option B); None if the shape does not change."""
    if in_channels == channels and stride == 1:
        return None
    return chain([convolution(in_channels, channels, 1, stride), batch_norm(channels)])


class BlockShape(NamedTuple):
    """Position and size of a residual block in its network."""

    stage: int
    #: feature maps of the input
    in_channels: int
    #: feature maps of the output
    channels: int
    stride: int


def block_shapes(in_channels: int, widths: Sequence[int], blocks: Sequence[int]) -> Iterator[BlockShape]:
    """Yield the blocks of all stages; the first block of each stage after the first halves the image."""
    for stage, (channels, count) in enumerate(zip(widths, blocks)):
        for place in range(count):
            yield BlockShape(stage, in_channels, channels, 2 if stage > 0 and place == 0 else 1)
            in_channels = channels


class Residual(HybridBlock):
    """Residual block: ``after(shortcut(x) + mix(branch(x), ...))``; (B, C_in, H, W) to (B, C, H', W').

    Args:
        branches: layers of every branch.
        shortcut: a block, or None for the identity.
        before: activation before the branches and a shortcut that is not the identity (pre-activation).
        mix: block that mixes two branches; None for one branch.
        after: activation of the sum (post-activation).
    """

    def __init__(
        self,
        branches: Sequence[Iterable[HybridBlock]],
        shortcut: Optional[HybridBlock] = None,
        before: Optional[HybridBlock] = None,
        mix: Optional[HybridBlock] = None,
        after: Optional[HybridBlock] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.before = before
        self.branches = chain(chain(branch) for branch in branches)
        self.shortcut = shortcut
        self.mix = mix
        self.after = after

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tensor:
        inner = x if self.before is None else self.before(x)
        outputs = [branch(inner) for branch in self.branches]
        residual = outputs[0] if self.mix is None else self.mix(*outputs)
        total = (x if self.shortcut is None else self.shortcut(inner)) + residual
        return total if self.after is None else self.after(total)


class ImageClassifier(HybridBlock):
    """Layers, global average pooling and a linear classifier: images (B, C, H, W) to logits (B, K).

    Args:
        layers: an iterator that builds the layers; it runs in the network's name scope, so that parameter
            names depend on nothing else.
        channels: feature maps of the last layer.
        classes: K.
    """

    def __init__(self, layers: Iterator[HybridBlock], channels: int, classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = chain([*layers, nn.GlobalAvgPool2D()])
            self.output = nn.Dense(classes, in_units=channels)

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tensor:
        return self.output(self.features(x))
