"""The compared methods: whose targets, which perturbation, what they leave alone; on one graph as eagerly."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Tuple

import mxnet as mx
import numpy as np
import pytest
import tiny
from mxnet import autograd
from short_runs import (
    METHODS,
    PI,
    TEMPORAL,
    VAT,
    a_step,
    built,
    differences,
    full_weights,
    trainer_of,
    values,
)

from gluon_nrm.data import Batch, Step
from gluon_nrm.errors import CheckpointError, ModelError
from gluon_nrm.losses.consistency import NO_TARGET
from gluon_nrm.models import get_model, initialise
from gluon_nrm.models.interface.parameters import named_parameters
from gluon_nrm.models.twin_network import share_parameters
from gluon_nrm.recipe import Vat
from gluon_nrm.training.adversarial import Adversary
from gluon_nrm.training.consistency_targets import PiModel, TemporalEnsembling

pytestmark = pytest.mark.filterwarnings("ignore:Parameter .* is not used by any computation")

NO_DROPOUT = "model.dropout=0"
CPU = [mx.cpu(0)]


def a_batch(indices: List[int]) -> Batch:
    return Batch(np.zeros((len(indices), 1, 2, 2)), np.zeros(len(indices)), indices=np.array(indices))


def test_temporal_ensembling_by_hand() -> None:
    """Three images of two classes, alpha 0.6: seen once, never, or several times in an epoch."""
    method = TemporalEnsembling(3, 2, decay=0.6)

    def see(indices: List[int], *first: float) -> None:
        """The student says ``first`` for class 0, on two devices."""
        rows = np.array([[p, 1 - p] for p in first], dtype=np.float32)
        half = len(rows) // 2
        method.observe(
            a_batch(indices), [mx.nd.array(part) for part in (rows[:half], rows[half:]) if len(part)]
        )

    def first_class() -> List[float]:
        return [float(row[0]) for row in method.targets(np.arange(3))]

    assert first_class() == [NO_TARGET] * 3
    see([0, 1], 0.2, 0.6)
    see([1, 1], 0.8, 0.1)
    assert first_class() == [NO_TARGET] * 3  # not within the epoch
    method.end_epoch()
    # Z = 0.4 z, corrected by 1 - 0.6 = 0.4: the first target is the first prediction
    assert first_class() == pytest.approx([0.2, 0.5, NO_TARGET])
    see([0, 2], 1.0, 0.3)
    method.end_epoch()
    # image 0: Z = 0.6 * 0.08 + 0.4 = 0.448, over 1 - 0.36; image 1 was not seen, image 2 for the first time
    assert first_class() == pytest.approx([0.448 / 0.64, 0.5, 0.3])
    see([0], 0.0)
    see([1], 1.0)
    method.end_epoch()
    assert first_class() == pytest.approx([0.6 * 0.448 / 0.784, (0.6 * 0.2 + 0.4) / 0.64, 0.3])
    found = method.targets(np.array([2, 0, 2]))
    assert (found.shape, found.dtype) == ((3, 2), np.float32)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)


def test_temporal_ensembling_is_restored_in_the_middle_of_an_epoch() -> None:
    one, other = TemporalEnsembling(4, 3, 0.6), TemporalEnsembling(4, 3, 0.6)
    rng = np.random.default_rng(0)

    def see(method: TemporalEnsembling, values: np.ndarray) -> None:
        method.observe(a_batch([0, 1, 2, 1]), [mx.nd.array(values)])

    see(one, rng.dirichlet(np.ones(3), 4))
    one.end_epoch()
    see(one, rng.dirichlet(np.ones(3), 4))
    other.load({name: array.copy() for name, array in one.arrays().items()}, "targets.npz")
    last = rng.dirichlet(np.ones(3), 4)
    for method in (one, other):
        see(method, last)
        method.end_epoch()
    assert differences(one.arrays(), other.arrays()) == []
    with pytest.raises(CheckpointError, match="targets.npz: entry 'average' is missing"):
        other.load({}, "targets.npz")
    with pytest.raises(CheckpointError, match="unexpected entry 'average'"):
        PiModel(tiny.build()).load(one.arrays(), "targets.npz")


def test_temporal_ensembling_takes_the_predictions_of_the_training_pass() -> None:
    parts = built(TEMPORAL, NO_DROPOUT)
    step = next(iter(parts.streams.epoch(0)))
    with autograd.pause(train_mode=True):
        x, label = mx.nd.array(step.labelled.images), mx.nd.array(step.labelled.labels)
        arguments = tiny.asked_for(parts.objective, x, mx.nd.zeros((4, 10)))
        expected = parts.objective(x, label, *arguments).predictions.asnumpy()
    terms = parts.step(step, full_weights(parts), trainer_of(parts), 1)
    assert not terms[0].means()[parts.objective.names.index("consistency")].any()
    parts.teacher.end_epoch()
    found = parts.teacher.targets(step.labelled.indices)  # type: ignore[attr-defined]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    seen = {*step.labelled.indices, *step.unlabelled.indices}
    others = sorted({*range(1297)} - seen)
    assert (parts.teacher.targets(np.array(others)) == NO_TARGET).all()  # type: ignore[attr-defined]
    again = parts.step(step, full_weights(parts), trainer_of(parts), 2)
    assert again[0].means()[parts.objective.names.index("consistency")] > 0


def test_the_pi_models_targets_are_the_networks_own_predictions() -> None:
    parts = built(PI, NO_DROPOUT, "model.norm=none")
    step = next(iter(parts.streams.epoch(0)))
    (found,) = parts.teacher.of(step.unlabelled, CPU)
    prediction = parts.net(mx.nd.array(step.unlabelled.teacher_images))
    expected = [mx.nd.softmax(each).asnumpy() for each in (prediction.logits_max, prediction.logits_min)]
    np.testing.assert_allclose(found.asnumpy(), np.mean(expected, axis=0), atol=1e-6)
    assert np.abs(step.unlabelled.teacher_images - step.unlabelled.images).max() > 0.1
    # it follows the network at once: the parameters are the same
    weight = parts.net.layers[0].convolution.weight
    weight.set_data(weight.data() * 3)
    assert np.abs(parts.teacher.of(step.unlabelled, CPU)[0].asnumpy() - found.asnumpy()).max() > 1e-3


def test_the_pi_models_passes_differ_by_their_dropout() -> None:
    parts = built(PI, "teacher.augmentation=same")
    consistency = parts.objective.names.index("consistency")
    assert parts.step.backward(a_step(), full_weights(parts))[0].means()[consistency] > 1e-9


@pytest.mark.parametrize("name", METHODS)
def test_a_weight_of_nothing_leaves_the_rest_exactly(name: str) -> None:
    """The method's term alone brings a gradient, and its passes leave the running statistics alone."""
    plain = built(METHODS[name], NO_DROPOUT)
    term = "virtual_adversarial" if name == "vat" else "consistency"
    others = [each for each in plain.objective.names if each != term]
    overrides = [f"loss.weights.{term}=0", "teacher={enabled: false}", NO_DROPOUT]
    without = built(METHODS[name], *overrides)
    assert without.objective.names == tuple(others)
    found = []
    for parts in (plain, without):
        for seed in (0, 1):
            weights = {**full_weights(parts), term: 0.0}
            step = a_step(seed=seed)
            parts.step.backward(with_indices(step), weights)
        gradients = tiny.parameter_gradients(parts.net)
        found.append({**gradients, **{f"{n} value": v for n, v in values(parts.net).items()}})
    assert found[0].keys() == found[1].keys()
    for key in found[0]:
        np.testing.assert_allclose(found[0][key], found[1][key], rtol=1e-5, atol=1e-6, err_msg=key)
    assert any("running" in key for key in found[0])


def with_indices(step: Step) -> Step:
    numbers = iter(range(100))
    parts = [batch._replace(indices=np.array([next(numbers) for _ in batch.labels])) for batch in step]
    return Step(*parts)


@pytest.mark.parametrize("name", METHODS)
def test_the_student_learns_and_nothing_else_does(name: str) -> None:
    """With no other term, every weight moves; there is no parameter besides the student's."""
    parts = built(METHODS[name], f"model.dropout={0.5 if name == 'pi' else 0}")
    term = "virtual_adversarial" if name == "vat" else "consistency"
    weights = {**dict.fromkeys(full_weights(parts), 0.0), term: 100.0}
    assert {p.name for p in parts.parameters} <= {p.name for p in parts.net.collect_params().values()}
    first = with_indices(a_step())
    if name == "temporal":
        parts.step(first, dict.fromkeys(weights, 0.0), trainer_of(parts), 1)
        parts.teacher.end_epoch()
    parts.step.backward(with_indices(a_step(seed=3)), weights)
    for key, gradient in tiny.parameter_gradients(parts.net).items():
        if not re.search("render|template|zero", key):
            assert np.abs(gradient).max() > 1e-8, key


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("overrides", [(), ("model.maxmin=false", "model.dropout=0")], ids=str)
def test_eager_equals_hybrid(name: str, overrides: Any) -> None:
    found = []
    for hybridise in (False, True):
        parts = built(METHODS[name], *overrides, hybridise=hybridise)
        trainer = trainer_of(parts)
        mx.random.seed(5)
        for epoch in range(2):
            for number, step in enumerate(parts.streams.epoch(epoch), start=1 + 3 * epoch):
                terms = parts.step(step, full_weights(parts), trainer, number)
            if parts.teacher is not None:
                parts.teacher.end_epoch()
        found.append(np.stack([stream.means() for stream in terms]))
    term = parts.objective.names.index("virtual_adversarial" if name == "vat" else "consistency")
    assert (found[0].sum(axis=0)[term] > 0) and np.isfinite(found[0]).all()
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3, atol=1e-5)


def test_temporal_ensembling_on_one_device_equals_two() -> None:
    off = ("model.norm=none", "model.render_norm=none", "loss.weights.moment_matching=0", NO_DROPOUT)
    found = []
    for devices in (1, 2):
        parts = built(TEMPORAL, *off, devices=devices)
        trainer = trainer_of(parts)
        for epoch in range(3):
            for number, step in enumerate(parts.streams.epoch(epoch), start=1 + 3 * epoch):
                parts.step(step, full_weights(parts), trainer, number)
            parts.teacher.end_epoch()
        found.append({**parts.teacher.arrays(), **{n: v[0] for n, v in values(parts.net).items()}})
    for name in found[0]:
        np.testing.assert_allclose(found[0][name], found[1][name], atol=1e-5, err_msg=name)


# ---- virtual adversarial perturbations


SMOOTH: Dict[str, Any] = dict(norm="none", render_norm="none", slope=0.3)


def an_adversary(net: Any, **settings: Any) -> Adversary:
    return Adversary(net, Vat(**settings), seed=0)


def divergence(net: Any, x: mx.nd.NDArray, clean: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """KL of the prediction for x in training from the clean one, in double precision, and the prediction."""
    with autograd.pause(train_mode=True):
        logits = net.joint(mx.nd, x, mx.nd.zeros(len(x)), render=False).logits
    branches = zip(net.options.alphas, logits)
    q = sum(alpha * softmax(each.asnumpy().astype(np.float64)) for alpha, each in branches)
    return (clean * np.log(clean / q)).sum(axis=1), q


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("options", [{}, dict(maxmin=True), SMOOTH], ids=str)
def test_the_perturbation_follows_the_gradient_by_differences(options: Dict[str, Any]) -> None:
    """One step of the power method: r = epsilon g / |g|, g the gradient of the divergence at xi d."""
    net = tiny.build((3, 4), (1, 3, 3), **options)
    x, epsilon, xi = tiny.images(net, 3), 0.7, 0.3
    start = tiny.images(net, 3, seed=8)
    found = (an_adversary(net, epsilon=epsilon, xi=xi).perturb(x, start) - x).asnumpy()
    _, clean = divergence(net, x, np.ones((3, 3)) / 3)
    d = start.asnumpy() / np.sqrt((start.asnumpy() ** 2).sum(axis=(1, 2, 3), keepdims=True))
    g = np.zeros(x.shape)
    h = 2e-3
    for place in np.ndindex(x.shape):
        sides = []
        for sign in (1, -1):
            moved = x.asnumpy() + xi * d
            moved[place] += sign * h
            # a pixel moves the whole batch where its statistics normalise it
            sides.append(divergence(net, mx.nd.array(moved), clean)[0].sum())
        g[place] = (sides[0] - sides[1]) / (2 * h)
    expected = epsilon * g / np.sqrt((g**2).sum(axis=(1, 2, 3), keepdims=True))
    np.testing.assert_allclose(found, expected, atol=0.03 * epsilon)
    np.testing.assert_allclose(np.sqrt((found**2).sum(axis=(1, 2, 3))), epsilon, rtol=1e-5)


def test_more_steps_find_a_worse_perturbation() -> None:
    net = tiny.build((3, 4), (1, 4, 4), **SMOOTH)
    x = tiny.images(net, 4)
    _, clean = divergence(net, x, np.ones((4, 3)) / 3)
    start = tiny.images(net, 4, seed=8)
    random = start / mx.nd.sqrt((start * start).sum(axis=(1, 2, 3), keepdims=True))
    found = [divergence(net, x + 0.1 * random, clean)[0].sum()]
    for iterations in (1, 6):
        adversary = an_adversary(net, epsilon=0.1, xi=0.01, power_iterations=iterations)
        found.append(divergence(net, adversary.perturb(x, start), clean)[0].sum())
    assert found[1] > 2 * found[0]
    assert found[2] > found[1]


def test_a_prediction_that_nothing_changes_is_not_perturbed() -> None:
    net = tiny.build()
    net.classifier.weight.set_data(mx.nd.zeros(net.classifier.weight.shape))
    x = tiny.images(net)
    found = an_adversary(net).perturb(x, tiny.images(net, seed=8)).asnumpy()
    assert np.isfinite(found).all() and np.abs(found - x.asnumpy()).max() == 0


def test_directions_depend_on_seed_step_and_stream_alone() -> None:
    parts = built(VAT, NO_DROPOUT)
    batch = a_step().unlabelled

    def of(adversary: Adversary, devices: List[Any], step: int, stream: int) -> bytes:
        return b"".join(part.asnumpy().tobytes() for part in adversary.of(batch, devices, step, stream))

    adversary = parts.step.adversary
    first = of(adversary, CPU, 1, 0)
    assert of(adversary, CPU, 1, 0) == first
    other = Adversary(adversary._probabilities.net, Vat(), seed=1)
    assert len({first, of(adversary, CPU, 2, 0), of(adversary, CPU, 1, 1), of(other, CPU, 1, 0)}) == 4


# ---- the second pass


MODELS: Dict[str, Dict[str, Any]] = {
    "list": dict(name="digits_cnn"),
    "maxmin": dict(name="digits_cnn", maxmin=True, released_bias=True),
    "zoo": dict(name="gluon.resnet18_v1", render=False),
    "zoo maxmin": dict(name="gluon.resnet18_v1", maxmin=True, render=False),
    "traced": dict(name="gluoncv.cifar_resnet20_v1", maxmin=True),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_second_pass_has_the_parameters_and_not_the_statistics(name: str) -> None:
    size = (1, 8, 8) if name in ("list", "maxmin") else (3, 32, 32)
    first, second = (
        initialise(get_model(classes=10, input_shape=size, **MODELS[name]), seed=seed) for seed in (1, 2)
    )
    x = mx.nd.array(np.random.default_rng(0).standard_normal((3, *size)))
    first(x), second(x)
    share_parameters(second, first)
    own = {p.name: p for p in second.collect_params().values()}
    theirs = {p.name: p for p in first.collect_params().values()}
    shared = {key for key in own if own[key] is theirs.get(key)}
    assert shared and all("running" in key for key in set(own) - shared)
    assert not any("running" in key for key in shared)
    before = values(first)
    with autograd.record():
        found = second(x).logits
    found.backward()
    assert differences(values(first), before) == []
    assert any(np.abs(p.grad().asnumpy()).max() > 0 for p in first.collect_params(".*weight").values())
    with autograd.train_mode():
        expected, again = first(x).logits.asnumpy(), second(x).logits.asnumpy()
    np.testing.assert_allclose(again, expected, rtol=1e-4, atol=1e-5)
    second.hybridize()
    with autograd.train_mode():
        np.testing.assert_allclose(second(x).logits.asnumpy(), expected, rtol=1e-4, atol=1e-5)


# ---- DRM


def test_without_biases_the_prior_of_a_path_is_flat() -> None:
    """b(l) is 0 and stays there, so eta is 0 for every path; the rest is the network of the same seed."""
    changes = ("model.path_norm=none", "loss.weights.path_norm=0", "model.maxmin=false")
    plain, parts = built(VAT, *changes), built(VAT, "model.bias=false", *changes)
    assert list(named_parameters(plain.net)) == list(named_parameters(parts.net))
    assert len(plain.parameters) - len(parts.parameters) == len(parts.net.layers)
    trainer = trainer_of(parts)
    for number in (1, 2, 3):
        parts.step(a_step(seed=number), full_weights(parts), trainer, number)
    for layer in parts.net.layers:
        assert layer.bias.grad_req == "null" and not layer.bias.data().asnumpy().any()
    assert parts.net.classifier.bias.data().asnumpy().any()


@pytest.mark.parametrize("name", ["pi", "temporal"])
def test_a_network_without_noise_is_refused(name: str) -> None:
    """The recipe leaves dropout to the network, which has none."""
    changes = ["model.dropout=null", "data.shift=0", "loss.weights.path_norm=0"]
    with pytest.raises(ModelError, match="teacher.method: '.*' needs two passes.*\n.*no dropout of its own"):
        built(METHODS[name], *changes)
