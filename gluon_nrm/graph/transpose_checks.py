"""Refuse networks that cannot be rendered through, when they are built."""

from __future__ import annotations

from typing import Callable, NamedTuple, Sequence, Tuple

import numpy as np

from gluon_nrm.errors import ModelError
from gluon_nrm.graph.operators import SUMS
from gluon_nrm.graph.transpose import RULES, Site

REMEDY = "put Max-Min on the network instead (maxmin), or replace the operator"
NO_STATES = "is not piecewise linear: it has no states to render by"


class Limit(NamedTuple):
    """A use of some operators that their rules do not cover, and its description for the message."""

    operators: Tuple[str, ...]
    exceeded: Callable[[Site], bool]
    description: str


def _flat(site: Site) -> bool:
    return len(site.inputs[0]) != 4 or site.node.get("layout", None) not in (None, "NCHW")


def _along_an_axis(site: Site) -> bool:
    return len(site.inputs[0]) > 2 and not site.node.get("flatten", True)


def _odd_pooling(site: Site) -> bool:
    return (
        site.node.get("pool_type", "max") not in ("max", "avg", "sum")
        or site.node.get("pooling_convention", "valid") not in ("valid", "full")
    )  # fmt: skip


def _odd_mean(site: Site) -> bool:
    over = site.node.get("axis", ())
    return len(site.inputs[0]) != 4 or over not in ((2, 3), [2, 3]) or bool(site.node.get("exclude", False))


def _odd_padding(site: Site) -> bool:
    widths = site.node.get("pad_width", ())
    zeros = site.node.get("mode", "") == "constant" and not site.node.get("constant_value", 0)
    return len(site.inputs[0]) != 4 or not zeros or any(widths[:4])


def _spreads(site: Site) -> bool:
    return any(depends and shape != site.output for depends, shape in zip(site.signal, site.inputs))


def _odd_bias(site: Site) -> bool:
    sizes = [int(np.prod(shape)) for depends, shape in zip(site.signal, site.inputs) if not depends]
    return any(size != site.output[1] for size in sizes)


LIMITS: Sequence[Limit] = (
    Limit(("Convolution", "Pooling"), _flat, "is not two-dimensional NCHW"),
    Limit(
        ("Convolution", "FullyConnected"), lambda site: any(site.signal[1:]),
        "has a weight that depends on the image",
    ),
    Limit(("FullyConnected",), _along_an_axis, "is applied along the last axis alone (flatten=False)"),
    Limit(("Activation",), lambda site: site.node.get("act_type", "") != "relu", NO_STATES),
    Limit(
        ("LeakyReLU",), lambda site: site.node.get("act_type", "leaky") not in ("leaky", "prelu"), NO_STATES
    ),
    Limit(("Pooling",), _odd_pooling, "pools in a way that has no transpose here"),
    Limit(
        ("_contrib_AdaptiveAvgPooling2D",), lambda site: site.output[2:] != (1, 1),
        "pools to more than one pixel",
    ),
    Limit(("mean",), _odd_mean, "is not a mean over height and width, axis=(2, 3)"),
    Limit(
        ("BatchNorm",), lambda site: site.node.get("axis", 1) != 1, "does not normalise the channels, axis 1"
    ),
    Limit(
        ("slice_axis",),
        lambda site: site.output != site.inputs[0]
        and (len(site.output) != 4 or site.node.get("axis", 0) % 4 < 2),
        "does not slice height or width",
    ),
    Limit(("Pad",), _odd_padding, "does not pad height and width with zeros"),
    Limit(
        ("broadcast_mul", "elemwise_mul"), lambda site: all(site.signal),
        "multiplies two feature maps (a gate)",
    ),
    Limit((*SUMS, "broadcast_mul", "elemwise_mul"), _spreads, "spreads a feature map over a larger one"),
    Limit((*SUMS,), _odd_bias, "adds something other than one number a feature map"),
)  # fmt: skip


def check(site: Site) -> None:
    """Refuse a node that cannot be rendered through.

    Raises:
        ModelError: its operator has no rule, or the rule does not cover its arguments.
    """
    if site.node.op not in RULES:
        raise ModelError(f"{site.node} has no transpose, so the network cannot render through it;\n{REMEDY}")
    for limit in LIMITS:
        if site.node.op in limit.operators and limit.exceeded(site):
            raise ModelError(
                f"{site.node} {limit.description}, so the network cannot render through it;\n{REMEDY}"
            )
