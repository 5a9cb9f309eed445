"""A classifier from any CNN, with or without a Min branch, without a rendering pass."""

from __future__ import annotations

from typing import Any, List, Tuple

from mxnet.gluon import HybridBlock

from gluon_nrm.graph.graph_block import GraphBlock, TracedBranches, trace_branches
from gluon_nrm.graph.operators import draws
from gluon_nrm.graph.shapes import check_scores, complete_parameters, infer_shapes
from gluon_nrm.graph.trace import trace
from gluon_nrm.layers.options import NRMOptions
from gluon_nrm.models.interface.network import Network
from gluon_nrm.models.interface.passes import Inference
from gluon_nrm.models.traced.maxmin import MaxMin
from gluon_nrm.rules.activation import MAX
from gluon_nrm.typing import Operators, Tensor


class ReducedClassifier(GraphBlock):
    """A network whose layers with weights run in another precision: images (B, C, H, W) to scores (B, K)."""

    def __init__(self, traced: TracedBranches, dtype: str, **kwargs: Any) -> None:
        super().__init__(traced.branches, traced.parameters, **kwargs)
        self._dtype = dtype

    def hybrid_forward(self, F: Operators, x: Tensor, **parameters: Tensor) -> Tensor:
        return self.evaluation(F, x, parameters, dtype=self._dtype).branch(MAX)


class TracedClassifier(Network):
    """A network that classifies only; ``options.maxmin`` adds the Min branch.

    Args:
        net: any network that can be hybridised and returns class scores.
        classes: number of classes K.
        input_shape: channels, height and width of the images.
        options: the network's options; those about rendering do not apply.

    Raises:
        ModelError: as for ``maxmin``, or the network does not return ``classes`` scores, or it cannot process
            images of this size.
    """

    def __init__(
        self,
        net: HybridBlock,
        classes: int,
        input_shape: Tuple[int, int, int],
        options: NRMOptions,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, input_shape, options, **kwargs)
        plain = not options.maxmin and options.dtype == "float32"
        # a plain network runs as it is, so it may have operators without a rule
        traced = None if plain else trace_branches(net)
        graph, parameters = trace(net) if traced is None else (traced.branches.graph, traced.parameters)
        shapes = infer_shapes(graph, parameters, input_shape)
        check_scores(shapes[graph.output], classes)
        complete_parameters(graph, parameters, shapes)
        self.stochastic = draws(graph)
        with self.name_scope():
            if traced is None:
                self.net = net
            elif options.maxmin:
                self.net = MaxMin(traced, options.gates, options.dtype)
            else:
                self.net = ReducedClassifier(traced, options.dtype)

    def infer(self, x: Tensor) -> List[Inference]:
        """Scores of every branch."""
        scores = self.net(x)
        return [Inference(each) for each in (scores if self.options.maxmin else [scores])]
