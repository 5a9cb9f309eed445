"""The teacher: a copy of the student that follows it by a moving average, and never learns by itself."""

from __future__ import annotations

from typing import Any, Dict, List

import mxnet as mx
import numpy as np
import pytest
from short_runs import FULL, a_step, built, differences, full_weights, trainer_of, values

from gluon_nrm.models import NRM, get_model, initialise
from gluon_nrm.recipe import Teacher as TeacherRecipe
from gluon_nrm.training.teacher import MeanTeacher

pytestmark = pytest.mark.filterwarnings("ignore:Parameter .* is not used by any computation")

STATISTICS = ("running_mean", "running_var")


def network(seed: int, devices: int = 1, dropout: float = 0.0) -> NRM:
    net = get_model("digits_cnn", 10, (1, 8, 8), channels=[3, "pool", 4], maxmin=True, dropout=dropout)
    return initialise(net, ctx=[mx.cpu(i) for i in range(devices)], seed=seed)


def pair(devices: int = 1, dropout: float = 0.0, **settings: Any) -> Dict[str, Any]:
    """A student and its teacher, whose network was initialised from another seed."""
    student = network(1, devices, dropout)
    return {
        "student": student,
        "teacher": MeanTeacher(
            network(2, devices, dropout), student, TeacherRecipe(enabled=True, **settings)
        ),
    }


def shake(net: NRM, rng: np.random.RandomState) -> None:
    """Give every copy of every parameter values of its own; variances stay positive."""
    for name, parameter in net.collect_params().items():
        for copy in parameter.list_data():
            noise = rng.randn(*copy.shape)
            copy[:] = mx.nd.array(np.abs(noise) if name.endswith("running_var") else noise)


def images(seed: int = 0, count: int = 6) -> Any:
    return mx.nd.array(np.random.RandomState(seed).randn(count, 1, 8, 8))


@pytest.mark.parametrize("devices", [1, 2])
def test_starts_equal_to_the_student(devices: int) -> None:
    assert differences(values(network(1)), values(network(2)))
    both = pair(devices)
    assert differences(values(both["teacher"].net), values(both["student"])) == []


@pytest.mark.parametrize("bn_statistics", ["average", "copy"])
@pytest.mark.parametrize("devices", [1, 2])
def test_update_is_the_moving_average(bn_statistics: str, devices: int) -> None:
    settings: Dict[str, Any] = {
        "decay": 0.7,
        "late_decay": 0.2,
        "late_decay_from_step": 5,
        "bn_statistics": bn_statistics,
    }
    both = pair(devices, **settings)
    student, teacher = both["student"], both["teacher"]
    expected = {name: array.astype(np.float64) for name, array in values(teacher.net).items()}
    rng = np.random.RandomState(0)
    for step, decay in enumerate([1 / 2, 2 / 3, 0.7, 0.7, 0.2, 0.2], start=1):
        shake(student, rng)
        teacher.update(step)
        new = values(student)
        for name in expected:
            keep = 0.0 if bn_statistics == "copy" and name.endswith(STATISTICS) else decay
            expected[name] = keep * expected[name] + (1 - keep) * new[name]
    found = values(teacher.net)
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=2e-6, err_msg=name)
        # with several devices each copy followed the student on its own device
        assert devices == 1 or np.abs(found[name][0] - found[name][1]).max() > 1e-3


def test_copied_statistics_are_the_students_to_the_bit() -> None:
    both = pair(bn_statistics="copy")
    shake(both["student"], np.random.RandomState(0))
    both["teacher"].update(1)
    student, teacher = values(both["student"]), values(both["teacher"].net)
    statistics = [name for name in student if name.endswith(STATISTICS)]
    assert len(statistics) > 4
    for name in statistics:
        np.testing.assert_array_equal(teacher[name], student[name])


def test_the_student_is_not_moved() -> None:
    both = pair()
    before = values(both["student"])
    shake(both["teacher"].net, np.random.RandomState(0))
    both["teacher"].update(3)
    assert differences(values(both["student"]), before) == []


def test_no_gradient_reaches_it() -> None:
    teacher = pair()["teacher"]
    assert {p.grad_req for p in teacher.net.collect_params().values()} == {"null"}
    with mx.autograd.record():
        probabilities = teacher.probabilities(images())
        with pytest.raises(mx.MXNetError, match="not in a computational graph"):
            probabilities.backward()
        assert mx.autograd.is_recording()
        assert mx.autograd.is_training()


def test_probabilities_are_the_mixture_of_the_branches_in_training_mode() -> None:
    teacher = pair()["teacher"]
    with mx.autograd.pause(train_mode=True):
        prediction = teacher.net(images())
    softmax = [mx.nd.softmax(each).asnumpy() for each in (prediction.logits_max, prediction.logits_min)]
    found = teacher.probabilities(images()).asnumpy()
    np.testing.assert_allclose(found, 0.5 * softmax[0] + 0.5 * softmax[1], atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    # batch statistics, not running ones: an image's neighbours matter
    others = mx.nd.concat(images()[:1], images(seed=1)[1:], dim=0)
    assert np.abs(teacher.probabilities(others).asnumpy()[0] - found[0]).max() > 1e-4


def test_its_dropout_is_on() -> None:
    def twice(dropout: float) -> List[np.ndarray]:
        teacher = pair(dropout=dropout)["teacher"]
        mx.random.seed(0)
        return [teacher.probabilities(images()).asnumpy() for _ in range(2)]

    first, second = twice(0.5)
    assert np.abs(first - second).max() > 1e-4
    first, second = twice(0.0)
    assert np.array_equal(first, second)


@pytest.mark.parametrize("devices", [1, 2])
def test_in_training_it_follows_the_student_after_every_update(devices: int) -> None:
    parts = built(FULL, "teacher.decay=0.6", devices=devices)
    trainer, weights, teacher = trainer_of(parts), full_weights(parts), parts.teacher
    assert teacher is not None
    expected = {name: array.astype(np.float64) for name, array in values(teacher.net).items()}
    for number, decay in enumerate([1 / 2, 0.6, 0.6], start=1):
        before = values(teacher.net)
        parts.step.backward(a_step(seed=number), weights)
        assert differences(values(teacher.net), before) == []
        parts.step(a_step(seed=number), weights, trainer, number)
        new = values(parts.net)
        expected = {name: decay * old + (1 - decay) * new[name] for name, old in expected.items()}
    found = values(teacher.net)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6, err_msg=name)
    assert differences(found, values(parts.net))
