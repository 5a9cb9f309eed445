"""Registered networks with skip connections: those of the papers, and narrow ones for the digits.

Each function builds a plain classifier from the numbers of classes and of image channels; ``get_model`` adds
the Min branch and the rendering pass.
"""

from __future__ import annotations

from mxnet.gluon import HybridBlock

from gluon_nrm import backbones
from gluon_nrm.models.model_zoos import zoo_builder
from gluon_nrm.models.registry import register_network

#: Slope of the leaky ReLU of the released experiments on small images.
LEAKY = 0.1


@register_network
def shake_resnet26_2x32d(classes: int, channels: int) -> HybridBlock:
    """CIFAR-10: Shake-Shake 26 2x32d (Gastaldi 2017)."""
    return backbones.shake_resnet26_2x32d(classes, in_channels=channels)


@register_network
def shake_resnet26_2x64d(classes: int, channels: int) -> HybridBlock:
    """CIFAR-10: Shake-Shake 26 2x64d."""
    return backbones.shake_resnet26_2x64d(classes, in_channels=channels)


@register_network
def shake_resnet26_2x96d(classes: int, channels: int) -> HybridBlock:
    """CIFAR-10: Shake-Shake 26 2x96d."""
    return backbones.shake_resnet26_2x96d(classes, in_channels=channels)


@register_network
def shake_resnext29_2x4x64d(classes: int, channels: int) -> HybridBlock:
    """CIFAR: ResNeXt-29 2x4x64d with Shake-Shake."""
    return backbones.shake_resnext29_2x4x64d(classes, in_channels=channels)


@register_network
def resnext29_8x64d(classes: int, channels: int) -> HybridBlock:
    """CIFAR: ResNeXt-29 8x64d (Xie et al. 2017)."""
    return backbones.resnext29_8x64d(classes, in_channels=channels)


@register_network
def resnext29_16x64d(classes: int, channels: int) -> HybridBlock:
    """CIFAR: ResNeXt-29 16x64d."""
    return backbones.resnext29_16x64d(classes, in_channels=channels)


@register_network
def cifar_resnet20(classes: int, channels: int) -> HybridBlock:
    """CIFAR: ResNet-20 (He et al. 2016) with projections and the leaky ReLU of the released networks."""
    return backbones.cifar_resnet(classes, in_channels=channels, slope=LEAKY)


@register_network
def cifar_densenet40(classes: int, channels: int) -> HybridBlock:
    """CIFAR: DenseNet-BC of 40 layers, growth rate 12 (Huang et al. 2017), leaky ReLU."""
    return backbones.cifar_densenet(classes, in_channels=channels, blocks=(6, 6, 6), slope=LEAKY)


@register_network
def resnext50_32x4d(classes: int, channels: int) -> HybridBlock:
    """ImageNet: ResNeXt-50 32x4d with the released NRM's stem, whose pooling windows tile the image."""
    return backbones.resnext50_32x4d(classes, in_channels=channels)


@register_network
def se_resnext50_32x4d(classes: int, channels: int) -> HybridBlock:
    """ImageNet: GluonCV's SE-ResNeXt-50 32x4d (Hu et al. 2018)."""
    return zoo_builder("gluoncv", "se_resnext50_32x4d")(classes, channels)


@register_network
def digits_resnet(classes: int, channels: int) -> HybridBlock:
    """Digits: a residual network of two stages, one block each, 32 and 64 feature maps."""
    return backbones.cifar_resnet(classes, in_channels=channels, width=32, blocks=(1, 1), slope=LEAKY)


@register_network
def digits_densenet(classes: int, channels: int) -> HybridBlock:
    """Digits: a DenseNet-BC of two dense blocks of two layers, growth rate 16."""
    return backbones.cifar_densenet(classes, in_channels=channels, growth_rate=16, blocks=(2, 2), slope=LEAKY)


@register_network
def digits_shake_resnext(classes: int, channels: int) -> HybridBlock:
    """Digits: Shake-Shake ResNeXt of two stages, one block each, 2 branches of cardinality 2 and width 8."""
    return backbones.shake_resnext(
        classes, in_channels=channels, stem=16, cardinality=2, width=8, blocks=(1, 1)
    )


@register_network
def fashion_mnist_shake_resnext(classes: int, channels: int) -> HybridBlock:
    """Fashion-MNIST: Shake-Shake ResNeXt of three stages of a block, 2 branches of cardinality 2, width 4."""
    return backbones.shake_resnext(
        classes, in_channels=channels, stem=16, cardinality=2, width=4, blocks=(1, 1, 1)
    )
