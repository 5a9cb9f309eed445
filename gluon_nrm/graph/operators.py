"""Families of the operators of a traced network, and running a node.

An operator's family decides its treatment in the Min branch (``branches.py``). ``transpose.py`` has its
rendering. An operator outside of these families is refused by name.
"""

from __future__ import annotations

from typing import Any, Callable, List, Optional, Sequence

from gluon_nrm.errors import ModelError
from gluon_nrm.graph.node import Entry, Graph, Node
from gluon_nrm.rules.precision import reduce, restore
from gluon_nrm.typing import Operators, Tensor

#: Layers with weights: linear in the features, or affine with a bias.
WEIGHTED = frozenset({"Convolution", "Deconvolution", "FullyConnected"})
#: Linear, without parameters: f(-v) = -f(v).
LINEAR = frozenset({
    "BlockGrad", "Cast", "Concat", "Crop", "Dropout", "Flatten", "Pad", "Reshape", "SliceChannel", "SwapAxis",
    "UpSampling", "_contrib_AdaptiveAvgPooling2D", "_contrib_BilinearResize2D", "_copy", "_div_scalar",
    "_mul_scalar", "_split_v2", "add_n", "amp_cast", "broadcast_axis", "broadcast_like", "broadcast_to",
    "col2im", "depth_to_space", "expand_dims", "im2col", "mean", "negative", "repeat", "reshape_like",
    "reverse", "slice", "slice_axis", "slice_like", "space_to_depth", "squeeze", "stack", "sum", "tile",
    "transpose",
})  # fmt: skip
#: They use only the shape of their second input.
SHAPED_LIKE = frozenset({"broadcast_like", "reshape_like", "slice_like"})
#: Sums and differences: a learned summand is a bias.
SUMS = frozenset({"broadcast_add", "broadcast_sub", "elemwise_add", "elemwise_sub"})
#: Products and quotients: linear in one operand where the others do not depend on the image.
PRODUCTS = frozenset({
    "batch_dot", "broadcast_div", "broadcast_mul", "dot", "elemwise_div", "elemwise_mul",
})  # fmt: skip
#: Normalisations with parameters (and statistics).
NORMS = frozenset({"BatchNorm", "GroupNorm", "InstanceNorm", "LayerNorm"})
#: Operators whose values do not depend on the image.
SOURCES = frozenset({
    "_arange", "_ones", "_random_normal_like", "_random_uniform", "_random_uniform_like", "_zeros",
    "ones_like", "shape_array", "size_array", "zeros_like",
})  # fmt: skip
#: Non-linearities that are gates if their output multiplies a feature map (``branches.py``).
BOUNDED = frozenset({"Activation", "clip", "hard_sigmoid", "sigmoid", "softmax", "tanh"})
#: All other non-linearities.
NONLINEAR = BOUNDED | frozenset({
    "L2Normalization", "LRN", "LeakyReLU", "Pooling", "SoftmaxActivation", "_maximum", "_maximum_scalar",
    "_minimum", "_minimum_scalar", "_minus_scalar", "_plus_scalar", "_power_scalar", "_rdiv_scalar",
    "_rminus_scalar", "abs", "broadcast_maximum", "broadcast_minimum", "exp", "gelu", "log", "log_softmax",
    "max", "min", "norm", "relu", "rsqrt", "softsign", "sqrt", "square",
})  # fmt: skip
KNOWN = WEIGHTED | LINEAR | SUMS | PRODUCTS | NORMS | SOURCES | NONLINEAR

#: Arguments that MXNet fills in by itself.
COUNTED = ("num_args",)


def linear(node: Node) -> bool:
    """True if negating the image-dependent input of a node negates its output."""
    if node.op == "Pooling":
        return bool(node.get("pool_type", "max") in ("avg", "sum"))
    return node.op in LINEAR or node.op == "L2Normalization"


def values_read(node: Node) -> Sequence[Entry]:
    """Inputs of a node whose values it uses, not only their shapes."""
    if node.op in SOURCES:
        return ()
    return node.inputs[:1] if node.op in SHAPED_LIKE else node.inputs


def draws(graph: Graph) -> bool:
    """True if a graph draws random numbers in training."""
    return any(
        "random" in node.op or (node.op == "Dropout" and node.get("p", 0.5) > 0) for node in graph.nodes
    )


def run(
    F: Operators, node: Node, inputs: Sequence[Tensor], dtype: str = "float32", **changes: Any
) -> List[Tensor]:
    """Run a node on arrays or symbols.

    Args:
        F: the operator module.
        node: the node.
        inputs: its inputs.
        dtype: precision of layers with weights.
        changes: arguments in place of the node's own.

    Returns:
        All its outputs.
    """
    attrs = {key: text for key, text in node.attrs.items() if key not in COUNTED}
    if node.op in WEIGHTED and dtype != "float32":
        result = _function(F, node)(*reduce(F, inputs, dtype), **{**attrs, **changes})
        return [restore(F, result, dtype)]
    result = _function(F, node)(*inputs, **{**attrs, **changes})
    if isinstance(result, (list, tuple)):
        return list(result)
    return [result[i] for i in range(len(result))] if _outputs(F, result) > 1 else [result]


def _outputs(F: Operators, result: Tensor) -> int:
    return len(result) if hasattr(result, "list_outputs") else 1


def _function(F: Operators, node: Node) -> Callable[..., Tensor]:
    """Find an operator by its name in graphs."""
    places = [(F, node.op), (F._internal, node.op)]
    for prefix, module in (("_contrib_", F.contrib), ("_linalg_", F.linalg), ("_random_", F.random)):
        if node.op.startswith(prefix):
            places.append((module, node.op[len(prefix) :]))
    for module, name in places:
        function: Optional[Callable[..., Tensor]] = getattr(module, name, None)
        if function is not None:
            return function
    raise ModelError(f"{node}: this build of MXNet has no such operator")
