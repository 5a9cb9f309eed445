"""Targets of the consistency term, one class for each method.

Targets are constants: they are computed outside autograd, so no gradient reaches them.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

import mxnet as mx
import numpy as np
from mxnet.gluon.utils import split_and_load

from gluon_nrm.data.pipeline.streams import Batch
from gluon_nrm.layers.quiet_block import QuietBlock
from gluon_nrm.losses.consistency import NO_TARGET, Probabilities
from gluon_nrm.models import Network
from gluon_nrm.runs.checkpoint import check_arrays
from gluon_nrm.typing import Operators, Tensor


class ClassProbabilities(QuietBlock):
    """Compute the class probabilities of images (B, C, H, W), mixed over the branches, (B, K)."""

    def __init__(self, net: Network, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.net = net
            self.mix = Probabilities(net.options.alphas)

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tensor:
        return self.mix(*[each.logits for each in self.net.infer(x)])


class Targets:
    """Base class of the methods.

    Attributes:
        net: the method's own network, evaluated and saved beside the student; None if it has none.
        wants_predictions: the training step calls ``observe`` with the student's predictions.
    """

    net: Optional[Network] = None
    wants_predictions = False

    def of(self, batch: Batch, devices: List[Any]) -> List[Any]:
        """Target probabilities of a batch, (B / devices, K) on each device."""
        raise NotImplementedError

    def observe(self, batch: Batch, predictions: Sequence[Any]) -> None:
        """Record the student's predictions of a training step, of all workers, (B / devices, K) each."""

    def update(self, step: int) -> None:
        """Follow the student after training step ``step``, counted from 1."""

    def end_epoch(self) -> None:
        """Update the method's state at the end of an epoch."""

    def arrays(self) -> Dict[str, np.ndarray]:
        """Return the state for a checkpoint, without the parameters of ``net``."""
        return {}

    def load(self, arrays: Mapping[str, np.ndarray], where: str) -> None:
        """Restore the state. Raises CheckpointError if it does not fit."""
        check_arrays({}, arrays, where)


class SecondPass(Targets):
    """Compute targets by a second pass over the images, or over another augmentation of them.

    The pass is bottom-up, in training mode (batch statistics, dropout), and never recorded.

    Args:
        net: the network of the second pass.
    """

    def __init__(self, net: Network) -> None:
        self._probabilities = ClassProbabilities(net)
        self._probabilities.hybridize(static_alloc=True, static_shape=True)

    def probabilities(self, images: Any) -> Any:
        """Class probabilities (B, K) of images (B, C, H, W) on one device."""
        with mx.autograd.pause(train_mode=True):
            return self._probabilities(images)

    def of(self, batch: Batch, devices: List[Any]) -> List[Any]:
        """See ``Targets``."""
        views = batch.images if batch.teacher_images is None else batch.teacher_images
        return [self.probabilities(view) for view in split_and_load(mx.nd.array(views), devices)]


class PiModel(SecondPass):
    """The Pi model (Laine and Aila 2017, section 2.1): the network itself, in a second pass over each image.

    The passes differ in dropout and, with ``teacher.augmentation: independent`` as in the paper, in
    augmentation. The second pass is held constant. In Algorithm 1 of the paper the gradient goes through both
    passes, so its expectation is twice as large; double loss.weights.consistency to match it.

    Args:
        net: the stateless twin of the network (``share_parameters``).
    """


class TemporalEnsembling(Targets):
    """Temporal Ensembling (Laine and Aila 2017, section 2.2): each image's earlier predictions, averaged.

    z is the mean of an image's predictions during an epoch. At the end of the epoch,
    Z <- alpha Z + (1 - alpha) z; after the t-th update the target is Z / (1 - alpha^t). The paper sees every
    image once an epoch. Here a labelled image may be seen more often, and an image that was not seen keeps
    its Z and t. Until its first update an image has no target and loss 0. The predictions are those of the
    training pass, with its dropout and augmentation; there is no second pass.

    Memory: 8 bytes for each training image and class, also in each checkpoint.

    Args:
        images: number of training images.
        classes: K.
        decay: alpha.
    """

    wants_predictions = True

    def __init__(self, images: int, classes: int, decay: float) -> None:
        self._decay = decay
        self._average = np.zeros((images, classes), np.float32)
        self._updates = np.zeros(images, np.float32)  # integers
        self._sum = np.zeros((images, classes), np.float32)  # of this epoch's predictions
        self._seen = np.zeros(images, np.float32)  # how many those are

    def of(self, batch: Batch, devices: List[Any]) -> List[Any]:
        """See ``Targets``; an image without a target has a row of ``NO_TARGET``."""
        return split_and_load(mx.nd.array(self.targets(_indices(batch))), devices)

    def targets(self, indices: np.ndarray) -> np.ndarray:
        """Targets (B, K) of the training images at ``indices``."""
        updates = self._updates[indices][:, np.newaxis]
        correction = 1.0 - self._decay ** np.maximum(updates, 1.0)
        return np.where(updates > 0, self._average[indices] / correction, NO_TARGET).astype(np.float32)

    def observe(self, batch: Batch, predictions: Sequence[Any]) -> None:
        """See ``Targets``."""
        found = np.concatenate([part.asnumpy() for part in predictions])
        indices = _indices(batch) if batch.all_indices is None else batch.all_indices
        np.add.at(self._sum, indices, found)  # an image may be in a batch twice
        np.add.at(self._seen, indices, 1.0)

    def end_epoch(self) -> None:
        """Update the averages of the images that were seen."""
        seen = self._seen > 0
        mean = self._sum[seen] / self._seen[seen][:, np.newaxis]
        self._average[seen] = self._decay * self._average[seen] + (1.0 - self._decay) * mean
        self._updates[seen] += 1.0
        self._sum[:], self._seen[:] = 0.0, 0.0

    def arrays(self) -> Dict[str, np.ndarray]:
        """See ``Targets``."""
        return {"average": self._average, "updates": self._updates, "sum": self._sum, "seen": self._seen}

    def load(self, arrays: Mapping[str, np.ndarray], where: str) -> None:
        """See ``Targets``."""
        own = self.arrays()
        check_arrays({name: array.shape for name, array in own.items()}, arrays, where)
        for name, array in own.items():
            array[:] = arrays[name]


def _indices(batch: Batch) -> np.ndarray:
    assert batch.indices is not None, "batches of Streams say which images they hold"
    return batch.indices
