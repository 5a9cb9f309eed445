"""Learning rates and loss weights as pure functions of time, so that a resumed run is exact."""

from __future__ import annotations

import math
from typing import Dict, List, NamedTuple, Sequence

from gluon_nrm.recipe.schema import Loss, Phase, Teacher
from gluon_nrm.recipe.terms import TERMS


class Stretch(NamedTuple):
    """A phase and its epochs: from start (0-based) to end (exclusive)."""

    phase: Phase
    start: int
    end: int


def stretches(phases: Sequence[Phase], epochs: int) -> List[Stretch]:
    """Lay the phases out over a run of ``epochs``; phases after its end are left out."""
    laid_out, start = [], 0
    for phase in phases:
        end = epochs if phase.epochs is None else min(start + phase.epochs, epochs)
        if start < end:
            laid_out.append(Stretch(phase, start, end))
        start = end
    return laid_out


def learning_rate(stretch: Stretch, epoch: float) -> float:
    """Compute the rate at ``epoch``, a real number of epochs since the start of the run.

    Warm-up and cosine change it at every step, the exponential and the stepped schedule at every epoch.
    """
    phase, inside = stretch.phase, epoch - stretch.start
    if inside < phase.warmup_epochs:
        return phase.lr * inside / phase.warmup_epochs
    if phase.schedule == "cosine":
        final = phase.final_lr or 0.0
        return final + (phase.lr - final) * 0.5 * (1 + math.cos(math.pi * cosine_share(stretch, epoch)))
    if phase.schedule == "exponential" and phase.final_lr is not None:
        length = phase.decay_epochs or float(stretch.end - stretch.start)
        return phase.lr * float(phase.final_lr / phase.lr) ** (math.floor(inside) / length)
    if phase.schedule == "steps":
        return phase.lr * phase.factor ** sum(epoch >= milestone for milestone in phase.milestones)
    return phase.lr


def cosine_share(stretch: Stretch, epoch: float) -> float:
    """Share of its cycle that a cosine schedule has covered at ``epoch``, after its warm-up.

    T_cur / T_i of Equation 5 of Loshchilov and Hutter 2017 ("SGDR: Stochastic Gradient Descent with Warm
    Restarts"); their T_0 is ``restart_epochs``, their T_mult ``restart_factor``. Without restarts there is
    one cycle, which the share ends at 1.
    """
    phase = stretch.phase
    inside = epoch - stretch.start - phase.warmup_epochs
    if phase.restart_epochs is None:
        return min(inside / max(stretch.end - stretch.start - phase.warmup_epochs, 1e-9), 1.0)
    cycle = float(phase.restart_epochs)
    while inside >= cycle:
        inside -= cycle
        cycle *= phase.restart_factor
    return inside / cycle


def sigmoid_rampup(epoch: float, length: float) -> float:
    """Rise from exp(-5) to 1 over ``length`` epochs, as exp(-5 (1 - t)^2); 1 at once if 0.

    The consistency ramp-up of Mean Teacher (Tarvainen and Valpola 2017).
    """
    if epoch >= length:
        return 1.0
    return math.exp(-5.0 * (1.0 - epoch / length) ** 2)


def loss_weights(loss: Loss, epoch: float) -> Dict[str, float]:
    """Compute the weight of every loss term at ``epoch``."""
    weights: Dict[str, float] = dict(vars(loss.weights))
    for name, term in TERMS.items():
        if term.ramp_up is not None:
            weights[name] *= sigmoid_rampup(epoch, getattr(loss, term.ramp_up))
    return weights


def teacher_decay(teacher: Teacher, step: int) -> float:
    """Decay of the teacher's moving average after training step ``step``, counted from 1.

    min(1 - 1 / (step + 1), decay): at first a plain average of all steps.
    """
    late = teacher.late_decay is not None and step >= teacher.late_decay_from_step
    decay = teacher.late_decay if late and teacher.late_decay is not None else teacher.decay
    return min(1.0 - 1.0 / (step + 1), decay)
