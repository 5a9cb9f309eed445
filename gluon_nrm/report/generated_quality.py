"""Quality of generated images, measured by a judge: a classifier trained on all labels."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

import mxnet as mx
import numpy as np

from gluon_nrm.errors import ModelError
from gluon_nrm.layers.named_outputs import NamedBlock
from gluon_nrm.models import Network
from gluon_nrm.predict.classifier import softmax
from gluon_nrm.report.frechet_distance import feature_distance
from gluon_nrm.rules.pooling import global_average_pool
from gluon_nrm.training.restore import Restored
from gluon_nrm.typing import Operators, Tensor

#: The judge is sure of an image above this probability.
CONFIDENT = 0.9


class ScoresAndFeatures(NamedTuple):
    """A network's class scores and feature vectors of a batch."""

    #: class scores, (B, K)
    logits: Tensor
    #: feature vectors, (B, F)
    features: Tensor


class FeatureNetwork(NamedBlock):
    """Compute class scores and features of images (B, *input_shape).

    The features are the global average of the last convolution of the Max branch, before its norm. A network
    that does not return its convolutions has its class scores as features.

    Args:
        net: the network.
    """

    result_type = ScoresAndFeatures

    def __init__(self, net: Network, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.net = net

    def hybrid_forward(self, F: Operators, x: Tensor) -> ScoresAndFeatures:
        inferences = self.net.infer(x)
        logits, convolved = self.net.predict(inferences).logits, inferences[0].convolved
        features = F.flatten(global_average_pool(F, convolved[-1])) if convolved else logits + 0
        return ScoresAndFeatures(logits, features)


class Judged(NamedTuple):
    """A judge's view of N images."""

    #: class probabilities, (N, K)
    probabilities: np.ndarray
    #: feature vectors, (N, F)
    features: np.ndarray


class GeneratedQuality(NamedTuple):
    """Quality of N generated images."""

    images: int
    #: share to whose class, or without classes to any class, the judge gives more than 0.9, in per cent
    confident: float
    #: share that the judge takes for their class, in per cent; None without classes
    recognised: Optional[float]
    #: Frechet distance between generated and real images in the judge's features
    distance: float


class Judge:
    """A trained classifier that judges images of its own data set.

    Args:
        judge: the run of the classifier.

    Attributes:
        real: the judge's view of its test images.
    """

    def __init__(self, judge: Restored) -> None:
        self._net, self._device = FeatureNetwork(judge.network), judge.device
        self._shape, self._batch = judge.network.input_shape, judge.parts.recipe.train.eval_batch
        images = [batch.images for batch in judge.parts.evaluation(held_out=False)]
        self.real = self.view(np.concatenate(images))

    def view(self, images: np.ndarray) -> Judged:
        """Classify images (N, *input_shape), normalised as the judge's own.

        Raises:
            ModelError: there is no image, they are of another shape, or a pixel is not finite.
        """
        if images.shape[1:] != self._shape or not len(images):
            raise ModelError(f"images: {images.shape}; the judge takes (N, {str(self._shape)[1:]}, N above 0")
        damaged = int((~np.isfinite(images)).reshape(len(images), -1).any(axis=1).sum())
        if damaged:
            raise ModelError(
                f"images: {damaged} of {len(images)} have pixels that are not finite;\n"
                "generate them from a run that did not diverge"
            )
        found = [
            self._net(mx.nd.array(images[start : start + self._batch], ctx=self._device))
            for start in range(0, len(images), self._batch)
        ]
        logits, features = (np.concatenate([each[place].asnumpy() for each in found]) for place in (0, 1))
        return Judged(softmax(logits.astype(np.float64)), features)

    def measure(self, images: np.ndarray, classes: Optional[np.ndarray] = None) -> GeneratedQuality:
        """Measure generated images against the judge's test images.

        Args:
            images: (N, *input_shape), normalised as the judge's own.
            classes: the class that each should show, (N,); None: the generator has no classes.

        Raises:
            ModelError: as for ``view``; fewer than two images, or another number of classes than of images.
        """
        judged = self.view(images)
        distance = feature_distance(judged.features, self.real.features)
        if classes is None:
            certainty, recognised = judged.probabilities.max(axis=1), None
        else:
            if classes.shape != (len(images),):
                raise ModelError(f"classes: {classes.shape} for {len(images)} images; give one for each")
            certainty = judged.probabilities[np.arange(len(images)), classes]
            recognised = 100.0 * float((judged.probabilities.argmax(axis=1) == classes).mean())
        return GeneratedQuality(
            len(images), 100.0 * float((certainty > CONFIDENT).mean()), recognised, distance
        )
