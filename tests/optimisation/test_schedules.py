"""Rates and weights over a run: the released numbers, and the ends of every schedule."""

from __future__ import annotations

import math
from typing import List

import pytest

from gluon_nrm.optimisation.schedules import (
    Stretch,
    learning_rate,
    loss_weights,
    sigmoid_rampup,
    stretches,
    teacher_decay,
)
from gluon_nrm.recipe import Loss, LossWeights, Phase, Teacher


def released(lr: float) -> List[Stretch]:
    """The optimisers of every released experiment but ImageNet's: 400 epochs, a decay made for 498."""
    sgd = Phase("sgd", lr, schedule="exponential", final_lr=1e-4, decay_epochs=498)
    return stretches([Phase("adam", 1e-3, epochs=20), sgd], 400)


def over(phase: Phase, epochs: int) -> Stretch:
    return stretches([phase], epochs)[0]


def test_the_released_phases() -> None:
    adam, sgd = released(0.15)
    assert (adam.phase.name, adam.start, adam.end) == ("adam", 0, 20)
    assert (sgd.phase.name, sgd.start, sgd.end) == ("sgd", 20, 400)
    assert learning_rate(adam, 0) == learning_rate(adam, 19.99) == 1e-3


@pytest.mark.parametrize(("lr", "last"), [(0.15, 5.740e-4), (0.2, 6.149e-4)])
def test_the_released_decay(lr: float, last: float) -> None:
    sgd = released(lr)[1]
    assert learning_rate(sgd, 20) == lr
    assert learning_rate(sgd, 399) == pytest.approx(last, abs=0.5e-7)  # as logged: four digits
    assert learning_rate(sgd, 21) == pytest.approx(lr * (lr / 1e-4) ** (-1 / 498), rel=1e-12)


def test_the_exponential_moves_at_epochs_alone() -> None:
    sgd = released(0.15)[1]
    assert learning_rate(sgd, 20 + 687 / 688) == 0.15
    assert learning_rate(sgd, 21) < 0.15


def test_the_exponential_over_its_phase_by_default() -> None:
    _, sgd = stretches(
        [Phase("adam", 1e-3, epochs=2), Phase("sgd", 1.0, schedule="exponential", final_lr=0.01)], 6
    )
    assert [learning_rate(sgd, epoch) for epoch in (2, 4, 5)] == pytest.approx([1, 0.1, 10**-1.5])


def test_warmup_is_linear_from_zero_at_every_step() -> None:
    constant = over(Phase("sgd", 0.8, warmup_epochs=2), 5)
    rates = [learning_rate(constant, epoch) for epoch in (0, 0.5, 1, 1.75, 2, 4.9)]
    assert rates == pytest.approx([0, 0.2, 0.4, 0.7, 0.8, 0.8])


def test_warmup_counts_from_the_start_of_its_phase() -> None:
    _, sgd = stretches([Phase("adam", 1e-3, epochs=3), Phase("sgd", 0.8, warmup_epochs=2)], 9)
    assert [learning_rate(sgd, epoch) for epoch in (3, 4, 5)] == pytest.approx([0, 0.4, 0.8])


def test_cosine_ends() -> None:
    cosine = over(Phase("sgd", 0.4, schedule="cosine"), 10)
    assert [learning_rate(cosine, epoch) for epoch in (0, 5, 10)] == pytest.approx([0.4, 0.2, 0])
    quarter = 0.2 * (1 + math.cos(math.pi / 4))
    assert learning_rate(cosine, 2.5) == pytest.approx(quarter)


def test_cosine_after_its_warmup_and_to_its_final_rate() -> None:
    cosine = over(Phase("sgd", 0.4, schedule="cosine", final_lr=0.1, warmup_epochs=2), 10)
    rates = [learning_rate(cosine, epoch) for epoch in (1, 2, 6, 10, 11)]
    assert rates == pytest.approx([0.2, 0.4, 0.25, 0.1, 0.1])


def test_cosine_of_a_phase_that_is_all_warmup() -> None:
    assert learning_rate(over(Phase("sgd", 0.4, schedule="cosine", warmup_epochs=2), 2), 1.5) == 0.4 * 0.75


@pytest.mark.parametrize(("first", "factor"), [(1, 2.0), (10, 1.0), (3, 1.5), (10, 2.0)])
def test_warm_restarts(first: int, factor: float) -> None:
    """The closed form of Loshchilov and Hutter 2017: cycle i starts at T_0 (m^i - 1) / (m - 1)."""
    phase = Phase(
        "nag",
        0.4,
        schedule="cosine",
        final_lr=0.1,
        warmup_epochs=2,
        restart_epochs=first,
        restart_factor=factor,
    )
    _, cosine = stretches([Phase("adam", 1e-3, epochs=5), phase], 100)
    for step in range(900):
        since = step / 10  # epochs after the warm-up, which ends at epoch 7
        if factor == 1:
            cycle = math.floor(since / first)
            start, length = float(cycle * first), float(first)
        else:
            cycle = math.floor(math.log(1 + since / first * (factor - 1), factor) + 1e-9)
            start, length = first * (factor**cycle - 1) / (factor - 1), first * factor**cycle
        expected = 0.1 + 0.5 * 0.3 * (1 + math.cos(math.pi * (since - start) / length))
        assert learning_rate(cosine, 7 + since) == pytest.approx(expected, abs=1e-9)


def test_restarts_return_to_the_rate_at_once() -> None:
    cosine = over(Phase("nag", 0.4, schedule="cosine", restart_epochs=10, restart_factor=2), 70)
    assert [learning_rate(cosine, epoch) for epoch in (0, 5, 10, 20, 30, 50)] == pytest.approx(
        [0.4, 0.2, 0.4, 0.2, 0.4, 0.2]
    )
    assert learning_rate(cosine, 29.999) < 1e-6


def test_one_cycle_as_long_as_the_phase_is_no_restart() -> None:
    once, plain = (
        over(Phase("nag", 0.4, schedule="cosine", restart_epochs=epochs), 10) for epochs in (10, None)
    )
    assert [learning_rate(once, t / 4) for t in range(40)] == [learning_rate(plain, t / 4) for t in range(40)]


def test_steps_count_epochs_of_the_whole_run() -> None:
    steps = Phase("nag", 0.1, schedule="steps", milestones=[30, 60], factor=0.2)
    _, nag = stretches([Phase("adam", 1e-3, epochs=10), steps], 90)
    rates = [learning_rate(nag, epoch) for epoch in (10, 29.99, 30, 59, 60, 89)]
    assert rates == pytest.approx([0.1, 0.1, 0.02, 0.02, 0.004, 0.004])


def test_phases_are_cut_by_the_length_of_the_run() -> None:
    phases = [Phase("adam", 1e-3, epochs=20), Phase("sgd", 0.1, epochs=10), Phase("nag", 0.1)]
    assert [(s.phase.name, s.start, s.end) for s in stretches(phases, 25)] == [
        ("adam", 0, 20),
        ("sgd", 20, 25),
    ]
    assert [(s.start, s.end) for s in stretches(phases, 20)] == [(0, 20)]
    assert [(s.start, s.end) for s in stretches(phases, 31)] == [(0, 20), (20, 30), (30, 31)]


def test_a_cosine_that_is_cut_still_ends() -> None:
    cut = over(Phase("sgd", 0.4, epochs=100, schedule="cosine"), 10)
    assert learning_rate(cut, 10) == pytest.approx(0)


def test_sigmoid_rampup() -> None:
    assert sigmoid_rampup(0, 0) == 1.0
    assert sigmoid_rampup(0, 10) == pytest.approx(math.exp(-5))
    assert sigmoid_rampup(5, 10) == pytest.approx(math.exp(-1.25))
    assert sigmoid_rampup(10, 10) == sigmoid_rampup(11, 10) == 1.0
    assert sigmoid_rampup(0.5, 0.25) == 1.0


def test_loss_weights() -> None:
    weights = LossWeights(1.0, 0.5, 0.25, 0.125, 2.0, 33.0, 0.75, 0.375, 0.625, 0.3, 0.2, 0.1, 0.05, 0.7)
    loss = Loss(weights, consistency_rampup_epochs=10, generative_rampup_epochs=20)
    generative, consistency = math.exp(-5 * 0.75**2), math.exp(-1.25)
    assert loss_weights(loss, 5) == pytest.approx(
        {
            "cross_entropy": 1.0,
            "reconstruction": 0.5 * generative,
            "entropy": 0.25 * generative,
            "moment_matching": 0.125 * generative,
            "path_norm": 2.0 * generative,
            "consistency": 33 * consistency,
            "virtual_adversarial": 0.75 * consistency,
            "balance": 0.375,
            "denoising": 0.625,
            "real": 0.3,
            "generated": 0.2,
            "jacobian": 0.1,
            "tangent": 0.05,
            "adversarial": 0.7 * generative,
        }
    )
    assert loss_weights(loss, 20) == vars(weights)
    assert loss_weights(Loss(weights), 0) == vars(weights)
    assert vars(weights)["consistency"] == 33.0  # the recipe's own numbers are left alone


def test_teacher_decay_is_a_plain_average_at_first() -> None:
    teacher = Teacher(enabled=True, decay=0.99)
    assert [teacher_decay(teacher, step) for step in (1, 2, 3, 98)] == [1 / 2, 1 - 1 / 3, 3 / 4, 1 - 1 / 99]
    assert [teacher_decay(teacher, step) for step in (99, 100, 10**6)] == [0.99] * 3


def test_late_decay() -> None:
    teacher = Teacher(enabled=True, decay=0.99, late_decay=0.999, late_decay_from_step=40000)
    assert teacher_decay(teacher, 39999) == 0.99
    assert teacher_decay(teacher, 40000) == 0.999
    assert teacher_decay(Teacher(enabled=True, decay=0.99, late_decay_from_step=2), 10**5) == 0.99


def test_late_decay_of_zero_is_a_decay() -> None:
    assert teacher_decay(Teacher(enabled=True, late_decay=0.0, late_decay_from_step=5), 5) == 0.0
