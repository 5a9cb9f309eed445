"""Ordinary classifiers, images (B, C, H, W) to logits (B, K), as base networks of Max-Min and the NRM.

Each function takes the network's sizes, so the same code builds the published networks and narrow ones for
small images. The caller initialises the parameters: ``net.initialize(initialiser("he"))``.
"""

import gluon_nrm.system.needs_mxnet  # noqa: F401
from gluon_nrm.backbones.densenet import cifar_densenet
from gluon_nrm.backbones.initialise import initialiser
from gluon_nrm.backbones.resnet import cifar_resnet
from gluon_nrm.backbones.resnext import (
    resnext,
    resnext29_8x64d,
    resnext29_16x64d,
    resnext50_32x4d,
    shake_resnext,
    shake_resnext29_2x4x64d,
)
from gluon_nrm.backbones.shake_resnet import (
    shake_resnet,
    shake_resnet26_2x32d,
    shake_resnet26_2x64d,
    shake_resnet26_2x96d,
)

__all__ = [
    "cifar_densenet",
    "cifar_resnet",
    "initialiser",
    "resnext",
    "resnext29_16x64d",
    "resnext29_8x64d",
    "resnext50_32x4d",
    "shake_resnet",
    "shake_resnet26_2x32d",
    "shake_resnet26_2x64d",
    "shake_resnet26_2x96d",
    "shake_resnext",
    "shake_resnext29_2x4x64d",
]
