"""One training step: the gradient of the weighted sum, on one device as on two, and what stops it."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import mxnet as mx
import numpy as np
import pytest
import tiny
from short_runs import FULL, PI, SUPERVISED, VAT, a_step, built, differences, full_weights, trainer_of, values

from gluon_nrm.data import Step
from gluon_nrm.errors import NonFiniteLoss
from gluon_nrm.training.assemble import Parts
from gluon_nrm.training.device_statistics import synchronise_statistics
from gluon_nrm.training.optimisers import trained_parameters, trainer_arrays
from gluon_nrm.training.seeding import seed_step

pytestmark = pytest.mark.filterwarnings("ignore:Parameter .* is not used by any computation")

NO_DROPOUT = "model.dropout=0"
#: No statistic of a batch anywhere, so that nothing depends on how the batch is dealt out. Moment matching
#: compares statistics of the part of the batch that is on one device, and has to stay out.
SAME_ON_ANY_DEVICES = (
    NO_DROPOUT, "model.norm=none", "model.render_norm=none", "loss.weights.moment_matching=0",
)  # fmt: skip


def gradients(parts: Parts) -> Dict[str, np.ndarray]:
    """Gradients of all trained parameters, summed over the devices, by names without the network's prefix."""
    return {
        p.name[len(parts.net.prefix) :]: np.sum([each.asnumpy() for each in p.list_grad()], axis=0)
        for p in trained_parameters(parts.objective)
    }


def explicit_total(parts: Parts, step: Step, weights: Dict[str, float]) -> Dict[str, np.ndarray]:
    """Gradients of the sum over streams and terms of weight times mean over the batch, all at once."""
    outcomes, head_gradients = [], []
    for batch in (step.labelled, step.unlabelled):
        if batch is None:
            continue
        x, label = mx.nd.array(batch.images), mx.nd.array(batch.labels)
        targets = [] if parts.teacher is None else [parts.teacher.probabilities(x)]  # type: ignore[attr-defined]
        arguments = tiny.asked_for(parts.objective, x, *targets)
        with mx.autograd.record():
            outcomes.append(parts.objective(x, label, *arguments))
        column = [[weights[name] / len(label)] * len(label) for name in parts.objective.names]
        head_gradients.append(mx.nd.array(column))
    parts.objective.backward(outcomes, head_gradients)
    return gradients(parts)


@pytest.mark.parametrize("sizes", [(4, 8), (6, 2), (4, 0)])
def test_gradient_of_the_weighted_sum(sizes: Tuple[int, int]) -> None:
    names = ("cross_entropy", "reconstruction", "entropy", "moment_matching", "path_norm", "consistency")
    weights = dict(zip(names, (0.9, 0.7, 0.4, 0.3, 1.3, 20.0)))
    step = a_step(*sizes)
    parts = built(FULL, NO_DROPOUT)
    assert parts.objective.names == names
    parts.step.backward(step, weights)
    found = gradients(parts)
    expected = explicit_total(built(FULL, NO_DROPOUT, hybridise=False), step, weights)
    assert found.keys() == expected.keys()
    for name in found:
        tolerance = 1e-4 * np.abs(expected[name]).max() + 1e-7
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-3, atol=tolerance, err_msg=name)
    assert sum(np.abs(array).max() > 1e-4 for array in found.values()) > 10


def test_a_weight_scales_its_term_alone() -> None:
    parts = built(FULL, NO_DROPOUT)
    nothing = dict.fromkeys(full_weights(parts), 0.0)
    step = a_step()

    def of(**weights: float) -> np.ndarray:
        parts.step.backward(step, {**nothing, **weights})
        return gradients(parts)["classifier0_weight"]

    np.testing.assert_allclose(of(), 0)
    both, one, other = of(cross_entropy=2, entropy=3), of(cross_entropy=1), of(entropy=1)
    assert np.abs(one).max() > 1e-4 and np.abs(other).max() > 1e-6
    np.testing.assert_allclose(both, 2 * one + 3 * other, atol=1e-6)


def test_the_terms_of_both_streams() -> None:
    parts = built(FULL, NO_DROPOUT)
    step = a_step(labelled=6, unlabelled=4)
    found = parts.step.backward(step, full_weights(parts))
    assert [stream.name for stream in found] == ["unlabelled", "labelled"]
    assert [stream.parts[0].shape for stream in found] == [(6, 4), (6, 6)]
    cross_entropy = parts.objective.names.index("cross_entropy")
    assert found[0].means()[cross_entropy] == 0.0
    assert found[1].means()[cross_entropy] > 1.0


@pytest.mark.parametrize("hybridise", [True, False])
def test_the_unlabelled_stream_goes_first(hybridise: bool) -> None:
    """As released: of two moves of the running statistics, the labelled batch makes the later one."""
    parts = built(FULL, NO_DROPOUT, hybridise=hybridise)
    layer = parts.net.layers[0]
    statistics = layer.branches[0].norm.running_mean
    for seed in range(2):
        step = a_step(seed=seed)
        expected = statistics.data().asnumpy()
        for batch in (step.unlabelled, step.labelled):
            assert batch is not None
            convolved = layer.convolution(mx.nd.array(batch.images)).asnumpy()
            expected = 0.9 * expected + 0.1 * convolved.mean(axis=(0, 2, 3))
        parts.step.backward(step, full_weights(parts))
        np.testing.assert_allclose(statistics.data().asnumpy(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        (FULL, ("train.kvstore=device",)),
        (FULL, ("train.kvstore=local",)),
        (SUPERVISED, ("model.norm=none",)),
        (FULL, ("model.path_norm=mode",)),
        (PI, ("data.shift=1",)),
        (VAT, ()),
        (PI, ("data.shift=1", "train.kvstore=local")),
        (VAT, ("loss.vat.power_iterations=2", "model.maxmin=false")),
        (VAT, ("train.kvstore=local",)),
    ],
)
def test_one_device_equals_two(text: str, settings: Tuple[str, ...]) -> None:
    found: List[Dict[str, np.ndarray]] = []
    start: Dict[str, np.ndarray] = {}
    for devices in (1, 2):
        off = SAME_ON_ANY_DEVICES if text is not SUPERVISED else ()
        parts = built(text, *off, *settings, devices=devices)
        start = values(parts.net)
        trainer = trainer_of(parts, phase=-1)
        trainer.set_learning_rate(0.02)
        for number in range(1, 6):
            step = a_step(6, 8 if parts.recipe.train.batch_unlabelled else 0, seed=number)
            parts.step(step, full_weights(parts), trainer, number)
        networks = parts.networks.items()
        found.append({f"{key} {name}": v for key, net in networks for name, v in values(net).items()})
    one, two = found
    moved = [np.abs(one[f"student {name}"][0] - start[name][0]).max() for name in start]
    assert max(moved) > 1e-2
    for name in one:
        np.testing.assert_array_equal(two[name][0], two[name][1], err_msg=name)
        np.testing.assert_allclose(two[name][0], one[name][0], rtol=0, atol=1e-5, err_msg=name)


def poison_image(parts: Parts, step: Step, value: float) -> Step:
    """A pixel of the labelled batch that is no number: every term of that stream goes."""
    step.labelled.images[0, 0, 0, 0] = value
    return step


def poison_rendering(parts: Parts, step: Step, value: float) -> Step:
    """A norm of the rendered image that is no number: reconstruction alone goes, in both streams."""
    gamma = parts.net.layers[0].render_norms.branches[0].gamma
    gamma.set_data(mx.nd.full(gamma.shape, value))
    return step


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("poison", "culprit"),
    [
        (poison_image, "cross_entropy of the labelled stream became nan"),
        (poison_rendering, "reconstruction of the unlabelled stream became (nan|inf)"),
    ],
)
def test_a_term_that_is_no_number_stops_the_step(poison: Any, culprit: str, value: float) -> None:
    parts = built(FULL)
    trainer = trainer_of(parts)
    parts.step(a_step(), full_weights(parts), trainer, 1)
    step = poison(parts, a_step(seed=1), value)
    before = {name: v for name, v in values(parts.net).items() if "running" not in name}
    assert parts.teacher is not None
    teacher, state = values(parts.teacher.net), trainer_arrays(trainer)
    with pytest.raises(NonFiniteLoss, match=f"term {culprit} at step 7; the last checkpoint is intact"):
        parts.step(step, full_weights(parts), trainer, 7)
    after = values(parts.net)
    assert differences({name: after[name] for name in before}, before) == []
    assert differences(values(parts.teacher.net), teacher) == []
    assert differences(trainer_arrays(trainer), state) == []


def test_dropout_of_a_step_depends_on_seed_and_step_alone() -> None:
    parts = built(FULL)

    def terms(seed: int, step: int) -> bytes:
        seed_step(seed, step, parts.devices)
        return b"".join(s.means().tobytes() for s in parts.step.backward(a_step(), full_weights(parts)))

    first = terms(0, 5)
    assert len({first, terms(0, 6), terms(1, 5)}) == 3
    assert terms(0, 5) == first


def test_statistics_of_all_devices_are_averaged() -> None:
    """Each device keeps running statistics of its own images; what is evaluated and saved is their mean."""
    parts = built(FULL, NO_DROPOUT, devices=2)
    parts.step.backward(a_step(), full_weights(parts))
    before = values(parts.net)
    synchronise_statistics(parts.net, parts.workers)
    after = values(parts.net)
    moved = differences(after, before)
    assert moved and all("running" in name for name in moved)
    for name in moved:
        assert np.abs(before[name][0] - before[name][1]).max() > 1e-4
        np.testing.assert_allclose(after[name], np.stack([before[name].mean(axis=0)] * 2), atol=1e-6)
