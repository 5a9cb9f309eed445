"""The Max and the Min branch of a traced network: what they share, and what the Min branch negates.

The Min branch takes a minimum wherever the Max branch takes a maximum: NReLU(v) = min(v, 0) = -ReLU(-v), and
min-pooling is -maxpool(-v) (Section 5). It runs on *negated* features u = -v. On u all operators are the
network's own: linear layers do not change, a bias b enters as -b, and the class scores are negated at the
end. Consequences:

- A non-linearity f becomes -f(-v). This holds for ReLU, leaky and parametric ReLU, ELU, ReLU6 and tanh.
  Max-pooling becomes min-pooling.
- A **gate** is a non-linearity whose output multiplies a feature map: the sigmoid of a squeeze-and-excitation
  block or a swish, softmax attention. It becomes f(-v), so that the product with the feature map is negated
  once. The released SE-ResNeXt has -f(-v) (an option).
- Everything before the first non-linearity, norms included, is the same in both branches and computed once.
- Every later normalisation has parameters and statistics of its own in the Min branch, those of the negated
  features. All other parameters are shared.
- A number added to features is a bias, unless it leads into a clip (hard swish): there it is part of the
  non-linearity.

Without biases and norms, logits_min(x) = -logits_max(-x).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, FrozenSet, List, Tuple

from gluon_nrm.errors import ModelError
from gluon_nrm.graph import operators
from gluon_nrm.graph.node import Entry, Graph, Node

NUMBERS_ADDED = ("_plus_scalar", "_minus_scalar", "_rminus_scalar")
#: Operators allowed between an added number and its clip, or between a gate and the product.
SCALED = ("_mul_scalar", "_div_scalar", *NUMBERS_ADDED)
SHAPED = (
    "Cast", "Reshape", "SwapAxis", "broadcast_axis", "broadcast_like", "broadcast_to", "expand_dims",
    "reshape_like", "slice", "slice_axis", "squeeze", "transpose", "SliceChannel", "_copy", "amp_cast",
)  # fmt: skip


@dataclass(frozen=True)
class Branches:
    """The facts about each node of ``graph`` that both branches need.

    Attributes:
        split: for each node, True if each branch computes it; False if both share one result.
        signal: for each node, True if it depends on the image, so that the Min branch negates it.
        biases: for each node, the inputs that are biases; the Min branch negates them.
        numbers: nodes that add a number which is a bias.
        gates: non-linearities whose output multiplies a feature map.
        norms: variables of which the Min branch has its own copy.
    """

    graph: Graph
    split: Tuple[bool, ...]
    signal: Tuple[bool, ...]
    biases: Dict[int, FrozenSet[int]]
    numbers: FrozenSet[int]
    gates: FrozenSet[int]
    norms: FrozenSet[int]


def find_branches(graph: Graph, learned: FrozenSet[int]) -> Branches:
    """Find what the branches of a graph share and what they compute separately.

    Args:
        graph: the traced network.
        learned: variables that are learned parameters, not constants.

    Raises:
        ModelError: an operator is not known, or the branches are the same.
    """
    for node in graph.nodes:
        if not node.variable and node.op not in operators.KNOWN:
            raise ModelError(
                f"{node}: there is no rule for what this operator is in the Min branch or top-down; "
                "replace it, or keep it out of the network"
            )
    consumers = graph.consumers()
    signal, from_learned = _signals(graph, learned)
    numbers = _numbers(graph, signal, consumers)
    split = _split(graph, signal, numbers)
    if not split[graph.output.node]:
        raise ModelError(
            f"{graph.nodes[graph.output.node]}: no ReLU, max-pooling or other non-linearity comes before the "
            "output, so the Max and the Min branch would be the same"
        )
    biases = {index: _bias_inputs(graph, index, signal, from_learned) for index in range(len(graph.nodes))}
    norms = frozenset(
        entry.node
        for index, node in enumerate(graph.nodes)
        if node.op in operators.NORMS and split[index]
        for entry in node.inputs[1:]
    )
    return Branches(
        graph, tuple(split), tuple(signal), biases, numbers, _gates(graph, signal, consumers), norms
    )


def _signals(graph: Graph, learned: FrozenSet[int]) -> Tuple[List[bool], List[bool]]:
    """Mark the nodes that depend on the image, and those that depend on a learned parameter."""
    signal: List[bool] = []
    from_learned: List[bool] = []
    for index, node in enumerate(graph.nodes):
        read = [entry.node for entry in operators.values_read(node)]
        signal.append(index == graph.image or any(signal[source] for source in read))
        from_learned.append(index in learned or any(from_learned[source] for source in read))
    return signal, from_learned


def _split(graph: Graph, signal: List[bool], numbers: FrozenSet[int]) -> List[bool]:
    split: List[bool] = []
    for index, node in enumerate(graph.nodes):
        odd = (
            operators.linear(node)
            or node.op in (operators.WEIGHTED | operators.SUMS | operators.NORMS)
            or (node.op in operators.PRODUCTS and sum(signal[entry.node] for entry in node.inputs) == 1)
            or index in numbers
        )
        starts = signal[index] and index != graph.image and not odd
        split.append(starts or any(split[entry.node] for entry in node.inputs))
    return split


def _bias_inputs(graph: Graph, index: int, signal: List[bool], from_learned: List[bool]) -> FrozenSet[int]:
    node = graph.nodes[index]
    if node.op in operators.WEIGHTED:
        return frozenset({2} if len(node.inputs) > 2 else ())
    if node.op in operators.SUMS and signal[index]:
        return frozenset(
            place
            for place, entry in enumerate(node.inputs)
            if not signal[entry.node] and from_learned[entry.node]
        )
    return frozenset()


def _numbers(graph: Graph, signal: List[bool], consumers: Dict[Entry, Tuple[int, ...]]) -> FrozenSet[int]:
    """Nodes that add a number to features, except those that lead into a clip.

    Values that do not depend on the image, such as the gates of Shake-Shake, are not features.
    """
    return frozenset(
        index
        for index, node in enumerate(graph.nodes)
        if signal[index]
        and node.op in NUMBERS_ADDED
        and not any(graph.nodes[reader].op == "clip" for reader in _readers(graph, consumers, index, SCALED))
    )


def _gates(graph: Graph, signal: List[bool], consumers: Dict[Entry, Tuple[int, ...]]) -> FrozenSet[int]:
    return frozenset(
        index
        for index, node in enumerate(graph.nodes)
        if signal[index]
        and _bounded(node)
        and any(
            graph.nodes[reader].op in operators.PRODUCTS and _image_operands(graph, signal, reader) > 1
            for reader in _readers(graph, consumers, index, SCALED + SHAPED)
        )
    )


def _image_operands(graph: Graph, signal: List[bool], index: int) -> int:
    return sum(signal[entry.node] for entry in graph.nodes[index].inputs)


def _bounded(node: Node) -> bool:
    return node.op in operators.BOUNDED and node.get("act_type", "") not in ("relu", "softrelu")


def _readers(
    graph: Graph, consumers: Dict[Entry, Tuple[int, ...]], index: int, through: Tuple[str, ...]
) -> List[int]:
    """Nodes that read a node's outputs, directly or through operators named in ``through``."""
    found: List[int] = []
    pending = [index]
    while pending:
        current = pending.pop()
        for entry, readers in consumers.items():
            if entry.node == current:
                found += readers
                pending += [reader for reader in readers if graph.nodes[reader].op in through]
    return found
