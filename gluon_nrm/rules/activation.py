"""(Leaky) ReLU, and multiplication by the inferred state.

The Max branch takes max_s s.v over the states s in {slope, 1}, which is the leaky ReLU. The Min branch takes
the minimum, NReLU (Section 5), which is ``-leaky(-v)``. It runs on negated features u = -v, where it is the
leaky ReLU with the same states.
"""

from __future__ import annotations

from gluon_nrm.typing import Operators, Tensor

#: The branch that maximises over the latents, and the one that minimises.
MAX, MIN = 1, -1


def activate(F: Operators, v: Tensor, slope: float) -> Tensor:
    """(Leaky) ReLU; same shape as ``v``."""
    # LeakyReLU with slope 0 is a ReLU, and costs a fifth of `relu` on the CPU
    return F.LeakyReLU(v, act_type="leaky", slope=slope)


def state(F: Operators, activation: Tensor, slope: float) -> Tensor:
    """Latent s of every pixel: 1 where the activation was rendered, ``slope`` elsewhere (no gradient)."""
    rendered = activation > 0
    return F.maximum(rendered, slope) if slope else rendered


def apply_state(F: Operators, h: Tensor, s: Tensor) -> Tensor:
    """Render through the activation: s . h. A state (1, ...) of one image serves a whole batch."""
    return F.broadcast_mul(h, s)
