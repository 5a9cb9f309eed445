"""Loss scaling for float16: gradients are computed a power of two larger, so that they do not round to 0."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

import mxnet as mx
from mxnet.gluon.parameter import Parameter

#: Powers of two scale without rounding.
START, LARGEST = 2.0**16, 2.0**24
#: Steps without an overflow after which the scale is doubled.
PATIENCE = 2000
#: Arrays that one check takes; MXNet 1.9.1 crashes on long lists of arrays in some operators.
CHUNK = 50


class LossScale:
    """Factor on the loss: doubled every ``PATIENCE`` steps, halved when a gradient overflows.

    Micikevicius et al. (2018), "Mixed Precision Training", Section 3.2. A step with gradients that are not
    finite is skipped, unless the scale is 1, so that a diverging run is noticed.

    Args:
        on: False keeps the scale at 1.
    """

    def __init__(self, on: bool) -> None:
        self.on = on
        self.value = START if on else 1.0
        self._steps = 0

    def accept(self, parameters: Sequence[Parameter]) -> bool:
        """Return False if a gradient overflowed, and set the scale of the next step."""
        if not self.on:
            return True
        gradients = [gradient for p in parameters if p.grad_req != "null" for gradient in p.list_grad()]
        if self.value > 1.0 and not _finite(gradients):
            self.value, self._steps = self.value / 2, 0
            return False
        self._steps += 1
        if self._steps >= PATIENCE:
            self.value, self._steps = min(self.value * 2, LARGEST), 0
        return True

    def state(self) -> Dict[str, float]:
        """Return the state for a checkpoint."""
        return {"value": self.value, "steps": self._steps}

    def restore(self, state: Mapping[str, float]) -> None:
        """Restore the ``state`` of a checkpoint."""
        self.value, self._steps = float(state["value"]), int(state["steps"])


def _finite(arrays: List[Any]) -> bool:
    by_device: Dict[Any, List[Any]] = {}
    for array in arrays:
        by_device.setdefault(array.context, []).append(array)
    checks = [
        mx.nd.multi_all_finite(*each[i : i + CHUNK], num_arrays=len(each[i : i + CHUNK]))
        for each in by_device.values()
        for i in range(0, len(each), CHUNK)
    ]
    return all(bool(check.asscalar()) for check in checks)
