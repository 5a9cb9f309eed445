"""The NRM of any CNN: its traced graph runs in both directions."""

from __future__ import annotations

from math import prod
from typing import Any, Dict, List, Mapping, Optional, Tuple

from mxnet.gluon import HybridBlock, nn
from mxnet.gluon.parameter import Parameter

from gluon_nrm.errors import ModelError
from gluon_nrm.graph.graph_block import own_parameters, trace_branches
from gluon_nrm.graph.latents import RECTIFIERS
from gluon_nrm.graph.operators import draws
from gluon_nrm.graph.rendering_plan import NodeBias, plan_rendering
from gluon_nrm.graph.shapes import check_scores, complete_parameters, infer_shapes, map_size
from gluon_nrm.layers.normalisation import AroundOne
from gluon_nrm.layers.options import OF_LAYERS, OF_TWO_BRANCHES, NRMOptions, read_options
from gluon_nrm.layers.render_norms import RenderNorms
from gluon_nrm.models.interface.network import Network
from gluon_nrm.models.interface.passes import FreeLatents, Inference, MatchedLayer, Rendering, Shape
from gluon_nrm.models.interface.zero_path import every_class, unpack, zero_image
from gluon_nrm.models.traced.free_latents import free_latents
from gluon_nrm.models.traced.inference import TracedInference, TracedZero, zero_gamma
from gluon_nrm.models.traced.rendering import ZERO_PATH, TracedRendering
from gluon_nrm.typing import Operators, Tensor


class TracedNRM(Network):
    """A network of any kind that also renders. Build it with ``nrm``; as a block it is a ``Network``.

    A layer of this model is a rectifier, with the convolution and norm before it and the pooling behind it.
    The biases b(l) are the betas of norms or, without norms, the biases of convolutions.
    """

    renders = True

    def __init__(
        self,
        net: HybridBlock,
        classes: int,
        input_shape: Tuple[int, int, int],
        options: NRMOptions,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, input_shape, options, **kwargs)
        traced = trace_branches(net)
        shapes = infer_shapes(traced.branches.graph, traced.parameters, input_shape)
        check_scores(shapes[traced.branches.graph.output], classes)
        self.plan = plan_rendering(traced.branches, shapes)
        complete_parameters(traced.branches.graph, traced.parameters, shapes)
        self.stochastic = draws(traced.branches.graph)
        self._network = traced.parameters
        self._class_bias = self._find_class_bias()
        with self.name_scope():
            own = own_parameters(traced, self.params) if options.maxmin else {}
            parameters = {**traced.parameters, **own}
            self.inference = TracedInference(self.plan, parameters, options.branches, options.dtype)
            self.tempered = self._tempering()
            self.render_norms = nn.HybridSequential()
            for shape in self.plan.shapes:
                self.render_norms.add(RenderNorms(shape[1], map_size(shape), options))
            self.render_norms.add(RenderNorms(input_shape[0], input_shape[1:], options, zero=False))
            self.renderings = nn.HybridSequential()
            for branch in range(len(options.branches)):
                self.renderings.add(self._rendering(branch))
            if options.runs_zero_image:
                self.zero = self._zero_path()
            if options.path_norm == "layerwise":
                self.zero_rendering = self._rendering(ZERO_PATH)

    def _rendering(self, branch: int) -> TracedRendering:
        norms = [self.render_norms[place] for place in range(len(self.render_norms))]
        exact = self.options.render_norm == "none"
        learned = [place for place, bias in enumerate(self.plan.biases) if self._parameter(bias) is not None]
        return TracedRendering(self.plan, self._network, norms, branch, learned, exact, self.options.dtype)

    def _zero_path(self) -> TracedZero:
        own_norms = self.options.path_norm == "layerwise"
        parameters: Dict[str, Parameter] = dict(self._network)
        for index, site in self.plan.sites.items():
            if own_norms and site.node.op == "BatchNorm":
                name = zero_gamma(self.plan, index)
                parameters[name] = self.params.get(
                    name, shape=(site.output[1],), init=AroundOne(), grad_req="null"
                )
        return TracedZero(self.plan, parameters, own_norms, self.options.dtype)

    def infer(self, x: Tensor) -> List[Inference]:
        """Infer the latents of every branch; nodes before the first non-linearity run once for both."""
        found = [Inference(*each) for each in self.inference(x)]
        return [each._replace(logits=self.temper(each.logits)) for each in found]

    def render(self, F: Operators, code: Tensor, inference: Inference, branch: int = 0) -> Rendering:
        """See ``Network``."""
        return Rendering(*self.renderings[branch](code, inference.latents, inference.frozen))

    def infer_zero(self, F: Operators, zeros: Tensor) -> List[Tensor]:
        """See ``Network``."""
        states: List[Tensor] = self.zero(zeros)[1]
        return states

    def score_zero(self, F: Operators, x: Tensor, inference: Inference) -> Tensor:
        """See ``Network``."""
        return self.temper(self.zero(zero_image(F, x), inference.frozen)[0])

    def render_zero(self, F: Operators, states: Tensor, inference: Inference) -> List[Tensor]:
        """See ``Network``."""
        remaining = iter(unpack(F, states, self.zero_shapes))
        latents = [
            [next(remaining)] if self.plan.sites[index].node.op in RECTIFIERS else own
            for index, own in zip(self.plan.latents, inference.latents)
        ]
        code = every_class(F, inference.logits)
        return Rendering(*self.zero_rendering(code, latents, inference.frozen)).masked

    @property
    def zero_shapes(self) -> List[Shape]:
        """See ``Network``."""
        return [site.output for _, site in sorted(self.plan.sites.items()) if site.node.op in RECTIFIERS]

    @property
    def network_parameters(self) -> Mapping[str, Parameter]:
        """Parameters of the base network, without those of rendering, by structural name."""
        return self._network

    def _parameter(self, bias: NodeBias) -> Optional[Parameter]:
        """Return the learned parameter of a bias b(l); None if there is none, or if a norm removes it."""
        if bias.place is None or bias.redundant:
            return None
        graph = self.plan.branches.graph
        name = graph.parameters.get(graph.nodes[bias.node].inputs[bias.place].node)
        parameter = None if name is None else self._network[name]
        return parameter if parameter is not None and parameter.grad_req != "null" else None

    @property
    def matched_layers(self) -> List[MatchedLayer]:
        """Every matched convolution; those that each branch runs itself are negated in the Min branch."""
        layers = []
        for pair in self.plan.pairs:
            own = self.plan.sites[pair.convolution].output
            onto = own if pair.feature is None else self.plan.shapes[pair.feature]
            negated = self.plan.branches.split[pair.convolution]
            layers.append(MatchedLayer(own[1], prod(onto[2:]), prod(own[2:]), negated))
        return layers

    @property
    def path_biases(self) -> List[Parameter]:
        """b(l) of each layer that has one."""
        found = [self._parameter(bias) for bias in self.plan.biases]
        return [parameter for parameter in found if parameter is not None]

    @property
    def class_bias(self) -> Optional[Parameter]:
        """The classifier's bias; None if the network changes the classifier's scores."""
        return self._class_bias[0] if self._class_bias else None

    def _find_class_bias(self) -> Tuple[Parameter, ...]:
        """Find the classifier's bias, and stop its learning if it is fixed; empty without one.

        A tuple, because a block registers a parameter that is its attribute a second time.
        """
        found = None if self.plan.class_bias is None else self._parameter(self.plan.class_bias)
        if self.options.fixed_class_prior:
            if found is None:
                raise ModelError(
                    "model.fixed_class_prior: the classifier has no bias, the log pi_y; leave it out"
                )
            found.grad_req = "null"
        return () if found is None else (found,)

    @property
    def normalised(self) -> bool:
        """See ``Network``."""
        return any(site.node.op == "BatchNorm" for site in self.plan.sites.values())

    @property
    def free_latents(self) -> List[FreeLatents]:
        """See ``Network``."""
        return free_latents(self.plan, self._network)

    @property
    def frozen_sizes(self) -> List[int]:
        """Two arrays (scale, shift) for a norm, one for a product."""
        return [2 if self.plan.sites[index].node.op == "BatchNorm" else 1 for index in self.plan.frozen]

    @property
    def bias_count(self) -> int:
        """See ``Network``."""
        return len(self.plan.biases)


def nrm(net: HybridBlock, classes: int, input_shape: Tuple[int, int, int], **options: Any) -> TracedNRM:
    """Turn a network into a Neural Rendering Model that shares its every filter.

        net = nrm(gluon.model_zoo.vision.resnet18_v1(classes=10), 10, (3, 32, 32), maxmin=True)
        net.initialize()
        Reconstructor(net)(images, labels).images[0]

    Args:
        net: any network of convolutions, norms, ReLUs, poolings, sums and concatenations that can be
            hybridised and returns class scores, initialised or not.
        classes: number of classes K.
        input_shape: channels, height and width of the images.
        options: fields of ``NRMOptions``; those that the network would ignore are refused.

    Raises:
        ModelError: the network cannot be traced or rendered through (the message names the node) or cannot
            process images of this size; or an option is unknown, does not apply, or contradicts another.
    """
    _refuse_unused(options)
    return TracedNRM(net, classes, input_shape, read_options(options))


def _refuse_unused(given: Mapping[str, Any]) -> None:
    """Refuse options of ``nrm`` that would change nothing, whatever their value.

    Raises:
        ModelError: an option is for lists of layers, or needs another option.
    """
    maxmin, normalised = given.get("maxmin", False), given.get("render_norm", "batch") == "batch"
    for name in given:
        if name in OF_LAYERS:
            raise ModelError(f"{name}: this is for lists of layers (get_model); the network has its own")
        if name in OF_TWO_BRANCHES and not maxmin:
            raise ModelError(f"{name}: this is for two branches; give maxmin=True too, or leave it out")
        if name == "render_norm_branches" and not normalised:
            raise ModelError(f"{name}: without rendering norms there is nothing to share; leave it out")
        if name == "render" and not given[name]:
            raise ModelError("render: an NRM renders; for a Max-Min classifier use gluon_nrm.maxmin(net)")
