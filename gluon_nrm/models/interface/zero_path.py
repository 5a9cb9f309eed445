"""The path of an image of zeros, with which ``layerwise`` path normalisation compares every image's.

Its states depend on the parameters alone. So they are inferred once for both streams of a training step, and
outside of the recorded graph: nothing learns through them, but inside it MXNet would go all the way back
through their inference, with zeros.
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
    """The states of a zero image at every layer: images (B, C, H, W), for their shape alone, to one (1, N).

    ``Network.joint`` takes them in this form.

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
    """One image of zeros shaped like those of ``x``: (1, C, H, W)."""
    return F.zeros_like(F.slice_axis(x, axis=0, begin=0, end=1))


def every_class(F: Operators, logits: Tensor) -> Tensor:
    """The code of all classes at once, from which the zero image is rendered: ones, (1, K)."""
    # not recorded when run eagerly: MXNet 1.9.1 crashes on its way back to what gets no gradient
    with mx.autograd.pause():
        return F.ones_like(F.slice_axis(logits, axis=0, begin=0, end=1))


def unpack(F: Operators, states: Tensor, shapes: Sequence[Shape]) -> List[Tensor]:
    """Take states (1, N) apart, in order, into those of the layers; ``shapes`` are (1, C, H, W) or (1, C)."""
    found, begin = [], 0
    with mx.autograd.pause():  # as above
        for shape in shapes:
            length = math.prod(shape)
            state = F.slice_axis(states, axis=1, begin=begin, end=begin + length)
            found.append(F.reshape(state, shape=shape))
            begin += length
    return found
