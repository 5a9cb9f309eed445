"""Mean Teacher (Tarvainen and Valpola 2017): a moving average of the student, run bottom-up only."""

from __future__ import annotations

from typing import List, Tuple

import mxnet as mx
from mxnet.gluon.parameter import Parameter

from gluon_nrm.models import Network
from gluon_nrm.models.twin_network import STATISTICS
from gluon_nrm.optimisation.schedules import teacher_decay
from gluon_nrm.recipe.schema import Teacher as TeacherRecipe
from gluon_nrm.training.consistency_targets import SecondPass


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
        self._pairs: List[Tuple[Parameter, Parameter]] = list(zip(own.values(), other.values()))
        for ours, theirs in self._pairs:
            ours.set_data(theirs.data(theirs.list_ctx()[0]))
            ours.grad_req = "null"

    def update(self, step: int) -> None:
        """Move towards the student after training step ``step``, counted from 1, on every device.

        The running statistics of the student must be written before; ``TrainStep`` waits for them.
        """
        decay = teacher_decay(self._recipe, step)
        copies = self._recipe.bn_statistics == "copy"
        for ours, theirs in self._pairs:
            statistic = ours.name.endswith(STATISTICS)
            rate = 1.0 if statistic and copies else 1.0 - decay
            for mine, new in zip(ours.list_data(), theirs.list_data()):
                # mine <- mine - rate (mine - new), in one pass over the memory
                mx.nd.sgd_update(mine, new, out=mine, lr=rate, wd=1.0, rescale_grad=-1.0)
