"""The Neural Rendering Model as a probability model (Definition 3.1), on top of any network that renders.

    y ~ pi_y,   z | y ~ softmax(eta(y, z) / sigma^2),   x | z, y ~ N(h(0), sigma^2 I)

The model freezes the network. Each batch norm of the inference pass is its affine map with running
statistics, as if folded into filters and biases; the theorems hold as they do without norms. With norms in
the rendering pass, rendering is not the transpose of inference. eta is then computed from the normalised
renderings. This surrogate is a distribution over paths, but Theorem 3.2 does not apply to it.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Union

import mxnet as mx
import numpy as np
from mxnet import autograd

from gluon_nrm.errors import ModelError
from gluon_nrm.layers.quiet_block import QuietBlock
from gluon_nrm.models import Network
from gluon_nrm.probability.bridge import Bridge
from gluon_nrm.probability.latents import Latent
from gluon_nrm.rules.prior_score import prior_score
from gluon_nrm.typing import Operators, Tensor

#: Values of z: one map (B, *shape) for each block of ``RenderingModel.latents``.
Path = List[Tensor]


class InferredPath(NamedTuple):
    """The most probable class and path of an image (Theorem 3.2)."""

    #: class, (B,)
    label: Tensor
    #: its latents z*, (B, *shape) each
    path: Path
    #: class scores mu_y^T psi(L) / sigma^2 + log pi_y of this branch, (B, K), with the network's own sigma^2
    logits: Tensor


class RenderedPath(NamedTuple):
    """A class rendered along a path."""

    #: h(0), (B, C, H, W)
    image: Tensor
    #: h(l) of each layer, from the image upwards, (B, C, H, W) each
    features: List[Tensor]
    #: prior score of the path, (B,)
    eta: Tensor


class _Inference(QuietBlock):
    """Images to one flat list: the logits, the maps of all latents, the constants."""

    def __init__(self, net: Network, bridge: Bridge, branch: int) -> None:
        super().__init__()
        self._bridge, self._branch = bridge, branch
        self.net = net

    def hybrid_forward(self, F: Operators, x: Tensor) -> List[Tensor]:
        inference = self.net.infer(x)[self._branch]
        return [
            inference.logits,
            *self._bridge.maps(F, inference),
            # a parameter cannot be an output of a graph
            *[constant + 0 for constant in self._bridge.constants(F, inference)],
        ]


class _Rendering(QuietBlock):
    """Class codes, maps and constants to eta and, if ``whole``, to the image and the features."""

    def __init__(self, net: Network, bridge: Bridge, whole: bool) -> None:
        super().__init__()
        self._bridge, self._whole = bridge, whole
        self.net = net

    def hybrid_forward(
        self, F: Operators, code: Tensor, maps: List[Tensor], constants: List[Tensor]
    ) -> List[Tensor]:
        rendered = self._bridge.render(F, code, maps, constants)
        eta = prior_score(F, constants[len(constants) - self._bridge.biases :], rendered.routed)
        return [eta, rendered.image, *rendered.features] if self._whole else [eta]


class RenderingModel:
    """The probability model of a network, with a snapshot of its norms and biases (see ``freeze``).

    Inference runs as in evaluation: without dropout, with running statistics. With norms in the rendering
    pass the model is a surrogate; ``note`` explains it.

    Args:
        net: an initialised network that renders.
        branch: 0 Max, 1 Min; they differ in ``infer`` and in the frozen norms.
        temperature: sigma^2, above 0; None: the network's own (``NRMOptions.temperature``).
        device: the device to compute on; None: the current one.

    Attributes:
        latents: the blocks of latents, from the image upwards.

    Raises:
        ModelError: the network does not render, has no such branch, or the temperature is not above 0.
    """

    def __init__(
        self,
        net: Network,
        branch: int = 0,
        temperature: Optional[float] = None,
        device: Optional[mx.Context] = None,
    ) -> None:
        own = net.options.temperature
        self.net, self.temperature = net, check_temperature(own if temperature is None else temperature)
        self.device = device or mx.current_context()
        self._bridge = Bridge(net, branch)
        self.latents: Sequence[Latent] = self._bridge.latents
        self._inference = _Inference(net, self._bridge, branch)
        self._rendering = _Rendering(net, self._bridge, whole=True)
        self._score = _Rendering(net, self._bridge, whole=False)
        for block in (self._inference, self._rendering, self._score):
            block.hybridize()
        self.freeze()

    def freeze(self) -> None:
        """Read the network's norms and biases; call it again when its parameters have changed."""
        zero = mx.nd.zeros((1, *self.net.input_shape), ctx=self.device)
        self._constants = self._inference(zero)[1 + len(self.latents) :]

    @property
    def log2_paths(self) -> float:
        """Log2 of the number of rendering paths."""
        return sum(latent.log2_paths for latent in self.latents)

    @property
    def note(self) -> str:
        """Explanation of the sampled distribution for a network with norms; empty without norms."""
        if self.net.options.render_norm != "none":
            return (
                "the rendering pass has norms (model.render_norm), frozen at their running statistics: paths "
                "are drawn from\na surrogate, the softmax of eta of the normalised renderings, for which "
                "Theorem 3.2 does not hold"
            )
        if self._bridge.normalised:
            return (
                "the inference pass has norms, frozen at their running statistics: paths are drawn from the "
                "model of the\nnetwork with each norm folded into the filters and the bias before it"
            )
        return ""

    def infer(self, x: Tensor) -> InferredPath:
        """Joint maximum a posteriori inference of class and path, from images (B, C, H, W).

        If pixels tie in a pooling window, the first one is taken. The class has the largest ``posterior``.
        """
        logits, *maps = self._inference(x)[: 1 + len(self.latents)]
        path = self.path_of([latent.encode(map_.asnumpy()) for latent, map_ in zip(self.latents, maps)])
        return InferredPath(mx.nd.argmax(self.log_posterior_of(logits), axis=1), path, logits)

    def outcomes(self, x: Tensor) -> List[np.ndarray]:
        """Inferred path of images (B, C, H, W) as outcomes, (B, V) for each block."""
        maps = self._inference(x)[1 : 1 + len(self.latents)]
        return [latent.encode(map_.asnumpy()) for latent, map_ in zip(self.latents, maps)]

    def path_of(self, outcomes: Sequence[np.ndarray]) -> Path:
        """Path of given outcomes, (B, V) for each block."""
        return [self.path_of_block(block, each) for block, each in enumerate(outcomes)]

    def path_of_block(self, block: int, outcomes: np.ndarray) -> Tensor:
        """Map of one block, (B, *shape), of given outcomes (B, V)."""
        return self._array(self.latents[block].decode(outcomes))

    def even_outcomes(self, batch: int, rng: np.random.Generator) -> List[np.ndarray]:
        """Draw every latent uniformly over its configurations: (B, V) for each block."""
        found = []
        for latent in self.latents:
            weights = np.exp(latent.log_weights)
            total = (weights / weights.sum(axis=1, keepdims=True)).cumsum(axis=1)
            threshold = rng.random((batch, latent.variables, 1))
            found.append(np.minimum((total <= threshold).sum(axis=2), total.shape[1] - 1).astype(np.uint16))
        return found

    def even_path(self, batch: int, rng: np.random.Generator) -> Path:
        """Draw a path with latents uniform over their configurations."""
        return self.path_of(self.even_outcomes(batch, rng))

    def zero_path(self) -> Path:
        """Path of a zero image, batch size 1.

        By Theorem 3.2 it is the prior's most probable path of every class, if the rendering is non-negative
        along it; otherwise see ``most_probable_path``.
        """
        return self.infer(mx.nd.zeros((1, *self.net.input_shape), ctx=self.device)).path

    def render(self, y: Union[Tensor, Sequence[int]], path: Path) -> RenderedPath:
        """Render classes (B,) along a path (of batch size B), layer by layer (equation 5)."""
        eta, image, *features = self._rendering(self.code(y), path, self._constants)
        return RenderedPath(image, features, eta)

    def prior_score(self, y: Union[Tensor, Sequence[int]], path: Path) -> Tensor:
        """eta(y, z) = sum_l < b(l), t(l) . s(l) . h(l) >, (B,): sigma^2 log pi(z|y) up to a constant of y."""
        return self._score(self.code(y), path, self._constants)[0]

    def gradient(self, code: Tensor, path: Path, block: int) -> np.ndarray:
        """Gradient of eta with respect to the map of one block, (B, *shape), for class codes (B, K)."""
        latent = path[block].copy()
        with autograd.record(train_mode=False):
            autograd.mark_variables([latent], [mx.nd.empty(latent.shape, ctx=latent.context)])
            eta = self._score(code, [*path[:block], latent, *path[block + 1 :]], self._constants)[0]
        (found,) = autograd.grad(eta, [latent], train_mode=False)
        return found.asnumpy()

    def log_joint(
        self,
        x: Tensor,
        y: Union[Tensor, Sequence[int]],
        path: Path,
        log_partition: Union[float, Tensor] = 0.0,
    ) -> Tensor:
        """Log of pi_y pi(z|y) N(x; h(0), sigma^2 I), (B,), with log pi(z|y) = eta / sigma^2 - log_partition.

        ``Enumeration.log_partition`` computes the log-partition of tiny models. Without it the result is
        correct up to a constant that depends on y.
        """
        y = self._array(y)
        rendering = self.render(y, path)
        squares = mx.nd.sum(mx.nd.square(x - rendering.image), axis=(1, 2, 3))
        pixels = int(np.prod(self.net.input_shape))
        noise = squares / (2 * self.temperature) + pixels / 2 * np.log(2 * np.pi * self.temperature)
        log_path = rendering.eta / self.temperature - log_partition
        return mx.nd.pick(self._log_prior(len(y)), y) + log_path - noise

    def log_class_prior(self) -> np.ndarray:
        """Log pi_y, (K,): log-softmax of the classifier's bias; uniform without a bias."""
        bias = self.class_bias()
        return bias - _log_sum_exp(bias)

    def class_bias(self) -> np.ndarray:
        """The classifier's bias, (K,): log pi_y up to a constant; zeros without a bias."""
        bias = self.net.class_bias
        return np.zeros(self.net.classes, np.float32) if bias is None else bias.data(self.device).asnumpy()

    def posterior(self, x: Tensor) -> Tensor:
        """q(y|x) = softmax(mu_y^T psi(L) / sigma^2 + log pi_y), (B, K) (Theorem 3.2)."""
        return mx.nd.softmax(self.log_posterior_of(self._inference(x)[0]))

    def log_posterior_of(self, logits: Tensor) -> Tensor:
        """Log q(y|x) up to a constant, (B, K), from class scores (B, K) that include the bias log pi_y."""
        bias = self._array(self.class_bias().reshape((1, -1)))
        scores = mx.nd.broadcast_sub(logits, bias) * (self.net.options.temperature / self.temperature)
        return mx.nd.broadcast_add(scores, self._array(self.log_class_prior().reshape((1, -1))))

    def code(self, y: Union[Tensor, Sequence[int]]) -> Tensor:
        """One-hot classes (B, K).

        Raises:
            ModelError: a class out of range.
        """
        return mx.nd.one_hot(self._array(check_classes(y, self.net.classes)), self.net.classes)

    def _log_prior(self, batch: int) -> Tensor:
        return self._array(np.tile(self.log_class_prior(), (batch, 1)))

    def _array(self, values: Union[Tensor, np.ndarray, Sequence[int]]) -> Tensor:
        return mx.nd.array(values, ctx=self.device)


def check_temperature(temperature: float) -> float:
    """Check that sigma^2 is a number above 0, and return it.

    Raises:
        ModelError: it is not.
    """
    if not 0 < temperature < float("inf"):
        raise ModelError(f"temperature sigma^2: {temperature} is not a number above 0; give one such as 1")
    return float(temperature)


def check_classes(y: Union[Tensor, Sequence[int]], classes: int) -> np.ndarray:
    """Check class numbers, and return them as an array.

    Raises:
        ModelError: one is not in 0 .. classes - 1.
    """
    found = y.asnumpy() if isinstance(y, mx.nd.NDArray) else np.asarray(y)
    for each in found.reshape(-1):
        if not (0 <= each < classes and each == int(each)):
            raise ModelError(f"class {each}: the model has classes 0 to {classes - 1}")
    return found


def _log_sum_exp(values: np.ndarray) -> float:
    top = values.max()
    return float(top + np.log(np.exp(values - top).sum()))
