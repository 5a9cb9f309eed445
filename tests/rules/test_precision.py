"""Convolutions in half precision: what changes, what does not, and the loss scale of float16."""

from __future__ import annotations

import json
from typing import Any, Dict

import mxnet as mx
import numpy as np
import pytest
import short_runs
import tiny
from mxnet.gluon import nn
from needs import needs_bfloat16

from gluon_nrm.errors import DeviceError, NonFiniteLoss
from gluon_nrm.layers.options import NRMOptions
from gluon_nrm.losses import Objective
from gluon_nrm.models import Network, maxmin
from gluon_nrm.models.traced.classifier import TracedClassifier
from gluon_nrm.models.traced.nrm import TracedNRM
from gluon_nrm.training.assemble import assemble
from gluon_nrm.training.loss_scale import PATIENCE, START, LossScale

TERMS = ["cross_entropy", "reconstruction", "entropy", "moment_matching", "path_norm"]


def base() -> nn.HybridSequential:
    net = nn.HybridSequential()
    net.add(
        nn.Conv2D(16, 3, padding=1, use_bias=False), nn.BatchNorm(), nn.LeakyReLU(0.1), nn.MaxPool2D(3, 2, 1),
        nn.Conv2D(16, 3, padding=1, use_bias=False), nn.BatchNorm(), nn.LeakyReLU(0.1), nn.GlobalAvgPool2D(),
        nn.Dense(3),
    )  # fmt: skip
    return net


def build(kind: str, dtype: str) -> Network:
    mx.random.seed(0)
    options: Dict[str, Any] = dict(maxmin=kind != "plain", dtype=dtype)
    if kind == "list":
        return tiny.build((16, "pool", 16), input_shape=(2, 8, 8), **options)
    if kind == "traced":
        net: Network = TracedNRM(base(), 3, (2, 8, 8), NRMOptions(**options))
    else:
        options.update(render=False, path_norm="none", render_norm="none")
        net = TracedClassifier(base(), 3, (2, 8, 8), NRMOptions(**options))
    net.initialize()
    return tiny.randomise(net)


KINDS = ("list", "traced", "classifier", "plain")


@needs_bfloat16
@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_is_close_and_its_gradients_are_float32(kind: str) -> None:
    found = []
    for dtype in ("float32", "bfloat16"):
        net = build(kind, dtype)
        names = TERMS if net.options.render else ["cross_entropy"]
        objective = Objective(net, names)
        objective.hybridize()
        weights = dict.fromkeys(names, 1.0)
        found.append(tiny.differentiate(objective, tiny.images(net), tiny.labels(net), weights=weights))
        assert {p.dtype for p in net.collect_params().values()} <= {np.float32, "float32"}
    single, half = found
    assert not np.array_equal(single.terms, half.terms)
    np.testing.assert_allclose(half.terms, single.terms, rtol=0.1, atol=0.05)
    for name, expected in single.gradients.items():
        assert half.gradients[name].dtype == np.float32
        if np.abs(expected).max() > 1e-3:
            cosine = np.sum(half.gradients[name] * expected) / (
                np.linalg.norm(half.gradients[name]) * np.linalg.norm(expected)
            )
            # the zero image's norms divide what is nearly constant by its spread: rounding shows there
            assert cosine > (0.8 if ".zero." in name else 0.98), name


@pytest.mark.parametrize("kind", KINDS)
def test_float16_is_in_the_convolutions_alone(kind: str) -> None:
    """It does not run on a CPU; the types of its graph can be inferred all the same."""
    net = build(kind, "float16")
    names = TERMS if net.options.render else ["cross_entropy"]
    objective = Objective(net, names)
    graph = objective.symbol().get_internals()
    arguments, outputs, _ = graph.infer_type(**dict.fromkeys(objective.inputs, "float32"))
    assert set(arguments) == {np.float32}
    types = dict(zip(graph.list_outputs(), outputs))
    operators = {each["name"] + "_output": each["op"] for each in json.loads(graph.tojson())["nodes"]}
    half = {op for name, op in operators.items() if types.get(name) == np.float16}
    single = {op for name, op in operators.items() if types.get(name) == np.float32}
    assert half <= {"amp_cast", "Convolution", "FullyConnected"} and "Convolution" in half
    assert "Convolution" not in single and "BatchNorm" not in half


@needs_bfloat16
def test_maxmin_takes_a_precision() -> None:
    net = maxmin(base(), dtype="bfloat16")
    net.initialize()
    scores = net(mx.nd.ones((2, 2, 8, 8)))
    assert scores.logits_max.dtype == scores.logits_min.dtype == np.float32


@pytest.mark.parametrize(("dtype", "device"), [("float16", mx.cpu(0)), ("bfloat16", mx.gpu(0))])
def test_precision_that_the_device_has_not(dtype: str, device: Any) -> None:
    recipe = short_runs.recipe(short_runs.SUPERVISED, f"train.dtype={dtype}")
    with pytest.raises(DeviceError, match=f"train.dtype: MXNet has no {dtype} convolution on .pu"):
        assemble(recipe, [device])


@needs_bfloat16
def test_a_recipe_in_bfloat16_trains() -> None:
    parts = short_runs.built(short_runs.FULL, "train.dtype=bfloat16")
    terms = parts.step(short_runs.a_step(), short_runs.full_weights(parts), short_runs.trainer_of(parts), 1)
    assert all(np.isfinite(stream.means()).all() for stream in terms)


def after_a_step(scale: float) -> Dict[str, np.ndarray]:
    parts = short_runs.built(short_runs.SUPERVISED)
    parts.step.scale = LossScale(on=scale > 1)
    parts.step.scale.value = scale
    trainer = short_runs.trainer_of(parts)
    parts.step(short_runs.a_step(unlabelled=0), short_runs.full_weights(parts), trainer, 1)
    return short_runs.values(parts.net)


def test_a_scaled_step_is_the_same_step() -> None:
    """A power of two is exact."""
    assert not short_runs.differences(after_a_step(1.0), after_a_step(2.0**10))


def test_an_overflow_leaves_the_step_out_and_halves_the_scale() -> None:
    parts = short_runs.built(short_runs.SUPERVISED)
    parts.step.scale = LossScale(on=True)
    parts.step.scale.value = 2.0**127
    trainer = short_runs.trainer_of(parts)
    weights = {"cross_entropy": 1e6}
    trained = [p for p in parts.parameters if p.name.endswith("weight")]
    before = [p.data().asnumpy() for p in trained]
    parts.step(short_runs.a_step(unlabelled=0), weights, trainer, 1)
    assert parts.step.scale.value == 2.0**126
    for parameter, old in zip(trained, before):
        np.testing.assert_array_equal(parameter.data().asnumpy(), old)


def test_the_scale_grows_and_goes_on_from_its_state() -> None:
    parameter = mx.gluon.Parameter("p", shape=(2,))
    parameter.initialize()
    scale = LossScale(on=True)
    assert scale.value == START
    for _ in range(PATIENCE - 1):
        assert scale.accept([parameter])
    again = LossScale(on=True)
    again.restore(scale.state())
    assert again.value == START
    assert again.accept([parameter])
    assert again.value == 2 * START
    off = LossScale(on=False)
    parameter.grad()[:] = np.nan
    assert off.accept([parameter]) and off.value == 1.0  # the loop finds it in the parameters
    assert not again.accept([parameter])
    assert again.value == START


def test_a_loss_that_is_no_number_is_not_an_overflow() -> None:
    parts = short_runs.built(short_runs.SUPERVISED)
    parts.step.scale = LossScale(on=True)
    step = short_runs.a_step(unlabelled=0)
    step.labelled.images[0] = np.nan
    with pytest.raises(NonFiniteLoss):
        parts.step(step, short_runs.full_weights(parts), short_runs.trainer_of(parts), 1)
