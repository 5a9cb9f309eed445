"""Mean Teacher (Tarvainen and Valpola 2017): a moving average of the student, run bottom-up only."""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

from mxnet.gluon.parameter import Parameter

from gluon_nrm.models import Network
from gluon_nrm.models.twin_network import STATISTICS
from gluon_nrm.optimisation.schedules import teacher_decay
from gluon_nrm.recipe.schema import Teacher as TeacherRecipe
from gluon_nrm.training.consistency_targets import SecondPass
from gluon_nrm.training.many_arrays import ManyArrays

Pairs = List[Tuple[Parameter, Parameter]]


class MeanTeacher(SecondPass):
    """A second copy of the network: an exponential moving average of the student's parameters.

    Its dropout is on, as released. It runs bottom-up only and is never recorded, so it gets no gradient.

    Args:
        net: a network like the student, initialised on the same devices; it starts as a copy of the student.
        student: the network that is trained.
        recipe: decay and the treatment of running statistics.
    """

    net: Network

    def __init__(self, net: Network, student: Network, recipe: TeacherRecipe) -> None:
        super().__init__(net)
        self.net, self._recipe = net, recipe
        own, other = net.collect_params(), student.collect_params()
        pairs: Pairs = list(zip(own.values(), other.values()))
        for ours, theirs in pairs:
            ours.set_data(theirs.data(theirs.list_ctx()[0]))
            ours.grad_req = "null"
        copies = recipe.bn_statistics == "copy"
        self._copied = [pair for pair in pairs if copies and pair[0].name.endswith(STATISTICS)]
        self._averaged = [pair for pair in pairs if pair not in self._copied]
        self._many: Optional[ManyArrays] = None

    def update(self, step: int) -> None:
        """Move towards the student after training step ``step``, counted from 1, on every device.

        The running statistics of the student must be written before; ``TrainStep`` waits for them.
        """
        rate = 1.0 - teacher_decay(self._recipe, step)
        if self._many is None:
            self._many = ManyArrays(_arrays(self._averaged, 0))
        self._many.move(_arrays(self._averaged, 0), _arrays(self._averaged, 1), rate)
        for mine, new in zip(_arrays(self._copied, 0), _arrays(self._copied, 1)):
            new.copyto(mine)


def _arrays(pairs: Pairs, side: int) -> List[Any]:
    """List one side of pairs of parameters, on every device."""
    return [array for pair in pairs for array in pair[side].list_data()]
