"""Networks that the package did not make: of gluon's and GluonCV's zoos, and small ones written by hand."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Set, Tuple

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock, nn
from mxnet.gluon.parameter import Parameter
from shallow import shallow

from gluon_nrm.layers.shake_shake import ShakeShake
from gluon_nrm.models import MaxMin, maxmin
from gluon_nrm.models.interface.parameters import named_parameters
from gluon_nrm.models.model_zoos import zoo_builder

#: Names as in recipes, and a size of image that goes through.
SIZES: Dict[str, int] = {
    "gluon.alexnet": 64,
    "gluon.vgg11": 32,
    "gluon.vgg11_bn": 32,
    "gluon.resnet18_v1": 32,
    "gluon.resnet18_v2": 32,
    "gluon.densenet121": 224,
    "gluon.squeezenet1.1": 224,
    "gluon.inceptionv3": 299,
    "gluon.mobilenet0.25": 32,
    "gluon.mobilenetv2_0.25": 32,
    "gluoncv.cifar_resnet20_v1": 32,
    "gluoncv.cifar_resnet20_v2": 32,
    "gluoncv.resnext50_32x4d": 32,
    "gluoncv.se_resnet18_v1": 32,
    "gluoncv.se_resnext50_32x4d": 32,
    "gluoncv.googlenet": 224,
    "gluoncv.mobilenetv3_small": 32,
    "gluoncv.resnest14": 64,
    "gluoncv.dla34": 32,
}
CLASSES = 10
SHAPE = (2, 7, 8)


def of_zoo(name: str) -> HybridBlock:
    """A zoo's network, not initialised, without dropout; of few layers where ``shallow`` knows it."""
    with shallow():
        net = zoo_builder(*name.split(".", 1))(CLASSES, 3)
    net.apply(without_dropout)
    return net


def without_dropout(block: Any) -> None:
    if isinstance(block, nn.Dropout):
        block._rate = 0


def frozen(net: HybridBlock) -> HybridBlock:
    """Its norms are the affine maps of their running statistics, in training too."""

    def freeze(block: Any) -> None:
        if isinstance(block, nn.BatchNorm):
            block._kwargs["use_global_stats"] = True

    net.apply(freeze)
    return net


def randomise(block: HybridBlock, seed: int = 0) -> HybridBlock:
    """Random parameters, none of them 0, of a block whose shapes are known."""
    rng = np.random.default_rng(seed)
    for name, parameter in named_parameters(block).items():
        shape, kind = parameter.shape, name.rsplit(".", 1)[-1]
        value = rng.standard_normal(shape, np.float32)
        if kind.startswith("weight"):
            value *= 1.4 / np.sqrt(np.prod(shape[1:]))
        elif kind in ("gamma", "running_var"):
            value = rng.uniform(0.5, 1.5, shape)
        elif kind == "alpha":
            value = rng.uniform(0.1, 0.4, shape)
        else:
            value *= 0.3
        parameter.set_data(mx.nd.array(value))
    return block


def images(shape: Tuple[int, ...], batch: int = 2, seed: int = 1) -> mx.nd.NDArray:
    return mx.nd.array(np.random.default_rng(seed).standard_normal((batch, *shape)))


class Written(HybridBlock):
    """A function of F, the image and parameters of given shapes (a name that begins with an underscore: not
    learned)."""

    def __init__(self, function: Callable[..., Any], **shapes: Tuple[int, ...]) -> None:
        super().__init__()
        self._function = function
        with self.name_scope():
            for name, shape in shapes.items():
                setattr(self, name, self.params.get(name, shape=shape))

    def hybrid_forward(self, F: Any, x: Any, **parameters: Any) -> Any:
        return self._function(F, x, **parameters)


def chain(*parts: Any) -> nn.HybridSequential:
    """Blocks and functions (F, x), one after another."""
    net = nn.HybridSequential()
    for part in parts:
        net.add(part if isinstance(part, HybridBlock) else Written(part))
    return net


class MixedPair(HybridBlock):
    """Two convolutions, mixed by gates that are drawn in every step."""

    def __init__(self) -> None:
        super().__init__()
        with self.name_scope():
            self.first, self.second = (nn.Conv2D(4, 3, padding=1, use_bias=False) for _ in range(2))
            self.mix = ShakeShake()

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.mix(self.first(x), self.second(x))


def around(*middle: Any, classes: int = 3, channels: int = 4, bias: bool = True) -> nn.HybridSequential:
    """A small network with something in its middle, which is given (B, 4, 7, 8) of both signs.

    What it returns is convolved once more, if it is a feature map.
    """
    return chain(
        nn.Conv2D(channels, 3, padding=1, use_bias=bias), nn.Activation("relu"),
        nn.Conv2D(channels, 3, padding=1, use_bias=bias),
        *middle,
        nn.Activation("relu"), nn.Dense(classes, use_bias=bias),
    )  # fmt: skip


class Residual(HybridBlock):
    """A residual block: norms or biases, a projection where the size changes."""

    def __init__(self, channels: int, stride: int = 1, norm: bool = True, bias: bool = True) -> None:
        super().__init__()
        with self.name_scope():
            self.body = chain(
                *convolution(channels, norm, bias, strides=stride),
                nn.Activation("relu"),
                *convolution(channels, norm, bias),
            )
            self.shortcut = nn.Conv2D(channels, 1, stride, use_bias=False) if stride > 1 else None

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return F.relu(self.body(x) + (x if self.shortcut is None else self.shortcut(x)))


class Dense(HybridBlock):
    """A dense block of one layer: its input beside what it makes of it."""

    def __init__(self, channels: int, norm: bool = True, bias: bool = True) -> None:
        super().__init__()
        with self.name_scope():
            first = [nn.BatchNorm()] if norm else []
            self.body = chain(
                *first, nn.Activation("relu"), nn.Conv2D(channels, 3, 1, 1, use_bias=bias and not norm)
            )

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return F.concat(x, self.body(x), dim=1)


def convolution(channels: int, norm: bool = True, bias: bool = True, **options: Any) -> List[HybridBlock]:
    """3x3, with a norm or a bias (or neither)."""
    convolved = nn.Conv2D(channels, 3, padding=1, use_bias=bias and not norm, **options)
    return [convolved, nn.BatchNorm()] if norm else [convolved]


def residual(norm: bool = True, classes: int = 3, pool: bool = False) -> nn.HybridSequential:
    """Two residual blocks, the second strided and projected."""
    pools = [nn.MaxPool2D(3, 2, 1)] if pool else []
    return chain(
        *convolution(4, norm), nn.Activation("relu"), *pools, Residual(4, 1, norm), Residual(6, 2, norm),
        nn.GlobalAvgPool2D(), nn.Dense(classes),
    )  # fmt: skip


def dense(norm: bool = True, classes: int = 3) -> nn.HybridSequential:
    """Two dense layers and a transition that pools, then a norm as in DenseNet."""
    last = [nn.BatchNorm()] if norm else []
    return chain(
        nn.Conv2D(4, 3, padding=1, use_bias=not norm), Dense(3, norm), Dense(3, norm), nn.AvgPool2D(2),
        Dense(3, norm), *last, nn.Activation("relu"), nn.GlobalAvgPool2D(), nn.Dense(classes),
    )  # fmt: skip


class Case(NamedTuple):
    """A network, what Max-Min makes of it, and images."""

    net: HybridBlock
    both: MaxMin
    x: mx.nd.NDArray


def with_min(net: HybridBlock, shape: Tuple[int, ...], batch: int = 2, **options: Any) -> Case:
    both, x = maxmin(net, **options), images(shape, batch)
    both.initialize()
    both(x)
    return Case(net, randomise(both), x)


def scores(block: HybridBlock, x: mx.nd.NDArray) -> List[np.ndarray]:
    found = block(x)
    return [each.asnumpy() for each in (found if isinstance(found, (list, tuple)) else [found])]


def learned(block: HybridBlock) -> Dict[str, Parameter]:
    return {n: p for n, p in block._collect_params_with_prefix().items() if p.grad_req != "null"}


def norms_of_max(both: MaxMin) -> Set[str]:
    """Names of the norms' parameters of which the Min branch has its own."""
    return {name[len("min.") :] for name in both._collect_params_with_prefix() if name.startswith("min.")}
