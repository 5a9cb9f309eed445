"""The Ladder network: clean and corrupted pass, decoder and denoising cost."""

from __future__ import annotations

import math
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

from mxnet.gluon import nn

from gluon_nrm.errors import ModelError
from gluon_nrm.layers.options import NRMOptions
from gluon_nrm.layers.training_noise import TrainingNoise
from gluon_nrm.models.interface.network import Network
from gluon_nrm.models.interface.passes import Inference, JointPass
from gluon_nrm.models.ladder.channelwise import Shape
from gluon_nrm.models.ladder.decoder import DecoderLayer, DenoisingCost
from gluon_nrm.models.ladder.encoder import EncoderLayer
from gluon_nrm.models.ladder.layers import DENSE, LadderLayer
from gluon_nrm.recipe.terms import LADDER
from gluon_nrm.typing import Operators, Tensor


class LadderPass(NamedTuple):
    """One pass of the encoder; values from the image upwards, (B, *shape) of their layer each."""

    #: the image and the pre-activations of every layer; in the corrupted pass with their noise, normalised
    values: List[Tensor]
    #: class scores, (B, K)
    logits: Tensor


class LadderNetwork(Network):
    """A Ladder network (Rasmus et al. 2015, Algorithm 1), which classifies and does not render.

    The clean pass predicts. In training ``joint`` also runs a corrupted pass with the same weights: Gaussian
    noise on the image and on every normalised pre-activation. The cross-entropy is of the corrupted scores. A
    decoder denoises each layer from the layer above and the corrupted values; its cost is the squared error
    to the clean values. Both passes and the decoder normalise by the batch that they get, so labelled and
    unlabelled images, which a step passes one after the other, have statistics apart. Only the clean pass
    moves the running statistics.

    The gradient of the cost also goes through the clean values and their deviation, as in the authors'
    program. Batch norm keeps these from shrinking, which would otherwise be the cheapest way to denoise. A
    constant target would train the encoder less: the clean values would not become easier to denoise.

    Other than in that program the cost is of labelled images too, as every term of this package is.

    Args:
        layers: the layers; the last one gives ``classes`` numbers.
        classes: number of classes K.
        input_shape: channels, height and width of the images.
        options: the network's options; ``noise`` and ``denoising`` replace those below.
        denoising: weight of the cost of the image and of each layer, from the image upwards. No decoder is
            made below the lowest layer with a weight above 0 (the Gamma-model: the top layer alone).
        noise: standard deviation of the noise, in units of the image and of normalised pre-activations.
        slope: slope of the leaky ReLU below zero; 0: ReLU.
        scales: learn a scale of the class scores.

    Raises:
        ModelError: the layers do not fit each other, the images or the classes; the weights do not fit the
            layers; dropout is set.
    """

    kind = LADDER

    def __init__(
        self,
        layers: Sequence[LadderLayer],
        classes: int,
        input_shape: Tuple[int, int, int],
        options: NRMOptions,
        denoising: Sequence[float],
        noise: float = 0.3,
        slope: float = 0.0,
        scales: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, input_shape, options, **kwargs)
        if options.dropout:
            raise ModelError(
                f"model.dropout: {options.dropout:g}, but a Ladder network has model.noise; leave it out"
            )
        deviation = noise if options.noise is None else options.noise
        self.weights = _checked(denoising if options.denoising is None else options.denoising, len(layers))
        self.stochastic = deviation > 0
        self._flat = layers[0].kind == DENSE
        self._shapes: List[Shape] = [(math.prod(input_shape),) if self._flat else input_shape]
        with self.name_scope():
            self.noise = TrainingNoise(deviation)
            self.encoder = nn.HybridSequential()
            for place, layer in enumerate(layers, 1):
                top = place == len(layers)
                self.encoder.add(EncoderLayer(layer, self._shapes[-1], deviation, slope, top, top and scales))
                self._shapes.append(self.encoder[-1].shape)
            self.decoder, self.costs = nn.HybridSequential(), nn.HybridSequential()
            for place in range(len(layers), self._lowest - 1, -1):
                self.decoder.add(
                    DecoderLayer(layers[place] if place < len(layers) else None, self._shapes[place])
                )
                self.costs.add(DenoisingCost(self._shapes[place], normalises=place > 0))
        if self._shapes[-1] != (classes,):
            raise ModelError(
                f"the last layer of a Ladder network gives {self._shapes[-1][0]}, not {classes} class scores"
            )

    @property
    def _lowest(self) -> int:
        """Place of the lowest layer with a cost; 0 is the image."""
        return next(place for place, weight in enumerate(self.weights) if weight > 0)

    def infer(self, x: Tensor) -> List[Inference]:
        """Scores of the clean pass."""
        return [Inference(self._clean_pass(x).logits)]

    def joint(
        self,
        F: Operators,
        x: Tensor,
        label: Tensor,
        render: bool = True,
        zero_states: Optional[Tensor] = None,
    ) -> JointPass:
        """Run the clean and the corrupted pass, and denoise; the scores are those of the corrupted pass.

        In prediction mode there is no noise, and the corrupted pass and the decoder still normalise by the
        batch.

        Args:
            F: the operator module.
            x: images (B, *input_shape).
            label: class indices (B,), -1 for no label.
            render: False skips the decoder.
            zero_states: not used.
        """
        if self._flat:
            x = F.Flatten(x)
        clean, corrupted = self._clean_pass(x), self._corrupted_pass(x)
        # MXNet writes running statistics in the backward pass, which reaches the clean pass through this zero
        logits = corrupted.logits + clean.logits * 0
        inferences = [Inference(logits)]
        denoising = self._denoise(F, clean, corrupted) if render else None
        return JointPass(
            self.predict(inferences), self.class_code(label, logits), inferences, denoising=denoising
        )

    def _clean_pass(self, x: Tensor) -> LadderPass:
        values, h = [x], x
        for layer in self.encoder:
            before, h = layer(h)
            values.append(before)
        return LadderPass(values, h)

    def _corrupted_pass(self, x: Tensor) -> LadderPass:
        h = self.noise(x)
        values = [h]
        for layer in self.encoder:
            noisy, h = layer.corrupted(layer.operation(h))
            values.append(noisy)
        return LadderPass(values, h)

    def _denoise(self, F: Operators, clean: LadderPass, corrupted: LadderPass) -> Tensor:
        """Weighted cost of all layers, (B,)."""
        higher, costs = F.softmax(corrupted.logits), []
        places = range(len(self.encoder), self._lowest - 1, -1)
        for place, decoder, cost in zip(places, self.decoder, self.costs):
            higher = decoder(higher, corrupted.values[place])
            if self.weights[place] > 0:
                costs.append(cost(higher, clean.values[place]) * self.weights[place])
        return F.add_n(*costs)


def _checked(weights: Sequence[float], layers: int) -> Tuple[float, ...]:
    """Check the weights of the denoising cost against the number of layers."""
    if len(weights) != layers + 1:
        raise ModelError(
            f"model.denoising: {len(weights)} weights, but the network has {layers} layers above the image; "
            f"give {layers + 1}, from the image upwards"
        )
    if not any(weight > 0 for weight in weights):
        raise ModelError(
            "model.denoising: all are 0; leave it out, and set loss.weights.denoising to 0 to train without"
        )
    return tuple(weights)
