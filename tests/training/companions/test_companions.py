"""Companions: who learns from which loss, the same numbers however it runs, and errors."""

from __future__ import annotations

from typing import Dict, List

import mxnet as mx
import numpy as np
import pytest
from short_runs import COMPANIONS, adversarial, built, differences, full_weights, trainer_of, values

from gluon_nrm.errors import ModelError, NonFiniteLoss, RecipeError
from gluon_nrm.layers.training_noise import TrainingNoise
from gluon_nrm.losses import Objective
from gluon_nrm.models import get_model
from gluon_nrm.training.assemble import Parts
from gluon_nrm.training.companions.generator import GeneratorCompanion
from gluon_nrm.training.seeding import seed_step

METHODS = sorted(COMPANIONS)


def everything(parts: Parts) -> Dict[str, np.ndarray]:
    """All parameters of a run, by network and name."""
    return {
        f"{network}.{name}": array
        for network, net in parts.saved.items()
        for name, array in values(net).items()
    }


def first_step(parts: Parts, rate: float = 1.0, learning: float = 1.0) -> List[str]:
    """Take a step with ``learning`` times the classifier's rate; return the names of what changed."""
    step = next(iter(parts.streams.epoch(0)))
    parts.companion.start(step.unlabelled.images)
    trainer, before = trainer_of(parts), everything(parts)
    trainer.set_learning_rate(trainer.learning_rate * learning)
    seed_step(0, 0, parts.devices)
    parts.step(step, full_weights(parts), trainer, 1, rate)
    return differences(everything(parts), before)


def is_statistic(name: str) -> bool:
    return name.endswith(("running_mean", "running_var"))


@pytest.mark.parametrize("method", METHODS)
def test_the_companion_learns_from_its_own_losses_alone(method: str) -> None:
    """With the classifier's rate at 0, only the companion's parameters change, and all of its networks do."""
    parts = built(COMPANIONS[method], "teacher.enabled=false", "loss.weights.consistency=0")
    changed = [name for name in first_step(parts, learning=0.0) if not is_statistic(name)]
    learned = {id(parameter) for parameter in parts.companion.parameters}
    owned = {
        f"{network}.{name}"
        for network, net in parts.saved.items()
        for name, parameter in net._collect_params_with_prefix().items()
        if id(parameter) in learned
    }
    assert changed and set(changed) <= owned
    for network in parts.companion.networks:
        assert any(name.startswith(f"{network}.") for name in changed)


@pytest.mark.parametrize("method", METHODS)
def test_the_classifier_learns_without_moving_the_companion(method: str) -> None:
    parts = built(COMPANIONS[method], "teacher.enabled=false", "loss.weights.consistency=0")
    changed = [name for name in first_step(parts, rate=0.0) if not is_statistic(name)]
    assert any(name.startswith("student.") for name in changed)
    assert not [name for name in changed if not name.startswith("student.")]
    elsewhere = {id(parameter) for parameter in parts.net.learned_elsewhere}
    encoder = {
        f"student.{name}"
        for name, parameter in parts.net._collect_params_with_prefix().items()
        if id(parameter) in elsewhere
    }
    assert not encoder & set(changed)
    assert bool(encoder) == (method == "ali")


@pytest.mark.parametrize("method", METHODS)
def test_eager_and_hybrid_agree(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses of classifier and companion, and the gradients of the companion; without noise.

    A graph draws its random numbers in another order than its operators one by one.
    """
    monkeypatch.setattr(TrainingNoise, "hybrid_forward", lambda self, F, x: x)
    found = []
    for hybridise in (True, False):
        overrides = ["teacher.enabled=false", "loss.weights.consistency=0", "model.dropout=0"]
        parts = built(COMPANIONS[method], *overrides, hybridise=hybridise)
        step = next(iter(parts.streams.epoch(0)))
        parts.companion.start(step.unlabelled.images)
        seed_step(0, 0, parts.devices)
        terms = parts.step.backward(step, full_weights(parts), 1)
        own = parts.companion.backward(step, terms, 1)
        gradients = [p.list_grad()[0].asnumpy() for p in parts.companion.parameters]
        found.append([*[stream.means() for stream in terms], own.means(), *gradients])
    for hybrid, eager in zip(*found):
        np.testing.assert_allclose(hybrid, eager, rtol=2e-3, atol=2e-5)


def test_a_weight_of_zero_leaves_a_term_out() -> None:
    parts = built(adversarial("improved_gan", weights="real: 0, generated: 0.5"))
    assert parts.objective.names == ("cross_entropy", "generated")


def test_only_unlabelled_images_are_judged_real_or_generated() -> None:
    parts = built(COMPANIONS["improved_gan"])
    step = next(iter(parts.streams.epoch(0)))
    parts.companion.start(step.unlabelled.images)
    unlabelled, labelled = parts.step.backward(step, full_weights(parts), 1)
    names = parts.objective.names
    for name in ("real", "generated"):
        assert labelled.means()[names.index(name)] == 0
        assert unlabelled.means()[names.index(name)] > 0


def test_the_discriminator_judges_images_and_draws() -> None:
    """20 chains beside 8 images; the loss of an image is its own and the mean of the draws."""
    parts = built(COMPANIONS["draws"])
    step = next(iter(parts.streams.epoch(0)))
    terms = parts.step.backward(step, full_weights(parts), 1)
    (judged,) = terms[0].rendered
    assert judged.shape == (8 + 20, 1, 8, 8)
    scores = parts.companion.networks["discriminator"](judged).asnumpy()
    deception = np.log1p(np.exp(-scores))
    expected = deception[:8].mean() + deception[8:].mean()
    found = terms[0].means()[parts.objective.names.index("adversarial")]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_codes_do_not_depend_on_the_number_of_devices() -> None:
    one, two = (built(COMPANIONS["improved_gan"], devices=number) for number in (1, 2))
    assert isinstance(one.companion, GeneratorCompanion) and isinstance(two.companion, GeneratorCompanion)
    whole, parts = one.companion.codes(8, 3, 1), two.companion.codes(8, 3, 1)
    np.testing.assert_array_equal(whole[0].asnumpy(), np.concatenate([part.asnumpy() for part in parts]))
    assert not np.array_equal(whole[0].asnumpy(), one.companion.codes(8, 4, 1)[0].asnumpy())


def test_one_device_and_two_agree_without_batch_statistics() -> None:
    """The discriminator has no norms: its loss and its gradients are those of the whole batch."""
    found = []
    for devices in (1, 2):
        overrides = ["teacher.enabled=false", "loss.weights.consistency=0", "model.dropout=0"]
        parts = built(
            COMPANIONS["rendering"], *overrides, "model.norm=none", "model.render_norm=none", devices=devices
        )
        step = next(iter(parts.streams.epoch(0)))
        terms = parts.step.backward(step, full_weights(parts), 1)
        own = parts.companion.backward(step, terms, 1)
        gradients = [
            sum(copy.asnumpy() for copy in parameter.list_grad()) for parameter in parts.companion.parameters
        ]
        found.append([own.means(), *gradients])
    for one, two in zip(*found):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def test_generated_images_are_normalised_pixels() -> None:
    for method in ("improved_gan", "ali"):
        parts = built(COMPANIONS[method])
        images = parts.companion.generate(5, seed=1)
        ends = parts.dataset.normalise(
            np.stack([np.full((1, 8, 8), end, np.float32) for end in parts.dataset.pixel_range])
        )
        assert images.shape == (5, 1, 8, 8)
        assert ends.min() - 1e-5 <= images.min() and images.max() <= ends.max() + 1e-5
        np.testing.assert_array_equal(images, parts.companion.generate(5, seed=1))
        assert not np.array_equal(images, parts.companion.generate(5, seed=2))


def test_a_diverged_generator_is_named() -> None:
    parts = built(COMPANIONS["improved_gan"])
    step = next(iter(parts.streams.epoch(0)))
    terms = parts.step.backward(step, full_weights(parts), 1)
    for parameter in parts.companion.parameters:
        parameter.set_data(mx.nd.full(parameter.shape, np.nan))
    with pytest.raises(NonFiniteLoss, match="loss feature_matching .* at step 7") as found:
        parts.companion.step(step, terms, 7, 1.0)
    assert "adversarial.lr" in str(found.value)


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        (COMPANIONS["improved_gan"], ["loss.weights.generated=0"], "generated, which is 0"),
        (COMPANIONS["improved_gan"], ["loss.weights.tangent=1"], "tangent: 1 needs .* tangents"),
        (COMPANIONS["improved_gan"], ["model.name=ali_digits"], "model.name: 'ali_digits' has no scores"),
        (COMPANIONS["improved_gan"], ["adversarial.step=0.1"], "adversarial.step: is for tangents"),
        (COMPANIONS["ali"], ["adversarial.code=7"], "adversarial.code: is for improved_gan and tangents"),
        (COMPANIONS["rendering"], ["train.dtype=bfloat16"], "trains in float32"),
        (COMPANIONS["rendering"], ["adversarial.draws=true"], "adversarial.draws: true needs the chains"),
        (COMPANIONS["improved_gan"], ["adversarial.method=none"], "real: 0.5 needs adversarial.method"),
        (COMPANIONS["improved_gan"], ["train.batch_unlabelled=0"], "compares unlabelled with generated"),
        (COMPANIONS["improved_gan"], ["train.kvstore=dist_async"], "use dist_sync"),
    ],
)  # fmt: skip
def test_recipes_that_contradict_themselves(text: str, overrides: List[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        built(text, *overrides)


def test_a_term_of_another_network() -> None:
    net = get_model("digits_cnn", 10, (1, 8, 8))
    with pytest.raises(ModelError, match="loss.weights.real: NRM has no scores of generated images"):
        Objective(net, ["cross_entropy", "real"])
    with pytest.raises(ModelError, match="loss.weights.adversarial: give the objective a discriminator"):
        Objective(net, ["cross_entropy", "adversarial"])
