"""Weight normalisation with its data-dependent start (Salimans and Kingma 2016)."""

from __future__ import annotations

from typing import Any, Tuple

import mxnet as mx
from mxnet.gluon import HybridBlock

from gluon_nrm.typing import Operators, Tensor

#: Standard deviation of the first directions v (Salimans and Kingma 2016, Section 3).
FIRST_DEVIATION = 0.05
#: Added to the variance of the first batch; a unit that is constant over the batch keeps a finite scale.
EPSILON = 1e-8


class WeightNormLayer(HybridBlock):
    """Base of the layers whose weight is w = g v / |v| for each output unit, with a bias b.

    A subclass has ``apply_weight``, the layer with a given weight and bias.

    Args:
        shape: shape of the directions v, (units, ...).
        learn_scale: learn the lengths g, (units,). The program of Salimans et al. (2016) learns them in the
            last layer alone; False leaves them where ``start_from`` put them.
    """

    def __init__(self, shape: Tuple[int, ...], learn_scale: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        units = shape[0]
        with self.name_scope():
            self.direction = self.params.get("direction", shape=shape, init=mx.init.Normal(FIRST_DEVIATION))
            self.scale = self.params.get(
                "scale", shape=(units,), init="ones", grad_req="write" if learn_scale else "null"
            )
            self.bias = self.params.get("bias", shape=(units,), init="zeros")

    def hybrid_forward(
        self, F: Operators, x: Tensor, direction: Tensor, scale: Tensor, bias: Tensor
    ) -> Tensor:
        lengths = F.reshape(scale, (-1,) + (1,) * (len(self.direction.shape) - 1))
        unit = F.L2Normalization(direction, mode="instance")
        return self.apply_weight(F, x, F.broadcast_mul(unit, lengths), bias)

    def apply_weight(self, F: Operators, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Apply the layer with this weight, of the shape of v, and this bias, (units,)."""
        raise NotImplementedError

    def start_from(self, x: Tensor, deviation: float = 1.0) -> Tensor:
        """Set g and b so that every unit's output has mean 0 and this deviation over a batch (equation 5).

        Runs eagerly, on the device of ``x``, and sets the parameters on all devices.

        Args:
            x: a batch of the layer's inputs, (B, ...).
            deviation: standard deviation of the outputs; the program of Salimans et al. (2016) gives 0.1 to
                the last layer.

        Returns:
            The layer's outputs with the new g and b, (B, units, ...).
        """
        with mx.autograd.pause(train_mode=mx.autograd.is_training()):
            direction = self.direction.data(x.context)
            plain = self.apply_weight(
                mx.nd,
                x,
                mx.nd.L2Normalization(direction, mode="instance"),
                mx.nd.zeros(self.bias.shape, ctx=x.context),
            )
            mean = mx.nd.mean(plain, axis=1, exclude=True)
            centred = mx.nd.broadcast_sub(plain, _like_units(mean, plain))
            scale = deviation / mx.nd.sqrt(mx.nd.mean(mx.nd.square(centred), axis=1, exclude=True) + EPSILON)
            self.scale.set_data(scale)
            self.bias.set_data(-mean * scale)
            return mx.nd.broadcast_mul(centred, _like_units(scale, plain))


def _like_units(values: Tensor, outputs: Tensor) -> Tensor:
    """Shape one number a unit, (units,), for outputs (B, units, ...)."""
    return values.reshape((1, -1) + (1,) * (outputs.ndim - 2))


class WeightNormConvolution(WeightNormLayer):
    """Weight-normalised convolution: (B, in, H, W) to (B, out, H', W').

    Args:
        in_channels: channels of the input.
        channels: feature maps of the output.
        kernel: side of the square filters, in pixels.
        stride: step of the filters, in pixels.
        pad: zeros around the image, in pixels.
        learn_scale: as for ``WeightNormLayer``.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: int,
        stride: int = 1,
        pad: int = 0,
        learn_scale: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__((channels, in_channels, kernel, kernel), learn_scale, **kwargs)
        self._window = {"kernel": (kernel, kernel), "stride": (stride, stride), "pad": (pad, pad)}

    def apply_weight(self, F: Operators, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.Convolution(x, weight, bias, num_filter=self.direction.shape[0], **self._window)


class WeightNormDense(WeightNormLayer):
    """Weight-normalised linear layer: (B, ...), flattened, to (B, units).

    Args:
        in_units: numbers of an input, flattened.
        units: numbers of an output.
        learn_scale: as for ``WeightNormLayer``.
    """

    def __init__(self, in_units: int, units: int, learn_scale: bool = True, **kwargs: Any) -> None:
        super().__init__((units, in_units), learn_scale, **kwargs)

    def apply_weight(self, F: Operators, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.FullyConnected(x, weight, bias, num_hidden=self.direction.shape[0])
