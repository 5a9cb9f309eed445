"""Random mixing of two residual branches (Gastaldi 2017, "Shake-Shake regularization", Section 1).

With gates g, the mixture is mix(g) = g x1 + (1 - g) x2. The forward pass uses one gate f, the backward pass
another gate b, drawn independently. ``mix(b) + BlockGrad(mix(f) - mix(b))`` has the value of mix(f) and the
gradient of mix(b); written with d = x1 - x2 it takes two products.

We measured several orders of operators and chose the fastest on the CPU (``benchmarks/shake.py``). Operators
that do not know oneDNN's blocked memory layout first copy their input; flattening does so once for all of
them. Gates are repeated over the image beforehand, because a broadcasting product takes several times as long
as a plain one. ``F.slice`` of blocked memory along several axes ends MXNet 1.9.1 with a floating point
exception.
"""

from __future__ import annotations

from typing import Any

from mxnet.gluon import HybridBlock

from gluon_nrm.errors import ModelError
from gluon_nrm.typing import Operators, Tensor

PASSES = ("shake", "even")
LEVELS = ("image", "batch")


class ShakeShake(HybridBlock):
    """Mix two branches, (B, ...) each, to (B, ...); in evaluation the mixture is their mean.

    Args:
        forward: "shake" draws the gate of the forward pass uniformly from (0, 1), "even" sets it to 1/2.
        backward: "shake" or "even" for the gate of the backward pass, which is drawn independently.
        level: "image" draws gates for each image, "batch" one for the whole batch.

    Raises:
        ModelError: an argument is not one of its choices.
    """

    def __init__(
        self, forward: str = "shake", backward: str = "shake", level: str = "image", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        for name, value, choices in (
            ("forward", forward, PASSES),
            ("backward", backward, PASSES),
            ("level", level, LEVELS),
        ):
            if value not in choices:
                raise ModelError(f"{name}: {value!r} is not a choice; give one of {', '.join(choices)}")
        self._forward, self._backward, self._level = forward == "shake", backward == "shake", level

    def hybrid_forward(self, F: Operators, x1: Tensor, x2: Tensor) -> Tensor:
        if not (self._forward or self._backward):
            return (x1 + x2) * 0.5
        first, second = F.reshape(x1, shape=(0, -1)), F.reshape(x2, shape=(0, -1))
        difference = first - second
        training = self._training(F, difference)
        # both are deviations from 1/2, the gate in evaluation
        forward = self._deviation(F, training) if self._forward else F.zeros_like(training)
        backward = self._deviation(F, training) if self._backward else F.zeros_like(training)
        shaken = difference * _spread(F, backward + 0.5, difference)
        unfelt = F.BlockGrad(difference * _spread(F, forward - backward, difference))
        return F.reshape_like(F.add_n(second, shaken, unfelt), x2)

    def _training(self, F: Operators, flat: Tensor) -> Tensor:
        """One number for each gate, (B, 1) or (1, 1): 1 in training, 0 in evaluation.

        In training, dropout with rate 1/2 turns a 1 into 0 or 2; in evaluation it changes nothing. Operators
        read the mode at every call; in a traced graph ``autograd.is_training`` is read only once.
        """
        one = F.slice_axis(flat, axis=1, begin=0, end=1)
        if self._level == "batch":
            one = F.slice_axis(one, axis=0, begin=0, end=1)
        return F.abs(F.Dropout(F.ones_like(F.BlockGrad(one)), p=0.5) - 1)

    @staticmethod
    def _deviation(F: Operators, training: Tensor) -> Tensor:
        """Gates minus 1/2: uniform on (-1/2, 1/2) in training, 0 in evaluation."""
        return training * F.random.uniform_like(training, low=-0.5, high=0.5)


def _spread(F: Operators, gates: Tensor, flat: Tensor) -> Tensor:
    """Repeat gates, (B, 1) or (1, 1), over their images: (B, N)."""
    return F.broadcast_like(F.BlockGrad(gates), flat)
