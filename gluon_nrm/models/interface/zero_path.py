"""The rendering path of an image of zeros, the reference of ``layerwise`` path normalisation.

Its states depend on the parameters only, and carry no gradient. A training step infers them once for both
streams, and outside of the recorded graph: inside, MXNet would run the whole backward pass with zeros.
"""

from __future__ import annotations

import math
from typing import Any, List, Sequence, Tuple

import mxnet as mx

from gluon_nrm.layers.quiet_block import QuietBlock
from gluon_nrm.models.interface.network import Network
from gluon_nrm.typing import Operators, Tensor

Shape = Tuple[int, ...]


class ZeroStates(QuietBlock):
    """Infer the zero image's states of all layers, as one array (1, N), which ``Network.joint`` takes.

    Called with images (B, C, H, W), of which only the shape is used.

    Args:
        net: the network, built for ``layerwise`` path normalisation.
    """

    def __init__(self, net: Network, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.net = net

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tensor:
        states = self.net.infer_zero(F, zero_image(F, x))
        return F.concat(*[F.reshape(state, shape=(1, -1)) for state in states], dim=1)


def zero_image(F: Operators, x: Tensor) -> Tensor:
    """An image of zeros (1, C, H, W), for images ``x`` (B, C, H, W)."""
    return F.zeros_like(F.slice_axis(x, axis=0, begin=0, end=1))


def every_class(F: Operators, logits: Tensor) -> Tensor:
    """Class code of all classes together, ones (1, K), from which the zero image's path is rendered."""
    # not recorded: eager MXNet 1.9.1 crashes in the backward pass of an array without a gradient
    with mx.autograd.pause():
        return F.ones_like(F.slice_axis(logits, axis=0, begin=0, end=1))


def unpack(F: Operators, states: Tensor, shapes: Sequence[Shape]) -> List[Tensor]:
    """Split states (1, N) into those of the layers, of ``shapes`` (1, C, H, W) or (1, C)."""
    found, begin = [], 0
    with mx.autograd.pause():  # as above
        for shape in shapes:
            length = math.prod(shape)
            state = F.slice_axis(states, axis=1, begin=begin, end=begin + length)
            found.append(F.reshape(state, shape=shape))
            begin += length
    return found
