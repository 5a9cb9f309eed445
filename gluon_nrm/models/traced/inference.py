"""Inference of a traced network: class scores, latents and the inputs of losses, for each branch."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

from mxnet.gluon.parameter import Parameter

from gluon_nrm.graph import operators
from gluon_nrm.graph.evaluate import Changes
from gluon_nrm.graph.graph_block import GraphBlock
from gluon_nrm.graph.latents import RECTIFIERS, constant_state, record
from gluon_nrm.graph.rendering_plan import NodeBias, RenderingPlan
from gluon_nrm.graph.shapes import map_size
from gluon_nrm.models.interface.passes import Inference
from gluon_nrm.rules.activation import MAX, MIN
from gluon_nrm.rules.statistics import instance_norm
from gluon_nrm.typing import Operators, Tensor

#: Prefix of the structural names of the parameters of the zero image's path.
ZERO = "zero."


class _Recorder:
    """Run the nodes of one pass, and record latents, constants, matched maps and biases."""

    def __init__(self, F: Operators, plan: RenderingPlan, dtype: str) -> None:
        self._F, self._plan, self._dtype = F, plan, dtype
        self._biases: Dict[int, List[NodeBias]] = {}
        for bias in plan.biases:
            self._biases.setdefault(bias.node, []).append(bias)
        self._convolutions = {pair.convolution for pair in plan.pairs}
        self._recorded: Dict[int, List[Tensor]] = {}
        self._convolved: Dict[int, Tensor] = {}
        self._shifts: Dict[NodeBias, Tensor] = {}

    def run(self, index: int, inputs: List[Tensor], changes: Changes) -> List[Tensor]:
        """Run one node, and record what rendering and losses need from it."""
        F, node = self._F, self._plan.branches.graph.nodes[index]
        if node.op == "BatchNorm":
            changes = {**changes, "output_mean_var": True}
        outputs = operators.run(F, node, inputs, self._dtype, **changes)
        if index in self._plan.recorded:
            self._recorded[index] = record(F, self._plan.sites[index], inputs, outputs)
        if index in self._convolutions:
            self._convolved[index] = outputs[0]
        for bias in self._biases.get(index, []):
            self._shifts[bias] = self._shift(bias, inputs, outputs[0], changes)
        return outputs[:1] if node.op == "BatchNorm" else outputs

    def _shift(self, bias: NodeBias, inputs: List[Tensor], output: Tensor, changes: Changes) -> Tensor:
        """Bias that a node adds to each feature map, (C,)."""
        F, node = self._F, self._plan.branches.graph.nodes[bias.node]
        if node.op == "BatchNorm":
            return self._recorded[bias.node][1]
        if bias.place is not None:
            shift = F.reshape(inputs[bias.place], shape=(-1,))
        else:
            pixel = F.slice_axis(F.reshape(output, shape=(0, 0, -1)), axis=2, begin=0, end=1)
            zeros = F.zeros_like(F.slice_axis(pixel, axis=0, begin=0, end=1))
            shift = F.reshape(zeros, shape=(-1,)) + float(changes.get("scalar", node.get("scalar", 0.0)))
        return -shift if bias.subtracted else shift

    def branch(self, which: int, logits: Tensor) -> Inference:
        """Collect the results of the branch that ran last; negated biases get their sign back."""
        plan, split = self._plan, self._plan.branches.split
        convolved = [self._convolved[pair.convolution] for pair in plan.pairs]
        shifts = [
            -self._shifts[bias] if which == MIN and split[bias.node] else self._shifts[bias]
            for bias in plan.biases
        ]
        return Inference(
            logits,
            [self._recorded[index] for index in plan.latents],
            [self._recorded[index] for index in plan.frozen],
            convolved,
            shifts,
        )


class TracedInference(GraphBlock):
    """Images (B, C, H, W) to the fields of an ``Inference``, a list for each branch, Max first."""

    def __init__(
        self,
        plan: RenderingPlan,
        parameters: Mapping[str, Parameter],
        which: Tuple[int, ...],
        dtype: str = "float32",
        **kwargs: Any,
    ) -> None:
        super().__init__(plan.branches, parameters, **kwargs)
        self._plan, self._which, self._dtype = plan, which, dtype

    def hybrid_forward(self, F: Operators, x: Tensor, **parameters: Tensor) -> List[Inference]:
        recorder = _Recorder(F, self._plan, self._dtype)
        evaluation = self.evaluation(F, x, parameters, runner=recorder.run)
        return [recorder.branch(which, evaluation.branch(which)) for which in self._which]


class TracedZero(GraphBlock):
    """Inference of the zero image in the Max branch, without dropout.

    Called with the zero image (1, C, H, W). With ``own_norms``, batch norms become instance norms with fixed
    gammas and the network's betas. Otherwise it is also called with the images' ``Inference.frozen``, and
    applies their affine maps. Returns the class scores (1, K), and a list of the ``constant_state`` of every
    rectifier.
    """

    def __init__(
        self,
        plan: RenderingPlan,
        parameters: Mapping[str, Parameter],
        own_norms: bool,
        dtype: str = "float32",
        **kwargs: Any,
    ) -> None:
        super().__init__(plan.branches, parameters, **kwargs)
        self._plan, self._own_norms, self._dtype = plan, own_norms, dtype

    def hybrid_forward(
        self, F: Operators, zeros: Tensor, frozen: Optional[List[List[Tensor]]] = None, **parameters: Tensor
    ) -> List[Union[Tensor, List[Tensor]]]:
        affine = {} if frozen is None else dict(zip(self._plan.frozen, frozen))
        states: Dict[int, Tensor] = {}

        def run(index: int, inputs: List[Tensor], changes: Changes) -> List[Tensor]:
            """Compute one node: no dropout, frozen norms; states of the rectifiers are kept."""
            node = self._plan.branches.graph.nodes[index]
            if node.op == "Dropout":
                return inputs
            if node.op == "BatchNorm":
                return [self._norm(F, index, inputs, affine, parameters)]
            outputs = operators.run(F, node, inputs, self._dtype)
            if node.op in RECTIFIERS:
                states[index] = constant_state(F, self._plan.sites[index], outputs[0])
            return outputs

        logits = self.evaluation(F, zeros, parameters, runner=run).branch(MAX)
        return [logits, [states[index] for index in sorted(states)]]

    def _norm(
        self, F: Operators, index: int, inputs: List[Tensor], affine: Mapping[int, List[Tensor]],
        parameters: Mapping[str, Tensor],
    ) -> Tensor:  # fmt: skip
        x, flat = inputs[0], len(self._plan.sites[index].output) == 2
        maps = F.reshape(x, shape=(0, 0, 1, 1)) if flat else x
        if self._own_norms:
            gamma = parameters[zero_gamma(self._plan, index)]
            y = instance_norm(F, maps, gamma, inputs[2], map_size(self._plan.sites[index].output))
        else:
            scale, shift = (F.reshape(each, shape=(1, -1, 1, 1)) for each in affine[index])
            y = F.broadcast_add(F.broadcast_mul(maps, scale), shift)
        return F.reshape(y, shape=(0, 0)) if flat else y


def zero_gamma(plan: RenderingPlan, index: int) -> str:
    """Structural name of the fixed gamma of a norm in the zero image's path."""
    graph = plan.branches.graph
    return ZERO + graph.parameters[graph.nodes[index].inputs[1].node]
