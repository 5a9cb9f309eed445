"""The block that runs a traced network, and the names of its parameters."""

from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple

from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import Constant, Parameter, ParameterDict

from gluon_nrm.graph.branches import Branches, find_branches
from gluon_nrm.graph.evaluate import GraphEvaluation
from gluon_nrm.graph.trace import trace
from gluon_nrm.typing import Operators, Tensor

#: Prefix of the structural names of the Min branch's own parameters.
OWN = "min."


class TracedBranches(NamedTuple):
    """A traced network: its graph with both branches, and its parameters by structural name."""

    branches: Branches
    parameters: Dict[str, Parameter]


def trace_branches(net: HybridBlock) -> TracedBranches:
    """Trace a network and find its Max and Min branch.

    Raises:
        ModelError: the network cannot be traced, or has an operator without a rule; the message names it.
    """
    graph, parameters = trace(net)
    learned = frozenset(
        index for index, name in graph.parameters.items() if not isinstance(parameters[name], Constant)
    )
    return TracedBranches(find_branches(graph, learned), parameters)


def own_parameters(traced: TracedBranches, pool: ParameterDict) -> Dict[str, Parameter]:
    """Make the Min branch's norm parameters and statistics, in ``pool``.

    They have the initialisers of the network's own norms. For an initialised network they start as copies,
    with means and shifts negated, because the Min branch runs on negated features.
    """
    graph, found = traced.branches.graph, {}
    for node in graph.nodes:
        for place, entry in enumerate(node.inputs[1:], start=1):
            if entry.node not in traced.branches.norms:
                continue
            name = graph.parameters[entry.node]
            original = traced.parameters[name]
            own = pool.get(
                OWN + name, shape=original.shape, init=original.init, dtype=original.dtype,
                grad_req=original.grad_req, lr_mult=original.lr_mult, wd_mult=original.wd_mult,
                allow_deferred_init=True, differentiable=original._differentiable,
            )  # fmt: skip
            found[OWN + name] = own
            if original._data is not None:
                own.initialize(ctx=original.list_ctx())
                # data, gamma, beta, mean, variance
                own.set_data(-original.data() if place in (2, 3) else original.data())
    return found


class GraphBlock(HybridBlock):
    """A block that runs a traced network.

    Args:
        branches: the graph with both branches.
        parameters: by structural name; the Min branch's own have the prefix ``OWN``. The network's own keep
            their names, so files of its parameters load.
    """

    def __init__(self, branches: Branches, parameters: Mapping[str, Parameter], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.branches = branches
        self._reg_params.update(parameters)
        self.params.update({parameter.name: parameter for parameter in parameters.values()})

    def evaluation(
        self, F: Operators, x: Tensor, parameters: Mapping[str, Tensor], **options: Any
    ) -> GraphEvaluation:
        """Prepare a pass over images (B, C, H, W) with the parameters of ``hybrid_forward``."""
        names = self.branches.graph.parameters
        values = {index: parameters[name] for index, name in names.items()}
        own = {index: parameters[OWN + names[index]] for index in self.branches.norms if self.has_own}
        return GraphEvaluation(F, self.branches, x, values, own, **options)

    @property
    def has_own(self) -> bool:
        """True if the block holds the Min branch's parameters."""
        return any(name.startswith(OWN) for name in self._reg_params)
