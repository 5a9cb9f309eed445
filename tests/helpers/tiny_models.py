"""Models so small that all their rendering paths can be enumerated, in which every kind of layer occurs."""

from __future__ import annotations

from typing import Any, Callable, Dict

import mxnet as mx
import numpy as np
import tiny
from mxnet.gluon import HybridBlock, nn

from gluon_nrm.models import LayerSpec, Network, nrm
from gluon_nrm.models.interface.parameters import named_parameters

PLAIN: Dict[str, Any] = {"norm": "none", "render_norm": "none", "path_norm": "none"}

Builder = Callable[..., Network]


class Skip(HybridBlock):
    """A residual block, then a (leaky) ReLU and a max-pooling, overlapping or not."""

    def __init__(self, kernel: int, stride: int, slope: float = 0.0) -> None:
        super().__init__()
        with self.name_scope():
            self.stem = nn.Conv2D(1, (1, 2), in_channels=1)
            self.body = nn.Conv2D(1, (1, 3), padding=(0, 1), in_channels=1)
            self.first = nn.LeakyReLU(slope) if slope else nn.Activation("relu")
            self.last = nn.LeakyReLU(slope) if slope else nn.Activation("relu")
            self.pool = nn.MaxPool2D((1, kernel), (1, stride))
            self.scores = nn.Dense(2, in_units=(4 - kernel) // stride + 1)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        y = self.first(self.stem(x))
        return self.scores(F.flatten(self.pool(self.last(self.body(y) + y))))


def listed(*layers: Any, shape: Any, **options: Any) -> Builder:
    return lambda **more: tiny.build(layers, shape, classes=2, **{"slope": 0.0, **PLAIN, **options, **more})


def skip(*arguments: Any) -> Builder:
    def build(**options: Any) -> Network:
        net = nrm(Skip(*arguments), 2, (1, 1, 5), **{"render_norm": "none", "path_norm": "none", **options})
        net.initialize()
        return net

    return build


#: 64 to 16,384 paths; called with more options
MODELS: Dict[str, Builder] = {
    "one_layer": listed(1, shape=(1, 3, 3)),
    "two_layers": listed(2, 1, shape=(1, 1, 3)),
    "pool": listed(1, "pool", 1, shape=(1, 2, 6)),
    "pool_small": listed(1, "pool", 1, shape=(1, 2, 4)),
    "pool_on_top": listed(1, 1, "pool", shape=(1, 2, 3)),
    "two_channels": listed(2, "pool", shape=(2, 4, 2)),
    "leaky": listed(1, "pool", 1, shape=(1, 2, 4), slope=0.1),
    "average_pool": listed(1, "average_pool", 1, shape=(1, 2, 4)),
    "wide": listed(LayerSpec(1, kernel=1, pad=0, pool=3), shape=(1, 3, 6)),
    "skip": skip(2, 2),
    "skip_leaky": skip(2, 2, 0.2),
    "skip_overlapping": skip(2, 1),
}


def redraw(net: Network, rng: np.random.Generator, non_negative: bool) -> None:
    """New parameters for a network of ``MODELS``; non-negative: all filters and templates but the image's."""
    first = True
    for name, parameter in named_parameters(net).items():
        value = rng.standard_normal(parameter.shape)
        if name.endswith("weight"):
            value = np.abs(value) if non_negative and not first else value
            first = False
        parameter.set_data(mx.nd.array(value))
