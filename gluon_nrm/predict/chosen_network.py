"""The network of a run that predicts or is exported, and the outputs wanted of it."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Tuple

from gluon_nrm.data.sets.streamed_images import KEPT
from gluon_nrm.errors import DeployError, RunError
from gluon_nrm.models import Network
from gluon_nrm.option_names import option
from gluon_nrm.predict.manifest import (
    IMAGE,
    LOGITS,
    MAX,
    MIN,
    MIXTURE,
    PROBABILITIES,
    RENDERING,
    Input,
    Output,
)
from gluon_nrm.runs.clusters import cluster_names
from gluon_nrm.runs.evaluation_record import EVALUATION, REMEDY, read_evaluation
from gluon_nrm.runs.restore_networks import TrainedRun
from gluon_nrm.storage.files import exists
from gluon_nrm.typing import Operators, Tensor

#: Index of the branches that each output is computed from.
BRANCHES = {MAX: (0,), MIN: (1,), MIXTURE: (0, 1)}


class OutputChoice(NamedTuple):
    """The outputs wanted of a network."""

    #: whose logits: "max", "min" or "mixture", their weighted sum
    output: str
    #: also render the class that these logits predict, by each branch of the output
    rendering: bool = False
    #: probabilities in place of logits
    softmax: bool = False

    @property
    def outputs(self) -> Tuple[Output, ...]:
        """Describe the outputs, in order."""
        what = PROBABILITIES if self.softmax else LOGITS
        renderings = [
            Output(RENDERING if self.output != MIXTURE else f"{RENDERING}_{name}", RENDERING, name)
            for name in (MAX, MIN)
            if self.rendering and self.output in (name, MIXTURE)
        ]
        return (Output(what, what, self.output), *renderings)


class ChosenNetwork(NamedTuple):
    """A network of a run, and the outputs wanted of it."""

    trained: TrainedRun
    #: "student" or "teacher"
    name: str
    choice: OutputChoice

    @property
    def net(self) -> Network:
        """The network."""
        return self.trained.networks[self.name]

    @property
    def class_names(self) -> List[str]:
        """Names of the K classes; of a run without labels, names of its clusters.

        Raises:
            RunError: ``evaluation.json``, which has the class of each cluster, is damaged.
        """
        names = list(self.trained.data.dataset.class_names)
        if self.trained.recipe.data.labels == 0:
            return cluster_names(names, self._match(len(names)))
        return names

    def _match(self, classes: int) -> Optional[List[int]]:
        """Class of each cluster, as the last evaluation matched them; None without one of these outputs.

        An evaluation counts the scores of one network at one epoch, by the weighted logits.
        """
        path = self.trained.run.path / EVALUATION
        if not exists(path, RunError):
            return None
        record = read_evaluation(path)
        evaluated = (record.network, record.epoch, default_output(self.net))
        if record.clustering is None or evaluated != (self.name, self.trained.epoch, self.choice.output):
            return None
        match = record.clustering.match
        if sorted(match) != list(range(classes)):
            raise RunError(f"{path} is damaged: clustering.match must hold each class once; {REMEDY}")
        return match

    def describe_input(self, normalised_by: str) -> Input:
        """Describe the images it takes; ``normalised_by``: ``GRAPH`` or ``CALLER``."""
        dataset = self.trained.data.dataset
        return Input(
            name=IMAGE,
            shape=[None, *dataset.input_shape],
            dtype="float32",
            pixels=list(dataset.pixel_range),
            normalised_by=normalised_by,
            mean=[float(value) for value in dataset.mean],
            std=[float(value) for value in dataset.std],
            shorter_side=_shorter_side(self.trained),
        )


def choose_network(
    trained: TrainedRun,
    network: Optional[str],
    output: Optional[str],
    *,
    rendering: bool = False,
    softmax: bool = False,
    named: Optional[str] = None,
) -> ChosenNetwork:
    """Choose a network of a run and its outputs.

    Args:
        trained: the run.
        network: "student" or "teacher"; None: the teacher where there is one.
        output: as for ``choose_outputs``.
        rendering: also the rendering of the predicted class.
        softmax: probabilities in place of logits.
        named: option that asks for renderings, as the message spells it.

    Raises:
        DeployError: the run has no such network, or the network no such branch, or it does not render.
    """
    where = str(trained.run.path)
    name = network or list(trained.networks)[-1]
    if name not in trained.networks:
        raise DeployError(
            f"{option('network', name)}: {where} has a {' and a '.join(trained.networks)} only; leave it out"
        )
    choice = choose_outputs(trained.networks[name], output, rendering, softmax, where, named)
    return ChosenNetwork(trained, name, choice)


def choose_outputs(
    net: Network,
    output: Optional[str],
    rendering: bool,
    softmax: bool,
    where: str,
    named: Optional[str] = None,
) -> OutputChoice:
    """Check the outputs wanted of a network; ``output`` None: those that evaluation counts by.

    Raises:
        DeployError: the network has no such branch or does not render.
    """
    output = output or default_output(net)
    if output != MAX and not net.options.maxmin:
        raise DeployError(
            f"{option('output', output)}: the network of {where} has one branch (model.maxmin is false); "
            f"leave {option('output')} out"
        )
    if rendering and not net.options.render:
        raise DeployError(
            f"{named or option('rendering')}: the network of {where} does not render (model.render is "
            "false); leave it out"
        )
    return OutputChoice(output, rendering, softmax)


def default_output(net: Network) -> str:
    """Return the output that evaluation counts by: the mixture of both branches, or the only branch."""
    return MIXTURE if net.options.maxmin else MAX


def run_network(F: Operators, net: Network, x: Tensor, choice: OutputChoice) -> Dict[str, Tensor]:
    """Compute the outputs, by name, of normalised images (B, C, H, W); on arrays or symbols."""
    inferences = net.infer(x)
    prediction = net.predict(inferences)
    scores = {
        MIXTURE: prediction.logits,
        MAX: prediction.logits_max,
        MIN: prediction.logits_min,
    }[choice.output]
    first, *renderings = choice.outputs
    found = {first.name: F.softmax(scores) if choice.softmax else scores}
    if renderings:
        code = F.one_hot(F.argmax(scores, axis=1), net.classes)
        for output, branch in zip(renderings, BRANCHES[choice.output]):
            found[output.name] = net.render(F, code, inferences[branch], branch).image
    return found


def _shorter_side(trained: TrainedRun) -> Optional[int]:
    """Shorter side that images are scaled to before the centre is cut out; None: all have one size."""
    dataset = trained.data.dataset
    if dataset.streamed:
        return int(round(dataset.input_shape[1] / KEPT))
    return trained.recipe.data.size
