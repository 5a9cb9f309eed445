"""The training steps that are measured: AllConv13 on 32x32 images, batch 8 + 8, all losses, one update."""

from __future__ import annotations

import math
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import mxnet as mx

from benchmarks.floor import ConvolutionCall, convolution_calls
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

BATCH, CLASSES, SHAPE = 8, 10, (3, 32, 32)
#: weights of the paper's recipes
WEIGHTS = {
    "cross_entropy": 1.0, "reconstruction": 0.5, "entropy": 0.5, "moment_matching": 0.5, "path_norm": 1.0,
}  # fmt: skip
CONSISTENCY = 33.0


class Method(NamedTuple):
    """A row of the table."""

    maxmin: bool
    teacher: bool


#: as in ``peer_torch.py``
METHODS = {"nrm_rpn": Method(False, False), "nrm_rpn_maxmin_mt": Method(True, True)}


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
) -> Built:
    """Build a method's training step on random images, on the CPU.

    Args:
        method: a key of ``METHODS``.
        hybridised: trace it into static graphs.
        dropout: in place of the architecture's own.
        dtype: precision of the convolutions.
        get_network: builds the network, called as ``get_model`` is.
        floor: whether its convolutions are listed, for networks built from a list of layers.
    """
    settings = METHODS[method]
    if dtype == "bfloat16":
        allow_matrix_tiles()

    def network() -> Network:
        return initialise(
            get_network("allconv13", CLASSES, SHAPE, maxmin=settings.maxmin, dropout=dropout, dtype=dtype),
            seed=0,
        )

    net, weights = network(), dict(WEIGHTS)
    teacher = None
    if settings.teacher:
        teacher = MeanTeacher(network(), net, TeacherRecipe(enabled=True, decay=0.99))
        weights["consistency"] = CONSISTENCY
    objective = Objective(net, weights)
    if hybridised:
        trace(objective)
    elif teacher is not None:
        teacher._probabilities.hybridize(False)
    phase = Phase(name="sgd", lr=0.01)
    parameters = trained_parameters(objective)
    trainer = make_trainer(parameters, Optimiser([phase], weight_decay=5e-4), phase, "device")
    streams = batches()
    train = TrainStep(objective, [mx.cpu(0)], teacher)
    of_streams: List[ConvolutionCall] = []
    of_both: List[ConvolutionCall] = []
    if floor:
        of_streams = stream_calls(objective, teacher)
        of_both = convolution_calls(objective.zero_states, {"image": (1, *SHAPE)}, train=False)
    return Built(
        lambda: train(streams, weights, trainer, 1), of_streams, of_both, objective, teacher
    )  # fmt: skip


def batches(seed: int = 0) -> Step:
    """Random images: 8 labelled and 8 unlabelled ones."""
    mx.random.seed(seed)
    images = mx.nd.random.normal(shape=(2, BATCH, *SHAPE)).asnumpy()
    labels = (mx.nd.arange(BATCH) % CLASSES).asnumpy()
    return Step(Batch(images[0], labels), Batch(images[1], 0 * labels - 1))


def stream_calls(objective: Objective, teacher: Optional[MeanTeacher]) -> List[ConvolutionCall]:
    """List the convolutions of one stream: the objective's, and the teacher's, which go forward only."""
    states = sum(math.prod(shape) for shape in objective.net.zero_shapes)
    every: Dict[str, Any] = {
        "image": (BATCH, *SHAPE), "label": (BATCH,), "zero_states": (1, states), "teacher": (BATCH, CLASSES)
    }  # fmt: skip
    calls = convolution_calls(objective, {name: every[name] for name in objective.inputs})
    if teacher is not None:
        calls += convolution_calls(ClassProbabilities(teacher.net), {"image": every["image"]}, train=False)
    return calls
