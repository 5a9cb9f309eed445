"""Max-Min for any CNN (Section 5): a meta-architecture in one line."""

from __future__ import annotations

from typing import Any, NamedTuple, Set, Tuple

from mxnet.gluon import HybridBlock

from gluon_nrm.graph.graph_block import GraphBlock, TracedBranches, own_parameters, trace_branches
from gluon_nrm.graph.shapes import complete_parameters, infer_shapes
from gluon_nrm.layers.named_outputs import NamedBlock
from gluon_nrm.layers.options import check_choice
from gluon_nrm.layers.parameter_count import describe_size
from gluon_nrm.rules.activation import MAX, MIN
from gluon_nrm.typing import Operators, Tensor


class Scores(NamedTuple):
    """Class scores before the softmax of both branches, (B, K) each."""

    logits_max: Tensor
    logits_min: Tensor


class MaxMin(NamedBlock, GraphBlock):
    """A traced network with its Min branch: images (B, C, H, W) to ``Scores``. Build it with ``maxmin``."""

    result_type = Scores

    def __init__(
        self, traced: TracedBranches, gates: str = "negated", dtype: str = "float32", **kwargs: Any
    ) -> None:
        check_choice("gates", gates)
        check_choice("dtype", dtype)
        super().__init__(traced.branches, traced.parameters, **kwargs)
        self._network, self._released, self._dtype = traced.parameters, gates == "released", dtype
        with self.name_scope():
            own = own_parameters(traced, self.params)
        self._reg_params.update(own)
        self._seen: Set[Tuple[int, ...]] = set()

    def __repr__(self) -> str:
        """Return the number of operators and of parameters."""
        operators = sum(node.op != "null" for node in self.branches.graph.nodes)
        return f"MaxMin({operators} operators), {describe_size(self)}"

    def __call__(self, x: Tensor) -> Scores:
        """Run both branches; the first call with a new image size checks that the network can process it."""
        shape = getattr(x, "shape", None)
        if shape is not None and shape[1:] not in self._seen:
            shapes = infer_shapes(self.branches.graph, self._network, shape[1:])
            complete_parameters(self.branches.graph, self._network, shapes)
            self._seen.add(shape[1:])
        return super().__call__(x)

    def hybrid_forward(self, F: Operators, x: Tensor, **parameters: Tensor) -> Scores:
        evaluation = self.evaluation(F, x, parameters, released_gates=self._released, dtype=self._dtype)
        return Scores(evaluation.branch(MAX), evaluation.branch(MIN))


def maxmin(net: HybridBlock, gates: str = "negated", dtype: str = "float32") -> MaxMin:
    """Add a Min branch to a network: the same filters, with minima in place of maxima.

        net = maxmin(gluon.model_zoo.vision.resnet18_v1(classes=10))
        net.initialize()
        net(images).logits_max, net(images).logits_min

    The result shares all parameters of ``net``. The Min branch has its own normalisations after the first
    non-linearity (structural names with prefix ``min.``). It initialises, trains, hybridises, saves, loads
    and exports like any block; a file of ``net``'s parameters loads with ``allow_missing=True``. For the Min
    form of each operator see ``gluon_nrm.graph.branches``.

    Args:
        net: any network of images that can be hybridised and returns class scores (B, K), initialised or not.
        gates: form of gates (the sigmoid of a squeeze-and-excitation block) in the Min branch: "negated",
            f(-v), or "released", -f(-v) as in the authors' SE-ResNeXt.
        dtype: precision of convolutions and fully connected layers; everything else is float32.

    Raises:
        ModelError: the network cannot be traced, has several outputs or no non-linearity, or has an operator
            without a rule; the message names it.
    """
    return MaxMin(trace_branches(net), gates, dtype)
