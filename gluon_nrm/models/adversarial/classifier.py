"""The interface of a classifier that is also the discriminator of its method."""

from __future__ import annotations

from typing import List

from mxnet.gluon.parameter import Parameter

from gluon_nrm.models.interface.network import Network
from gluon_nrm.recipe.terms import ADVERSARIAL
from gluon_nrm.typing import Tensor


class AdversarialClassifier(Network):
    """A classifier whose K scores also tell real samples from generated ones.

    The score of a class "generated" is fixed at 0, so a sample is real with probability sigmoid(log sum_k
    exp(l_k)) (Salimans et al. 2016, Section 5). ``judge`` of a sample and ``infer`` of its image return the
    same numbers. All methods run blocks, so they serve eager arrays and traced symbols alike.

    Args: as for ``Network``.
    """

    kind = ADVERSARIAL

    def judge(self, sample: Tensor) -> Tensor:
        """Score samples, (B, K): images (B, *input_shape), or what else the method generates."""
        raise NotImplementedError

    def features(self, x: Tensor) -> Tensor:
        """Compute the features of images (B, *input_shape) that feature matching compares, (B, N)."""
        raise NotImplementedError

    def start_from(self, images: Tensor) -> None:
        """Set weight-normalised layers by a batch of images (B, *input_shape), before the first step.

        Runs eagerly. A network without such layers does nothing.
        """

    @property
    def learned_elsewhere(self) -> List[Parameter]:
        """Parameters that other losses than the classifier's train."""
        return []
