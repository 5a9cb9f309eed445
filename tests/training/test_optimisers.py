"""The optimiser of a phase: what it trains, what decays, and its state, saved and put back to the bit."""

from __future__ import annotations

from typing import Any, Dict

import mxnet as mx
import numpy as np
import pytest
from short_runs import FULL, SUPERVISED, a_step, built, differences, full_weights, trainer_of, values

from gluon_nrm.errors import CheckpointError
from gluon_nrm.models.interface.parameters import named_parameters
from gluon_nrm.recipe import Optimiser, Phase
from gluon_nrm.training.optimisers import load_trainer, make_trainer, trained_parameters, trainer_arrays

pytestmark = pytest.mark.filterwarnings("ignore:Parameter .* is not used by any computation")

NO_DROPOUT = "model.dropout=0"

OPTIMISERS = {
    "adam": "{name: adam, lr: 1e-2}",
    "sgd": "{name: sgd, lr: 0.05}",
    "sgd momentum": "{name: sgd, lr: 0.05, momentum: 0.9}",
    "nag": "{name: nag, lr: 0.05, momentum: 0.9}",
}


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("name", sorted(OPTIMISERS))
def test_a_saved_optimiser_goes_on_to_the_same_bits(name: str, devices: int) -> None:
    settings = (f"optimiser.phases=[{OPTIMISERS[name]}]", NO_DROPOUT)
    parts = built(SUPERVISED, *settings, devices=devices)
    trainer = trainer_of(parts)
    saved: Dict[str, Any] = {}
    for number in range(1, 6):
        if number == 4:
            saved = {"net": values(parts.net), "optimiser": trainer_arrays(trainer)}
        parts.step(a_step(4, 0, seed=number), full_weights(parts), trainer, number)
    slots = {"adam": 2, "sgd": 0, "sgd momentum": 1, "nag": 1}[name]
    assert len(saved["optimiser"]) == slots * len(trainer._params)

    resumed = built(SUPERVISED, *settings, devices=devices)
    for parameter, array in zip(named_parameters(resumed.net).values(), saved["net"].values()):
        for copy, value in zip(parameter.list_data(), array):
            copy[:] = mx.nd.array(value)
    again = trainer_of(resumed)
    load_trainer(again, saved["optimiser"], 3, "optimiser.npz")
    for number in (4, 5):
        resumed.step(a_step(4, 0, seed=number), full_weights(resumed), again, number)
    assert differences(values(resumed.net), values(parts.net)) == []
    assert differences(trainer_arrays(again), trainer_arrays(trainer)) == []


@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_nag_is_nesterovs_momentum(decay: float) -> None:
    """v' = m v - lr grad(w + m v), w' = w + v' (Sutskever et al. 2013, Equations 3 and 4), by hand.

    MXNet keeps the weight at w + m v, where the gradient is taken; the rate changes on the way. It writes the
    weight before it reads it for the decay in v', which so is that of the new weight: a share of lr * decay.
    """
    momentum, rates = 0.9, [0.1, 0.1, 0.05, 0.05, 0.02]
    curvature = np.array([1.0, 3.0])
    weight = mx.gluon.Parameter("weight", shape=(2,), init=mx.init.One())
    weight.initialize()
    optimiser = Optimiser([Phase("nag", rates[0], momentum=momentum)], weight_decay=decay)
    trainer = make_trainer([weight], optimiser, optimiser.phases[0], "device")
    place, velocity = np.ones(2), np.zeros(2)
    for rate in rates:
        with mx.autograd.record():
            loss = 0.5 * mx.nd.array(curvature) * weight.data() ** 2
        loss.backward()
        trainer.set_learning_rate(rate)
        trainer.step(1)
        ahead = place + momentum * velocity
        velocity = momentum * velocity - rate * (curvature + decay) * ahead
        place = place + velocity
        kept = place + momentum * velocity
        np.testing.assert_allclose(weight.data().asnumpy(), kept, rtol=1e-5)
        late = rate * decay * (ahead - kept)  # what the decay of the new weight leaves out
        velocity, place = velocity + late, kept - momentum * (velocity + late)


@pytest.mark.parametrize("damage", ["missing", "misshapen"])
def test_a_state_that_does_not_fit_is_named(damage: str) -> None:
    parts = built(SUPERVISED)
    trainer = trainer_of(parts)
    parts.step(a_step(4, 0), full_weights(parts), trainer, 1)
    arrays = trainer_arrays(trainer)
    arrays.update({"1.0": arrays["1.0"][..., :1]} if damage == "misshapen" else {})
    if damage == "missing":
        del arrays["1.0"]
    with pytest.raises(CheckpointError, match=r"x/optimiser.npz: .*1\.0"):
        load_trainer(trainer_of(parts), arrays, 1, "x/optimiser.npz")


@pytest.mark.parametrize("on", ["all", "weights"])
def test_weight_decay(on: str) -> None:
    """With the gradient 0, SGD multiplies what decays by 1 - lr wd, and leaves the rest alone."""
    phase = "optimiser.phases=[{name: sgd, lr: 0.5}]"
    parts = built(FULL, phase, f"optimiser.weight_decay_on={on}", "optimiser.weight_decay=0.1", NO_DROPOUT)
    for parameter in parts.net.collect_params().values():
        parameter.set_data(mx.nd.ones(parameter.shape))
    trainer = trainer_of(parts)
    parts.step(a_step(), dict.fromkeys(full_weights(parts), 0.0), trainer, 1)
    ids = {id(parameter) for parameter in trainer._params}
    trained = {name for name, parameter in named_parameters(parts.net).items() if id(parameter) in ids}
    assert len([name for name in trained if not name.endswith("weight")]) > 5
    for name, array in values(parts.net).items():
        if "running" in name:
            continue
        decays = name in trained and (on == "all" or name.endswith("weight"))
        np.testing.assert_allclose(array, 0.95 if decays else 1.0, rtol=1e-6, err_msg=name)


def test_only_what_the_objective_reaches_is_trained() -> None:
    supervised = built(SUPERVISED)
    rendering = {name for name in supervised.net.collect_params() if "rendernorms" in name}
    assert rendering
    names = [p.name for p in trained_parameters(supervised.objective)]
    assert not rendering & set(names)
    kinds = {name.rsplit("_", 1)[1] for name in names}
    assert kinds == {"weight", "bias", "gamma"}
    assert len(names) == len(set(names)) == 2 * 3 + 2

    full = built(FULL)
    reached = {p.name for p in trained_parameters(full.objective)}
    frozen = {p.name for p in full.net.collect_params().values() if p.grad_req == "null"}
    assert not reached & frozen
    assert any("rendernorms" in name for name in reached)
    assert not any(name.endswith(("running_mean", "running_var")) for name in reached)
