"""Reconstruct images through their own latents, layer by layer (Figure 4)."""

from __future__ import annotations

from typing import Any, List, NamedTuple

from gluon_nrm.layers.named_outputs import NamedBlock
from gluon_nrm.models.interface.network import Network
from gluon_nrm.typing import Operators, Tensor


class Reconstructed(NamedTuple):
    """An image rendered from its class through its own latents."""

    #: scores of the classes, (B, K)
    logits: Tensor
    #: the rendered class, one-hot, (B, K)
    code: Tensor
    #: rendered image of each branch, Max first, (B, C, H, W)
    images: List[Tensor]
    #: h(l) of each layer l = 1..L, for each branch, (B, C, H, W)
    features: List[List[Tensor]]


class Reconstructor(NamedBlock):
    """Reconstruct images (B, *input_shape) from labels (B,); label -1 stands for the predicted class."""

    result_type = Reconstructed

    def __init__(self, net: Network, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.net = net

    def hybrid_forward(self, F: Operators, x: Tensor, label: Tensor) -> Reconstructed:
        joint = self.net.joint(F, x, label)
        return Reconstructed(joint.prediction.logits, joint.code, joint.images, joint.features)
