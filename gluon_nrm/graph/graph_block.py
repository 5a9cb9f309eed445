"""Blocks that run a traced network: which parameters there are, and under which names."""

from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple

from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import Constant, Parameter, ParameterDict

from gluon_nrm.graph.branches import Branches, find_branches
from gluon_nrm.graph.evaluate import GraphEvaluation
from gluon_nrm.graph.trace import trace
from gluon_nrm.typing import Operators, Tensor

#: Prefix of the structural names of the parameters that the Min branch has of its own.
OWN = "min."


class TracedBranches(NamedTuple):
    """A network taken apart: its graph, and its parameters by structural name."""

    branches: Branches
    parameters: Dict[str, Parameter]


def trace_branches(net: HybridBlock) -> TracedBranches:
    """Trace a network and part its branches.

    Raises:
        ModelError: it cannot be traced, or holds an operator without a rule; the message names it.
    """
    graph, parameters = trace(net)
    learned = frozenset(
        index for index, name in graph.parameters.items() if not isinstance(parameters[name], Constant)
    )
    return TracedBranches(find_branches(graph, learned), parameters)


def own_parameters(traced: TracedBranches, pool: ParameterDict) -> Dict[str, Parameter]:
    """Make the norms' parameters and statistics of the Min branch, in ``pool``.

    They start as the network's own do; where the network has been initialised, as a copy. The Min branch runs
    mirrored, so what is a mean or a shift is copied with its sign changed.
    """
    graph, found = traced.branches.graph, {}
    for node in graph.nodes:
        for place, entry in enumerate(node.inputs[1:], start=1):
            if entry.node not in traced.branches.norms:
                continue
            name = graph.parameters[entry.node]
            theirs = traced.parameters[name]
            ours = pool.get(
                OWN + name, shape=theirs.shape, init=theirs.init, dtype=theirs.dtype,
                grad_req=theirs.grad_req, lr_mult=theirs.lr_mult, wd_mult=theirs.wd_mult,
                allow_deferred_init=True, differentiable=theirs._differentiable,
            )  # fmt: skip
            found[OWN + name] = ours
            if theirs._data is not None:
                ours.initialize(ctx=theirs.list_ctx())
                # data, gamma, beta, mean, variance
                ours.set_data(-theirs.data() if place in (2, 3) else theirs.data())
    return found


class GraphBlock(HybridBlock):
    """A block that runs a traced network.

    Args:
        branches: the graph and where its branches part.
        parameters: by structural name, those of the Min branch with ``OWN`` before it. The network's own keep
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
        """Prepare a pass over images (B, C, H, W) with the parameters that ``hybrid_forward`` is handed."""
        names = self.branches.graph.parameters
        values = {index: parameters[name] for index, name in names.items()}
        own = {index: parameters[OWN + names[index]] for index in self.branches.norms if self.has_own}
        return GraphEvaluation(F, self.branches, x, values, own, **options)

    @property
    def has_own(self) -> bool:
        """Whether the block holds the Min branch's parameters."""
        return any(name.startswith(OWN) for name in self._reg_params)
