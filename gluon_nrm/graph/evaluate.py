"""Run a traced network, branch by branch."""

from __future__ import annotations

from typing import Callable, Dict, List, Mapping, Optional, Union

from gluon_nrm.graph import operators
from gluon_nrm.graph.branches import Branches
from gluon_nrm.graph.node import Entry, Node
from gluon_nrm.rules.activation import MAX, MIN
from gluon_nrm.typing import Operators, Tensor

#: Arguments of an operator in place of a node's own.
Changes = Dict[str, Union[float, bool]]
#: Run one node: its index, its inputs, changed arguments; return its outputs.
Runner = Callable[[int, List[Tensor], Changes], List[Tensor]]


class GraphEvaluation:
    """One pass of a graph over one batch of images, on arrays or symbols.

    The first branch that runs computes the nodes that both share.

    Args:
        F: the operator module.
        branches: the graph with both branches.
        image: (B, C, H, W).
        parameters: value of each variable, by node.
        own: value of each variable of the Min branch's own, by node.
        runner: runs a node in place of ``operators.run``.
        released_gates: gates of the Min branch are -f(-v), as in the released SE-ResNeXt, not f(-v).
        dtype: precision of layers with weights; unused with a ``runner``.
    """

    def __init__(
        self,
        F: Operators,
        branches: Branches,
        image: Tensor,
        parameters: Mapping[int, Tensor],
        own: Optional[Mapping[int, Tensor]] = None,
        runner: Optional[Runner] = None,
        released_gates: bool = False,
        dtype: str = "float32",
    ) -> None:
        self._branches, self._graph = branches, branches.graph
        self._own = own or {}
        self._run = runner or (
            lambda index, inputs, changes: operators.run(
                F, self._graph.nodes[index], inputs, dtype, **changes
            )
        )
        self._released_gates = branches.gates if released_gates else frozenset()
        self._shared = {Entry(index): value for index, value in parameters.items()}
        self._shared[Entry(self._graph.image)] = image
        self._negated: Dict[Entry, Tensor] = {}

    def branch(self, which: int) -> Tensor:
        """Class scores (B, K) of the Max branch (``MAX``) or of the Min branch (``MIN``)."""
        values: Dict[Entry, Tensor] = {}
        for index, node in enumerate(self._graph.nodes):
            split = self._branches.split[index]
            if node.variable or (not split and Entry(index) in self._shared):
                continue
            inputs = [self._operand(values, index, place, which) for place in range(len(node.inputs))]
            negated = split and which == MIN
            changes = _negated_number(node) if negated and index in self._branches.numbers else {}
            outputs = self._run(index, inputs, changes)
            if negated and index in self._released_gates:
                outputs = [-output for output in outputs]
            kept = values if split else self._shared
            kept.update({Entry(index, place): output for place, output in enumerate(outputs)})
        scores = values[self._graph.output]
        return scores if which == MAX else -scores

    def _operand(self, values: Dict[Entry, Tensor], index: int, place: int, which: int) -> Tensor:
        """Fetch an input of a node; shared features and biases are negated for the Min branch."""
        entry = self._graph.nodes[index].inputs[place]
        if entry in values:
            return values[entry]
        if which == MAX or not self._branches.split[index]:
            return self._shared[entry]
        if entry.node in self._branches.norms:
            return self._own[entry.node]
        if not (self._branches.signal[entry.node] or place in self._branches.biases[index]):
            return self._shared[entry]
        # one negated copy for all nodes that read it
        if entry not in self._negated:
            self._negated[entry] = -self._shared[entry]
        return self._negated[entry]


def _negated_number(node: Node) -> Changes:
    return {"scalar": -float(node.get("scalar", 0.0))}
