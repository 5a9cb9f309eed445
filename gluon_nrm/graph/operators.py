"""What the operators of a traced network are, and how a node is run.

Which branch-wise treatment an operator gets follows from the family it is in (``branches.py``); what it
becomes top-down is in ``transpose.py``. An operator in none of these families is refused by name.
"""

from __future__ import annotations

from typing import Any, List, Sequence

from gluon_nrm.errors import ModelError
from gluon_nrm.graph.node import Entry, Graph, Node
from gluon_nrm.rules.precision import reduce, restore
from gluon_nrm.typing import Operators, Tensor

#: Linear in what they are given of the image, or affine with a bias of their own.
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
#: Of their second input they use the shape alone.
SHAPED_LIKE = frozenset({"broadcast_like", "reshape_like", "slice_like"})
#: Sums and differences: a learned summand is a bias.
SUMS = frozenset({"broadcast_add", "broadcast_sub", "elemwise_add", "elemwise_sub"})
#: Products and quotients: linear in one operand where the others do not depend on the image.
PRODUCTS = frozenset({
    "batch_dot", "broadcast_div", "broadcast_mul", "dot", "elemwise_div", "elemwise_mul",
})  # fmt: skip
#: Normalisations with parameters (and statistics).
NORMS = frozenset({"BatchNorm", "GroupNorm", "InstanceNorm", "LayerNorm"})
#: Values that do not depend on the image, whatever they are given.
SOURCES = frozenset({
    "_arange", "_ones", "_random_normal_like", "_random_uniform", "_random_uniform_like", "_zeros",
    "ones_like", "shape_array", "size_array", "zeros_like",
})  # fmt: skip
#: Non-linearities that weigh a feature map where their output multiplies it (``branches.gates``).
BOUNDED = frozenset({"Activation", "clip", "hard_sigmoid", "sigmoid", "softmax", "tanh"})
#: All others that are let through.
NONLINEAR = BOUNDED | frozenset({
    "L2Normalization", "LRN", "LeakyReLU", "Pooling", "SoftmaxActivation", "_maximum", "_maximum_scalar",
    "_minimum", "_minimum_scalar", "_minus_scalar", "_plus_scalar", "_power_scalar", "_rdiv_scalar",
    "_rminus_scalar", "abs", "broadcast_maximum", "broadcast_minimum", "exp", "gelu", "log", "log_softmax",
    "max", "min", "norm", "relu", "rsqrt", "softsign", "sqrt", "square",
})  # fmt: skip
KNOWN = WEIGHTED | LINEAR | SUMS | PRODUCTS | NORMS | SOURCES | NONLINEAR

#: Arguments that MXNet counts for itself.
COUNTED = ("num_args",)


def linear(node: Node) -> bool:
    """Whether a node's operator commutes with a change of sign of its (one, image-dependent) input."""
    if node.op == "Pooling":
        return bool(node.get("pool_type", "max") in ("avg", "sum"))
    return node.op in LINEAR or node.op == "L2Normalization"


def values_read(node: Node) -> Sequence[Entry]:
    """Inputs of a node whose values matter, not the shape alone."""
    if node.op in SOURCES:
        return ()
    return node.inputs[:1] if node.op in SHAPED_LIKE else node.inputs


def draws(graph: Graph) -> bool:
    """Whether a graph draws random numbers in training."""
    return any(
        "random" in node.op or (node.op == "Dropout" and node.get("p", 0.5) > 0) for node in graph.nodes
    )


def run(
    F: Operators, node: Node, inputs: Sequence[Tensor], dtype: str = "float32", **changes: Any
) -> List[Tensor]:
    """Run a node on arrays or symbols.

    Args:
        F: the operator module.
        node: what to run.
        inputs: its operands.
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


def _outputs(F: Operators, result: Any) -> int:
    return len(result) if hasattr(result, "list_outputs") else 1


def _function(F: Operators, node: Node) -> Any:
    """Find an operator by the name that graphs give it."""
    places = [(F, node.op), (F._internal, node.op)]
    for prefix, module in (("_contrib_", F.contrib), ("_linalg_", F.linalg), ("_random_", F.random)):
        if node.op.startswith(prefix):
            places.append((module, node.op[len(prefix) :]))
    for module, name in places:
        function = getattr(module, name, None)
        if function is not None:
            return function
    raise ModelError(f"{node}: this build of MXNet has no such operator")
