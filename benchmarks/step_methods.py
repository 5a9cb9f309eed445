"""Our training steps that are measured: a network of ``networks.py``, both streams, all losses, update."""

from __future__ import annotations

import math
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import mxnet as mx

from benchmarks.floor import ConvolutionCall, convolution_calls
from benchmarks.networks import (
    CLASSES,
    CONSISTENCY,
    DECAY,
    METHODS,
    NETWORKS,
    RATE,
    WEIGHT_DECAY,
    WEIGHTS,
    MeasuredNetwork,
)
from gluon_nrm.data.pipeline.streams import Batch, Step
from gluon_nrm.losses import Objective
from gluon_nrm.models import Network, get_model, initialise
from gluon_nrm.recipe.schema import Optimiser, Phase
from gluon_nrm.recipe.schema import Teacher as TeacherRecipe
from gluon_nrm.system.processor import allow_matrix_tiles
from gluon_nrm.training.assemble import trace
from gluon_nrm.training.consistency_targets import ClassProbabilities
from gluon_nrm.training.optimisers import make_trainer, trained_parameters
from gluon_nrm.training.step import TrainStep
from gluon_nrm.training.teacher import MeanTeacher


class Built(NamedTuple):
    """What is measured: one whole step, and its convolutions."""

    step: Callable[[], Any]
    #: those of one of the two streams
    stream_calls: List[ConvolutionCall]
    #: those made once for both: the zero image's
    shared_calls: List[ConvolutionCall]
    objective: Objective
    teacher: Optional[MeanTeacher]


def build(
    method: str,
    hybridised: bool,
    dropout: Optional[float] = None,
    dtype: str = "float32",
    get_network: Callable[..., Network] = get_model,
    floor: bool = True,
    network: str = "allconv13",
) -> Built:
    """Build a method's training step on random images, on the CPU.

    Args:
        method: a key of ``METHODS``.
        hybridised: trace it into static graphs.
        dropout: in place of the architecture's own.
        dtype: precision of the convolutions.
        get_network: builds the network, called as ``get_model`` is.
        floor: whether its convolutions are listed, for networks built from a list of layers.
        network: a key of ``NETWORKS``.
    """
    settings, measured = METHODS[method], NETWORKS[network]
    if dtype == "bfloat16":
        allow_matrix_tiles()

    def make() -> Network:
        options: Dict[str, Any] = {"maxmin": settings.maxmin, "dropout": dropout, "dtype": dtype}
        if measured.channels is not None:
            options["channels"] = measured.channels
        return initialise(get_network(measured.model, CLASSES, measured.shape, **options), seed=0)

    net, weights = make(), dict(WEIGHTS)
    teacher = None
    if settings.teacher:
        teacher = MeanTeacher(make(), net, TeacherRecipe(enabled=True, decay=DECAY))
        weights["consistency"] = CONSISTENCY
    objective = Objective(net, weights)
    if hybridised:
        trace(objective)
    elif teacher is not None:
        teacher._probabilities.hybridize(False)
    phase = Phase(name="sgd", lr=RATE)
    parameters = trained_parameters(objective)
    trainer = make_trainer(parameters, Optimiser([phase], weight_decay=WEIGHT_DECAY), phase, "device")
    streams = batches(measured)
    train = TrainStep(objective, [mx.cpu(0)], teacher)
    of_streams: List[ConvolutionCall] = []
    of_both: List[ConvolutionCall] = []
    if floor:
        of_streams = stream_calls(objective, teacher, measured)
        of_both = convolution_calls(objective.zero_states, {"image": (1, *measured.shape)}, train=False)
    return Built(
        lambda: train(streams, weights, trainer, 1), of_streams, of_both, objective, teacher
    )  # fmt: skip


def batches(measured: MeasuredNetwork) -> Step:
    """Random images: a labelled and an unlabelled batch."""
    mx.random.seed(0)
    images = mx.nd.random.normal(shape=(2, measured.batch, *measured.shape)).asnumpy()
    labels = (mx.nd.arange(measured.batch) % CLASSES).asnumpy()
    return Step(Batch(images[0], labels), Batch(images[1], 0 * labels - 1))


def stream_calls(
    objective: Objective, teacher: Optional[MeanTeacher], measured: MeasuredNetwork
) -> List[ConvolutionCall]:
    """List the convolutions of one stream: the objective's, and the teacher's, which go forward only."""
    states = sum(math.prod(shape) for shape in objective.net.zero_shapes)
    batch = measured.batch
    every: Dict[str, Any] = {
        "image": (batch, *measured.shape), "label": (batch,), "zero_states": (1, states),
        "teacher": (batch, CLASSES),
    }  # fmt: skip
    calls = convolution_calls(objective, {name: every[name] for name in objective.inputs})
    if teacher is not None:
        calls += convolution_calls(ClassProbabilities(teacher.net), {"image": every["image"]}, train=False)
    return calls
