"""Latents and constants of the inference pass of a traced network, node by node, for rendering."""

from __future__ import annotations

from typing import List, Tuple

import mxnet as mx

from gluon_nrm.graph.transpose import Site, windows_of
from gluon_nrm.rules import activation, pooling, windows
from gluon_nrm.typing import Operators, Tensor

RECTIFIERS = ("Activation", "LeakyReLU", "relu")


def has_latents(site: Site) -> bool:
    """True if inference infers latents at a node: a state or positions."""
    op = site.node.op
    return op in RECTIFIERS or (op == "Pooling" and site.node.get("pool_type", "max") == "max")


def has_constants(site: Site) -> bool:
    """True if rendering through a node needs constants of inference: a norm's scale, a factor."""
    return site.node.op in ("BatchNorm", "elemwise_mul", "broadcast_mul")


def record(F: Operators, site: Site, inputs: List[Tensor], outputs: List[Tensor]) -> List[Tensor]:
    """Latents or constants of one node in one pass.

    A rectifier has a state, a max-pooling positions, a batch norm scale and shift, (C,) each, a product the
    factor that does not depend on the image. ``outputs`` of a batch norm are its output, mean and reciprocal
    standard deviation.
    """
    node = site.node
    if node.op in RECTIFIERS:
        return [_state(F, site, inputs, outputs[0])]
    if node.op == "Pooling":
        with mx.autograd.pause():  # as for states
            return _positions(F, site, inputs[0], outputs[0])
    if node.op == "BatchNorm":
        return list(frozen_affine(F, site, inputs, outputs))
    return [inputs[site.signal.index(False)]]


def frozen_affine(
    F: Operators, site: Site, inputs: List[Tensor], outputs: List[Tensor]
) -> Tuple[Tensor, Tensor]:
    """Scale and shift, (C,) each, of a batch norm in one pass; constant except for gamma and beta."""
    scale = F.BlockGrad(outputs[2])
    if not site.node.get("fix_gamma", True):
        scale = inputs[1] * scale
    return scale, inputs[2] - F.BlockGrad(outputs[1]) * scale


def _state(F: Operators, site: Site, inputs: List[Tensor], output: Tensor) -> Tensor:
    state = constant_state(F, site, output)
    return with_slope(F, site, state, inputs[1]) if is_parametric(site) else state


def is_parametric(site: Site) -> bool:
    """True if a node is a rectifier with a learned slope."""
    return site.node.op == "LeakyReLU" and site.node.get("act_type", "leaky") == "prelu"


def constant_state(F: Operators, site: Site, output: Tensor) -> Tensor:
    """State of a rectifier with this ``output`` (no gradient); a learned slope counts as 0 here."""
    leaky = site.node.op == "LeakyReLU" and not is_parametric(site)
    # not recorded: eager MXNet 1.9.1 crashes in the backward pass of layers without a gradient
    with mx.autograd.pause():
        return activation.state(F, output, float(site.node.get("slope", 0.25)) if leaky else 0.0)


def with_slope(F: Operators, site: Site, state: Tensor, slope: Tensor) -> Tensor:
    """Put the learned slope of a rectifier, (C,) or (1,), into its ``constant_state``."""
    slope = F.reshape(slope, shape=(1, -1) + (1,) * (len(site.output) - 2))
    return state + F.broadcast_mul(1 - state, slope)


def _positions(F: Operators, site: Site, x: Tensor, pooled: Tensor) -> List[Tensor]:
    if site.node.get("global_pool", False):
        return [F.broadcast_equal(F.BlockGrad(x), F.BlockGrad(pooled))]
    where = windows_of(site)
    if where.tile:
        return [pooling.position(F, x, pooled, where.kernel, site.size)]
    return windows.winners(F, x, pooled, where, site.size)
