"""The transpose of each operator of a traced network, by the rules of ``gluon_nrm.rules``.

A rule takes the rendering onto a node's output, and returns the rendering onto each of its inputs. Operators
are linear once the latents are frozen; ``latents.record`` records latents and constants during inference.
``transpose_checks.py`` refuses operators without a rule when the network is built.
"""

from __future__ import annotations

from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from gluon_nrm.graph.node import Node, Pair
from gluon_nrm.rules import activation, pooling, structure, windows
from gluon_nrm.rules.convolution import transpose_convolution
from gluon_nrm.rules.linear import transpose_fully_connected
from gluon_nrm.typing import Operators, Tensor

Shape = Tuple[int, ...]
#: Rendering onto each input of a node; None for an input that does not depend on the image.
PerInput = List[Optional[Tensor]]


class Site(NamedTuple):
    """A node with its shapes, for one image."""

    node: Node
    #: shapes of its inputs
    inputs: Sequence[Shape]
    #: shape of its output
    output: Shape
    #: for each input whose values are used, True if it depends on the image
    signal: Sequence[bool]

    @property
    def size(self) -> Pair:
        """Height and width of the first input."""
        return self.inputs[0][2], self.inputs[0][3]


class RuleInputs(NamedTuple):
    """Inputs of a rule besides the rendering."""

    #: recorded during inference (``latents.record``)
    latents: List[Tensor]
    #: the node's own weight, if it has one
    weight: Optional[Tensor]
    #: multiply by the frozen scale of inference's norms
    scaled: bool
    #: apply dropout as in inference
    drops: bool
    #: precision of layers with weights
    dtype: str


Rule = Callable[[Operators, Site, Tensor, RuleInputs], PerInput]


def windows_of(site: Site) -> windows.Windows:
    """Read the window geometry of a Pooling node."""
    node = site.node
    return windows.Windows(
        node.pair("kernel", 1), node.pair("stride", 1), node.pair("pad", 0),
        node.get("pooling_convention", "valid") == "full", bool(node.get("count_include_pad", True)),
    )  # fmt: skip


def _convolution(F: Operators, site: Site, h: Tensor, given: RuleInputs) -> PerInput:
    node = site.node
    image = transpose_convolution(
        F, h, given.weight, channels=site.inputs[0][1], size=site.size, kernel=node.pair("kernel", 1),
        stride=node.pair("stride", 1), pad=node.pair("pad", 0), dilate=node.pair("dilate", 1),
        num_group=node.get("num_group", 1), dtype=given.dtype,
    )  # fmt: skip
    return [image]


def _fully_connected(F: Operators, site: Site, h: Tensor, given: RuleInputs) -> PerInput:
    vector = transpose_fully_connected(F, h, given.weight)
    return [structure.transpose_reshape(F, vector, site.inputs[0])]


def _activation(F: Operators, site: Site, h: Tensor, given: RuleInputs) -> PerInput:
    return [activation.apply_state(F, h, given.latents[0])]


def _pooling(F: Operators, site: Site, h: Tensor, given: RuleInputs) -> PerInput:
    kind, size, where = site.node.get("pool_type", "max"), site.size, windows_of(site)
    if site.node.get("global_pool", False):
        if kind == "avg":
            return [pooling.transpose_global_average_pool(F, h, size)]
        spread = F.broadcast_axis(h, axis=(2, 3), size=size)
        return [spread if kind == "sum" else pooling.apply_position(F, spread, given.latents[0])]
    if kind == "max" and where.tile:
        spread = pooling.spread(F, h, where.kernel, size)
        return [pooling.apply_position(F, spread, given.latents[0])]
    if kind == "max":
        return [windows.transpose_max_pool(F, h, given.latents, where, size)]
    if kind == "sum":
        return [windows.transpose_sum_pool(F, h, where, size)]
    if where.tile:
        return [pooling.transpose_average_pool(F, h, where.kernel, size)]
    return [windows.transpose_average_pool(F, h, where, size)]


def _adaptive_average(F: Operators, site: Site, h: Tensor, given: RuleInputs) -> PerInput:
    return [pooling.transpose_global_average_pool(F, h, site.size)]


def _mean(F: Operators, site: Site, h: Tensor, given: RuleInputs) -> PerInput:
    return [pooling.transpose_global_average_pool(F, F.reshape(h, shape=(0, 0, 1, 1)), site.size)]


def _norm(F: Operators, site: Site, h: Tensor, given: RuleInputs) -> PerInput:
    if not given.scaled:
        return [h]
    shape = (1, -1) + (1,) * (len(site.output) - 2)
    return [F.broadcast_mul(h, F.reshape(given.latents[0], shape=shape))]


def _dropout(F: Operators, site: Site, h: Tensor, given: RuleInputs) -> PerInput:
    rate = site.node.get("p", 0.5)
    return [F.Dropout(h, p=rate) if given.drops and rate else h]


def _sum(F: Operators, site: Site, h: Tensor, given: RuleInputs) -> PerInput:
    return [*structure.transpose_sum(h, len(site.inputs))]


def _difference(F: Operators, site: Site, h: Tensor, given: RuleInputs) -> PerInput:
    return [h, -h]


def _concatenation(F: Operators, site: Site, h: Tensor, given: RuleInputs) -> PerInput:
    axis = site.node.get("dim", 1)
    return [*structure.transpose_concatenation(F, h, [shape[axis] for shape in site.inputs], axis)]


def _reshape(F: Operators, site: Site, h: Tensor, given: RuleInputs) -> PerInput:
    return [structure.transpose_reshape(F, h, site.inputs[0])]


def _permutation(F: Operators, site: Site, h: Tensor, given: RuleInputs) -> PerInput:
    axes = site.node.get("axes", ()) or tuple(reversed(range(len(site.output))))
    return [F.transpose(h, axes=tuple(axes.index(axis) for axis in range(len(axes))))]


def _padding(F: Operators, site: Site, h: Tensor, given: RuleInputs) -> PerInput:
    widths = site.node.get("pad_width", ())
    return [structure.transpose_pad(F, h, (widths[4], widths[6]), (widths[5], widths[7]))]


def _slice(F: Operators, site: Site, h: Tensor, given: RuleInputs) -> PerInput:
    if site.output == site.inputs[0]:
        return [h]
    axis, begin = site.node.get("axis", 0) % 4, site.node.get("begin", 0)
    begin += site.inputs[0][axis] if begin < 0 else 0
    widths = [0] * 8
    widths[2 * axis : 2 * axis + 2] = [begin, site.inputs[0][axis] - begin - site.output[axis]]
    return [F.pad(h, mode="constant", constant_value=0, pad_width=tuple(widths))]


def _same(F: Operators, site: Site, h: Tensor, given: RuleInputs) -> PerInput:
    return [h]


def _opposite(F: Operators, site: Site, h: Tensor, given: RuleInputs) -> PerInput:
    return [-h]


def _times_number(F: Operators, site: Site, h: Tensor, given: RuleInputs) -> PerInput:
    return [h * float(site.node.get("scalar", 1.0))]


def _over_number(F: Operators, site: Site, h: Tensor, given: RuleInputs) -> PerInput:
    return [h * (1.0 / float(site.node.get("scalar", 1.0)))]


def _product(F: Operators, site: Site, h: Tensor, given: RuleInputs) -> PerInput:
    """Multiply by the factor that does not depend on the image, which inference recorded."""
    rendered = F.broadcast_mul(h, given.latents[0])
    return [rendered if depends else None for depends in site.signal]


RULES: Dict[str, Rule] = {
    "Activation": _activation,
    "BatchNorm": _norm,
    "BlockGrad": _same,
    "Cast": _same,
    "Concat": _concatenation,
    "Convolution": _convolution,
    "Dropout": _dropout,
    "Flatten": _reshape,
    "FullyConnected": _fully_connected,
    "LeakyReLU": _activation,
    "Pad": _padding,
    "Pooling": _pooling,
    "Reshape": _reshape,
    "_contrib_AdaptiveAvgPooling2D": _adaptive_average,
    "_copy": _same,
    "_div_scalar": _over_number,
    "_minus_scalar": _same,
    "_mul_scalar": _times_number,
    "_plus_scalar": _same,
    "_rminus_scalar": _opposite,
    "add_n": _sum,
    "broadcast_add": _sum,
    "broadcast_mul": _product,
    "broadcast_sub": _difference,
    "elemwise_add": _sum,
    "elemwise_mul": _product,
    "elemwise_sub": _difference,
    "expand_dims": _reshape,
    "reshape_like": _reshape,
    "mean": _mean,
    "negative": _opposite,
    "relu": _activation,
    "slice_axis": _slice,
    "squeeze": _reshape,
    "transpose": _permutation,
}
