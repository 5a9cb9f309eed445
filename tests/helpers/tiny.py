"""Tiny networks with random parameters, and what tests ask of them."""

from __future__ import annotations

import itertools
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple, Union

import mxnet as mx
import numpy as np
from mxnet import autograd

from gluon_nrm.layers.nrm_layer import NRMLayer
from gluon_nrm.losses import Objective
from gluon_nrm.models import NRM, LayerSpec, NRMOptions, architecture_of
from gluon_nrm.models.interface.parameters import named_parameters
from gluon_nrm.models.interface.passes import Inference

Layers = Sequence[Union[int, str, LayerSpec]]
STATISTICS = ("running_mean", "running_var")


def build(
    layers: Layers = (3, "pool", 4),
    input_shape: Tuple[int, int, int] = (2, 6, 7),
    classes: int = 3,
    seed: int = 0,
    non_negative: bool = False,
    **options: Any,
) -> NRM:
    """A network of a list of channels and pools, or of layers, none of whose parameters is 0."""
    specs = [each for each in layers if isinstance(each, LayerSpec)]
    architecture = specs or architecture_of([each for each in layers if not isinstance(each, LayerSpec)])
    net = NRM(tuple(architecture), classes, input_shape, NRMOptions(**options))
    net.initialize()
    return randomise(net, seed, non_negative)


def randomise(net: NRM, seed: int = 0, non_negative: bool = False) -> NRM:
    """Random parameters; ``non_negative``: of the class templates and of all filters but the image's."""
    rng = np.random.default_rng(seed)
    for name, parameter in named_parameters(net).items():
        shape, kind = parameter.shape, name.rsplit(".", 1)[-1]
        value = rng.standard_normal(shape)
        if kind == "weight":
            value *= 1.5 / np.sqrt(np.prod(shape[1:]))
            if non_negative and name != "layers.0.convolution.weight":
                value = np.abs(value)
        elif kind in ("gamma", "running_var"):
            value = rng.uniform(0.5, 1.5, shape)
        else:
            value *= 0.4
        parameter.set_data(mx.nd.array(value))
    return net


def images(net: NRM, batch: int = 5, seed: int = 1) -> mx.nd.NDArray:
    return mx.nd.array(np.random.default_rng(seed).standard_normal((batch, *net.input_shape)))


def labels(net: NRM, batch: int = 5, known: bool = True) -> mx.nd.NDArray:
    """0, 1, 2, 0, ... or -1 throughout."""
    return mx.nd.array(np.arange(batch) % net.classes if known else -np.ones(batch))


def parameter_gradients(net: NRM) -> Dict[str, np.ndarray]:
    """Gradient of every parameter that gets one, after the backward pass."""
    return {name: p.grad().asnumpy() for name, p in named_parameters(net).items() if p.grad_req != "null"}


def clear_gradients(net: NRM) -> None:
    for parameter in named_parameters(net).values():
        if parameter.grad_req != "null":
            parameter.zero_grad()


class Outcome(NamedTuple):
    """Of one pass of an objective."""

    terms: np.ndarray  # (T, B)
    gradients: Dict[str, np.ndarray]
    statistics: Dict[str, np.ndarray]


def differentiate(
    objective: Objective,
    x: mx.nd.NDArray,
    label: mx.nd.NDArray,
    *more: mx.nd.NDArray,
    weights: Dict[str, float],
) -> Outcome:
    """Terms in training mode, and what their sum, weighted (a term left out: 0), gives every parameter.

    ``more`` are a teacher's probabilities and perturbed images, for an objective that asks for them.
    """
    net = objective.net
    clear_gradients(net)
    arguments = asked_for(objective, x, *more)
    with autograd.record():
        outcome = objective(x, label, *arguments)
    column = np.array([[weights.get(name, 0.0) / len(label)] for name in objective.names])
    objective.backward([outcome], [mx.nd.array(np.repeat(column, len(label), axis=1))])
    mx.nd.waitall()  # running statistics are written in the backward pass, unknown to the scheduler
    moved = {n: p.data().asnumpy() for n, p in named_parameters(net).items() if n.endswith(STATISTICS)}
    return Outcome(outcome.terms.asnumpy(), parameter_gradients(net), moved)


def asked_for(objective: Objective, x: mx.nd.NDArray, *more: mx.nd.NDArray) -> List[mx.nd.NDArray]:
    """What the objective is called with besides images and labels; ``more`` as for ``differentiate``."""
    given = dict(zip(("teacher", "perturbed"), more))
    if "zero_states" in objective.inputs:
        with autograd.pause(train_mode=True):
            given["zero_states"] = objective.zero_states(x)
    return [given[name] for name in objective.inputs[2:]]


def terms_of(
    objective: Objective, x: mx.nd.NDArray, label: mx.nd.NDArray, *more: mx.nd.NDArray
) -> np.ndarray:
    """The objective's terms in evaluation, (T, B); ``more`` as for ``differentiate``."""
    terms: np.ndarray = objective(x, label, *asked_for(objective, x, *more)).terms.asnumpy()
    return terms


class Paths(NamedTuple):
    """Every rendering path of one image, as a batch; ``code`` is the class, (paths, K)."""

    inference: Inference
    code: mx.nd.NDArray


def every_path(net: NRM, inference: Inference, label: int) -> Paths:
    """Enumerate all latents z of a network without leak, beside an image's own ``inference`` (batch 1).

    A pixel that pools contributes one place of its window or none, any other pixel is there or not.
    """
    layers = [_layer_paths(layer) for layer in net.layers]
    count = int(np.prod([len(paths[0]) for paths in layers]))
    index = np.array(list(itertools.product(*[range(len(paths[0])) for paths in layers])))
    chosen = [
        [mx.nd.array(latent[index[:, place]])] for place, paths in enumerate(layers) for latent in paths
    ]
    code = np.zeros((count, net.classes))
    code[:, label] = 1
    return Paths(inference._replace(latents=chosen), mx.nd.array(code))


def _layer_paths(layer: NRMLayer) -> List[np.ndarray]:
    """All values of a layer's latents, [s (n, C, H, W)] or [s, t]."""
    channels, (height, width) = layer.spec.channels, layer.output_size
    shape = (channels, *layer.inner)
    if not layer.has_position:
        states = np.array(list(itertools.product([0.0, 1.0], repeat=int(np.prod(shape)))))
        return [states.reshape(-1, *shape)]
    rows, columns = shape[1] // height, shape[2] // width
    windows = channels * height * width
    choices = np.vstack([np.zeros(rows * columns), np.eye(rows * columns)])  # none, or one of its places
    index = np.array(list(itertools.product(range(len(choices)), repeat=windows)))
    blocks = choices[index].reshape(-1, channels, height, width, rows, columns)
    maps = blocks.transpose(0, 1, 2, 4, 3, 5).reshape(-1, *shape)
    return [np.ones_like(maps), maps]
