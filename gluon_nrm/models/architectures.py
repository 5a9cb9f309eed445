"""The architectures of the released experiments, LeNet and AllConv13, and one for the digits."""

from __future__ import annotations

from gluon_nrm.layers.architecture import Architecture, LayerSpec
from gluon_nrm.models.registry import register_model


@register_model
def allconv13() -> Architecture:
    """CIFAR-10, CIFAR-100 and SVHN: nine convolutions, two poolings with dropout 0.5."""
    return (
        LayerSpec(128), LayerSpec(128), LayerSpec(128, pool=2, dropout=0.5),
        LayerSpec(256), LayerSpec(256), LayerSpec(256, pool=2, dropout=0.5),
        LayerSpec(512, pad=0), LayerSpec(256), LayerSpec(128),
    )  # fmt: skip


def _lenet(last: int) -> Architecture:
    return (
        LayerSpec(32, kernel=5, pad=4, pool=2),
        LayerSpec(64, pad=0),
        LayerSpec(64, pad=2, pool=2),
        LayerSpec(last, pad=0),
    )


@register_model
def lenet_small() -> Architecture:
    """MNIST with few labels: four convolutions, the last of 128 feature maps."""
    return _lenet(128)


@register_model
def lenet_small_256() -> Architecture:
    """MNIST with all labels, and Figure 4: as ``lenet_small``, with 256 feature maps in the last layer."""
    return _lenet(256)


@register_model
def digits_cnn() -> Architecture:
    """The embedded 8x8 digits: three convolutions, one pooling."""
    return (LayerSpec(32, pool=2), LayerSpec(64), LayerSpec(64))


@register_model
def photos_cnn() -> Architecture:
    """Photos of 64 pixels: five convolutions, four poolings; the classifier sees the whole photo."""
    return (
        LayerSpec(8, pool=2),
        LayerSpec(16, pool=2),
        LayerSpec(32, pool=2),
        LayerSpec(64, pool=2),
        LayerSpec(96),
    )
