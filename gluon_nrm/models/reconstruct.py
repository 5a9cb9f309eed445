"""What a network sees in an image, drawn layer by layer (Figure 4)."""

from __future__ import annotations

from typing import Any, List, NamedTuple

from gluon_nrm.layers.named_outputs import NamedBlock
from gluon_nrm.models.interface.network import Network
from gluon_nrm.typing import Operators, Tensor


class Reconstruction(NamedTuple):
    """An image rendered from its class through its own latents."""

    #: scores of the classes, (B, K)
    logits: Tensor
    #: the class code that was rendered, (B, K)
    code: Tensor
    #: for each branch, Max first, the rendered image (B, C, H, W)
    images: List[Tensor]
    #: for each branch, h(l) entering each layer from above, l = 1..L
    features: List[List[Tensor]]


class Reconstructor(NamedBlock):
    """Reconstruct images: called with them (B, *input_shape) and labels (B,), -1 for the predicted class."""

    result_type = Reconstruction

    def __init__(self, net: Network, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.net = net

    def hybrid_forward(self, F: Operators, x: Tensor, label: Tensor) -> Reconstruction:
        joint = self.net.joint(F, x, label)
        return Reconstruction(joint.prediction.logits, joint.code, joint.images, joint.features)
