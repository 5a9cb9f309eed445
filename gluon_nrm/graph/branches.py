"""Where the Max and the Min branch of a traced network part, and what the Min branch does differently.

The Min branch takes every minimum where the Max branch takes a maximum: NReLU(v) = min(v, 0) = -ReLU(-v), and
min-pooling is -maxpool(-v) (Section 5). So it is run *mirrored*: with u = -v in place of v, its rectifiers,
poolings and all else are the network's own operators, u goes through linear layers unchanged, a bias b enters
as -b, and the class scores are negated at the end. Nothing is computed that the base network would not
compute, and what the rule does to an operator need not be listed:

- f becomes -f(-v): ReLU, leaky and parametric ReLU, ELU, ReLU6 and tanh their mirror images, max-pooling
  min-pooling.
- A **gate**, a non-linearity whose output multiplies a feature map (the sigmoid of a squeeze-and-excitation
  block or a swish, softmax attention), keeps its sign and is mirrored: f(-v). The product of feature map and
  gate is then the mirror image of the base network's. The released SE-ResNeXt has -f(-v) (an option).
- What comes before the first non-linearity is the same in both branches and is computed once, norms included.
- From there on every normalisation has parameters and statistics of its own in the Min branch; all other
  parameters are shared. Its running means and betas are those of the negated features.
- A number added to features is a bias like a learned one, unless it leads into a clip (hard swish): there it
  is part of the non-linearity.

So without biases and norms, logits_min(x) = -logits_max(-x).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, FrozenSet, List, Tuple

from gluon_nrm.errors import ModelError
from gluon_nrm.graph import operators
from gluon_nrm.graph.node import Entry, Graph, Node

NUMBERS_ADDED = ("_plus_scalar", "_minus_scalar", "_rminus_scalar")
#: What may stand between a number added and its clip, or between a gate and the product.
SCALED = ("_mul_scalar", "_div_scalar", *NUMBERS_ADDED)
SHAPED = (
    "Cast", "Reshape", "SwapAxis", "broadcast_axis", "broadcast_like", "broadcast_to", "expand_dims",
    "reshape_like", "slice", "slice_axis", "squeeze", "transpose", "SliceChannel", "_copy", "amp_cast",
)  # fmt: skip


@dataclass(frozen=True)
class Branches:
    """What to know of every node of ``graph`` to run it in both branches, by node.

    Attributes:
        split: computed in each branch by itself; the others are the same in both and computed once.
        signal: depends on the image, so its sign changes in the Min branch.
        biases: inputs that are biases: negated in the Min branch.
        numbers: nodes that add a number which is a bias.
        gates: non-linearities whose output multiplies a feature map.
        norms: variables that the Min branch has of its own.
    """

    graph: Graph
    split: Tuple[bool, ...]
    signal: Tuple[bool, ...]
    biases: Dict[int, FrozenSet[int]]
    numbers: FrozenSet[int]
    gates: FrozenSet[int]
    norms: FrozenSet[int]


def find_branches(graph: Graph, learned: FrozenSet[int]) -> Branches:
    """Part a graph into what the branches share and what they do not.

    Args:
        graph: the traced network.
        learned: variables that are learned parameters, and no constants.

    Raises:
        ModelError: an operator is not known, or nothing tells the branches apart.
    """
    for node in graph.nodes:
        if not node.variable and node.op not in operators.KNOWN:
            raise ModelError(
                f"{node}: there is no rule for what this operator is in the Min branch or top-down; "
                "replace it, or keep it out of the network that is handed over"
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
    """Whether each node depends on the image, and whether on a learned parameter."""
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
    """Nodes that add a number to features, but for those that lead into a clip.

    What does not depend on the image, such as the gates of Shake-Shake, is no feature.
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
    """Nodes that a node's outputs reach, directly or through operators named in ``through``."""
    found: List[int] = []
    pending = [index]
    while pending:
        current = pending.pop()
        for entry, readers in consumers.items():
            if entry.node == current:
                found += readers
                pending += [reader for reader in readers if graph.nodes[reader].op in through]
    return found
