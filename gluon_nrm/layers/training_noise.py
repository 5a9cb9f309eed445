"""Gaussian noise that training adds and prediction leaves out."""

from __future__ import annotations

from typing import Any

from mxnet.gluon import HybridBlock

from gluon_nrm.typing import Operators, Tensor


class TrainingNoise(HybridBlock):
    """Add independent Gaussian noise to every element of a map, in training mode alone.

    The noise is multiplied by a switch that MXNet's dropout gives: of a one, dropout of rate 1/2 makes 0 or 2
    in training mode, and 1 otherwise, so its distance from 1 is 1 in training and 0 in prediction. One traced
    graph serves both modes.

    Args:
        deviation: standard deviation, in units of the map; 0 adds nothing and draws nothing.
    """

    def __init__(self, deviation: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._deviation = deviation

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tensor:
        if self._deviation == 0:
            return x
        # one number of the map, so that the switch lies on the map's device
        first = F.slice_axis(F.reshape(F.BlockGrad(x), (1, -1)), axis=1, begin=0, end=1)
        switch = F.abs(F.Dropout(F.ones_like(first), p=0.5) - 1) * self._deviation
        noise = F.reshape(F.random.normal_like(F.BlockGrad(x)), (1, -1))
        return x + F.reshape_like(F.broadcast_mul(noise, switch), x)
