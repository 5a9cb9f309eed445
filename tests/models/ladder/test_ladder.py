"""The Ladder network: its cost against NumPy, gradients, running statistics, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np
import pytest
from ladder_oracle import NETWORKS, SLOPE, Arrays, oracle, statistics
from mxnet import autograd
from short_runs import LADDER, fit_without_pictures, recipe

from gluon_nrm.errors import ModelError
from gluon_nrm.export.export_run import export_run
from gluon_nrm.export.symbol_files import run_once
from gluon_nrm.layers.options import NRMOptions
from gluon_nrm.layers.training_noise import TrainingNoise
from gluon_nrm.losses import Objective
from gluon_nrm.models import get_model
from gluon_nrm.models.interface.parameters import named_parameters
from gluon_nrm.models.ladder.layers import dense, max_pooling
from gluon_nrm.models.ladder.network import LadderNetwork
from gluon_nrm.predict.manifest import check_files

pytestmark = pytest.mark.filterwarnings("ignore:.*not used by any computation", "ignore:Cannot decide type")

FORMATS = ("symbol",)
TERMS = ("cross_entropy", "denoising")


def built(name: str, noise: float = 0.0, seed: int = 0, random: bool = True) -> LadderNetwork:
    layers, shape, weights = NETWORKS[name]
    options = NRMOptions(render=False, path_norm="none", render_norm="none", noise=noise)
    net = LadderNetwork(layers, 3, shape, options, weights, slope=SLOPE)
    net.initialize()
    rng = np.random.default_rng(seed)
    for key, parameter in named_parameters(net).items() if random else ():
        value = rng.standard_normal(parameter.shape) * 0.7
        if key.endswith(("gamma", "running_var")):
            value = rng.uniform(0.5, 1.5, parameter.shape)
        if parameter.grad_req == "null" and not key.endswith(("running_mean", "running_var")):
            value = np.full(parameter.shape, float(key.endswith("gamma")))
        parameter.set_data(mx.nd.array(value))
    return net


class FixedNoise(TrainingNoise):
    """Adds the same numbers at each call."""

    def __init__(self, values: np.ndarray) -> None:
        super().__init__(1.0)
        self.values = values.astype(np.float32)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return x + mx.nd.array(self.values)


def fix_noise(net: LadderNetwork, batch: int, seed: int = 5) -> List[np.ndarray]:
    """Replace the noise of the image and of every layer by numbers of its own."""
    rng = np.random.default_rng(seed)
    shapes = [net._shapes[0], *[layer.shape for layer in net.encoder]]
    drawn = [0.3 * rng.standard_normal((batch, *shape)) for shape in shapes]
    drawn = [each.astype(np.float32).astype(np.float64) for each in drawn]
    net.noise = FixedNoise(drawn[0])
    for layer, values in zip(net.encoder, drawn[1:]):
        layer.corrupted.noise = FixedNoise(values)
    return drawn


def data(name: str, batch: int = 6) -> Tuple[np.ndarray, np.ndarray]:
    shape = NETWORKS[name][1] if name in NETWORKS else (1, 8, 8)
    x = np.random.default_rng(1).standard_normal((batch, *shape)).astype(np.float32)
    return x, np.array([0, 1, 2, -1, -1, 1][:batch], np.float32)


def arrays_of(net: LadderNetwork) -> Arrays:
    return {name: p.data().asnumpy().astype(np.float64) for name, p in named_parameters(net).items()}


def gradients(objective: Objective, x: np.ndarray, label: np.ndarray, weights: Sequence[float]) -> Arrays:
    """Of the weighted sum of both terms over the batch; and the terms under "terms"."""
    for parameter in named_parameters(objective.net).values():
        if parameter.grad_req != "null":
            parameter.zero_grad()
    with autograd.record():
        outcome = objective(mx.nd.array(x), mx.nd.array(label))
    head = np.repeat(np.array(weights, np.float32)[:, None], len(x), axis=1)
    objective.backward([outcome], [mx.nd.array(head)])
    mx.nd.waitall()
    found = {
        n: p.grad().asnumpy() for n, p in named_parameters(objective.net).items() if p.grad_req != "null"
    }
    return {**found, "terms": outcome.terms.asnumpy()}


@pytest.mark.parametrize("name", NETWORKS)
def test_terms_and_gradients_are_those_of_the_paper(name: str) -> None:
    """Against NumPy in double precision: values, and differences along a direction of each parameter."""
    net, (x, label) = built(name), data(name)
    noise, arrays = fix_noise(net, len(x)), arrays_of(net)
    weights = (1.0, 0.7)
    found = gradients(Objective(net, TERMS), x, label, weights)
    np.testing.assert_allclose(
        found.pop("terms"), oracle(name, arrays, x, label, noise), rtol=2e-4, atol=1e-5
    )
    rng = np.random.default_rng(3)
    for key, gradient in found.items():
        direction = rng.standard_normal(gradient.shape)
        sides = []
        for sign in (1, -1):
            moved = {**arrays, key: arrays[key] + sign * 1e-6 * direction}
            sides.append(np.dot(weights, oracle(name, moved, x, label, noise).sum(1)))
        expected = (sides[0] - sides[1]) / 2e-6
        size = np.abs(gradient * direction).sum()
        assert abs((gradient * direction).sum() - expected) < 2e-3 * size + 1e-4, key


def reached(found: Arrays) -> List[str]:
    return sorted(
        name for name, gradient in found.items() if name != "terms" and np.abs(gradient).max() > 1e-7
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_what_each_term_reaches(name: str) -> None:
    net, (x, label) = built(name), data(name)
    fix_noise(net, len(x))
    learned = [key for key, p in named_parameters(net).items() if p.grad_req != "null"]
    encoder = [key for key in learned if key.startswith("encoder")]
    decoder = [key for key in learned if key.startswith("decoder")]
    assert encoder and decoder and len(encoder) + len(decoder) == len(learned)
    objective = Objective(net, TERMS)
    assert reached(gradients(objective, x, label, (1, 0))) == sorted(encoder)
    # the shift of the class scores is part of the softmax that the decoder starts from
    assert reached(gradients(objective, x, label, (0, 1))) == sorted(learned)
    assert reached(gradients(objective, x, -np.ones_like(label), (1, 0))) == []


def test_a_gamma_model_has_no_decoder_below_the_top() -> None:
    assert [key for key in named_parameters(built("gamma")) if key.startswith("decoder")] == [
        "decoder.0.combinator.mean", "decoder.0.combinator.slope",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_without_noise_a_perfect_combinator_has_no_cost(name: str) -> None:
    """It gives back the pre-activations: slope their deviation, and mean where this is a fixed point."""
    net, (x, label) = built(name), data(name)
    with autograd.train_mode():
        clean = net._clean_pass(mx.nd.array(x.reshape(len(x), -1) if name == "dense" else x))
    for step, decoder in enumerate(net.decoder):
        place = len(net.encoder) - step
        mean, std = statistics(clean.values[place].asnumpy()) if place else (np.zeros(1), np.ones(1))
        a = np.zeros((2, *decoder.combinator.mean.shape))
        a[0, 4] = mean.ravel() / (1 - std.ravel()) if place else 0
        a[1, 4] = std.ravel()
        for parameter, values in zip((decoder.combinator.mean, decoder.combinator.slope), a):
            parameter.set_data(mx.nd.array(values))
    with autograd.train_mode():
        cost = Objective(net, TERMS)(mx.nd.array(x), mx.nd.array(label)).terms.asnumpy()[1]
    assert (cost < 1e-8).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_hybrid_is_eager(name: str) -> None:
    """Terms, gradients and running statistics of training; predictions, before and after."""
    outcomes = []
    for hybridise in (False, True):
        net, (x, label) = built(name), data(name)
        objective = Objective(net, TERMS)
        if hybridise:
            objective.hybridize(static_alloc=True, static_shape=True)
            net.hybridize(static_alloc=True, static_shape=True)
        before = net(mx.nd.array(x)).logits.asnumpy()
        found = gradients(objective, x, label, (1, 1))
        evaluated = objective(mx.nd.array(x), mx.nd.array(label)).terms.asnumpy()
        after = net(mx.nd.array(x)).logits.asnumpy()
        outcomes.append({**found, **arrays_of(net), "before": before, "after": after, "evaluated": evaluated})
    for key, value in outcomes[0].items():
        scale = np.abs(value).max()
        np.testing.assert_allclose(outcomes[1][key], value, rtol=1e-4, atol=1e-4 * scale + 1e-7, err_msg=key)
    assert np.abs(outcomes[0]["before"] - outcomes[0]["after"]).max() > 1e-3


@pytest.mark.parametrize("terms", [TERMS, ("cross_entropy",)])
@pytest.mark.parametrize("hybridise", [False, True])
def test_only_the_clean_pass_moves_running_statistics(terms: Sequence[str], hybridise: bool) -> None:
    """Once a step, also where the decoder's cost is not asked for, and not by the noisy values."""
    net, (x, label) = built("convolution", noise=2.0), data("convolution")
    objective, before = Objective(net, terms), arrays_of(net)
    if hybridise:
        objective.hybridize(static_alloc=True, static_shape=True)
    with autograd.train_mode():
        clean = net._clean_pass(mx.nd.array(x))
    gradients(objective, x, label, [1] * len(terms))
    after = arrays_of(net)
    for place in range(len(net.encoder)):
        values, key = clean.values[place + 1].asnumpy(), f"encoder.{place}.clean.running_mean"
        mean = values.mean((0, 2, 3) if values.ndim == 4 else 0)
        np.testing.assert_allclose(
            after[key], 0.9 * before[key] + 0.1 * mean, rtol=1e-4, atol=1e-5, err_msg=key
        )
    assert sum("running" in key for key in after) == 2 * len(net.encoder)


def test_training_sees_noise_and_prediction_none() -> None:
    net, (x, label) = built("dense", noise=0.3), data("dense")
    assert net.stochastic and not built("dense").stochastic
    arguments = (mx.nd, mx.nd.array(x), mx.nd.array(label))
    with autograd.train_mode():
        noisy = [net.joint(*arguments).logits[0].asnumpy() for _ in range(2)]
        clean = [net(mx.nd.array(x)).logits.asnumpy() for _ in range(2)]
    assert np.abs(noisy[0] - noisy[1]).max() > 1e-3
    np.testing.assert_array_equal(clean[0], clean[1])
    calm = [net.joint(*arguments).logits[0].asnumpy() for _ in range(2)]
    np.testing.assert_array_equal(calm[0], calm[1])


def test_a_pass_without_the_cost_runs_no_decoder() -> None:
    net, (x, label) = built("dense"), data("dense")
    assert net.joint(mx.nd, mx.nd.array(x), mx.nd.array(label), render=False).denoising is None
    symbol = Objective(net, ["cross_entropy"]).symbol()
    assert not [name for name in symbol.list_arguments() if "decoder" in name]
    symbol = Objective(net, TERMS).symbol()
    assert [name for name in symbol.list_arguments() if "decoder" in name]


@pytest.mark.parametrize(
    ("name", "shape", "weights"),
    [
        ("ladder_digits", (1, 8, 8), None),
        ("ladder_mnist_dense", (1, 28, 28), [1000, 10, 0.1, 0.1, 0.1, 0.1, 0.1]),
        ("ladder_conv_small", (1, 28, 28), [0] * 9 + [1]),
        ("ladder_conv_large", (3, 32, 32), [0] * 12 + [4]),
        ("ladder_conv_large", (1, 28, 28), [0] * 12 + [4]),
    ],
)
def test_registered_networks(name: str, shape: Tuple[int, int, int], weights: Optional[List[float]]) -> None:
    net = get_model(name, 10, shape, render=False)
    net.initialize()
    assert isinstance(net, LadderNetwork) and net.noise._deviation == 0.3
    assert weights is None or list(net.weights) == weights
    assert net(mx.nd.zeros((2, *shape))).logits.shape == (2, 10)
    # the authors' programs learn the scale of the scores but on CIFAR-10, and no other
    scaled = [
        key for key, p in named_parameters(net).items() if key.endswith("gamma") and p.grad_req != "null"
    ]
    top = f"encoder.{len(net.encoder) - 1}.clean.gamma"
    assert scaled == ([] if name == "ladder_conv_large" else [top])


BAD: List[Tuple[Dict[str, Any], str]] = [
    (
        dict(denoising=[1.0]),
        "model.denoising: 1 weights, but the network has 6 layers above the image; give 7",
    ),
    (dict(denoising=[0.0] * 7), "model.denoising: all are 0; leave it out"),
    (dict(denoising=[-1.0] * 7), "model.denoising.0: must be at least 0"),
    (dict(denoising=[float("nan")] * 7), "model.denoising.0: must be a finite number"),
    (dict(noise=-0.5), "model.noise: must be at least 0"),
    (dict(dropout=0.5), "model.dropout: 0.5, but a Ladder network has model.noise"),
    (dict(maxmin=True), "model.maxmin: ladder_digits has no such option"),
    (dict(render=True), "model.render: ladder_digits does not render"),
    (dict(channels=[3]), "model.channels: ladder_digits has no such option"),
    (dict(input_shape=(1, 1, 8)), "a max-pooling layer needs larger images than 1x8"),
    (dict(name="digits_cnn", denoising=[1.0]), "model.denoising: digits_cnn has no decoder"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[str(change) for change, _ in BAD])
def test_mistakes(change: Dict[str, Any], message: str) -> None:
    settings = {"name": "ladder_digits", "classes": 10, "input_shape": (1, 8, 8), "render": False, **change}
    with pytest.raises(ModelError, match=message) as error:
        get_model(**settings)
    assert len(str(error.value)) <= 240


def test_layers_that_do_not_fit() -> None:
    options = NRMOptions(render=False, path_norm="none", render_norm="none")
    with pytest.raises(ModelError, match="needs feature maps, not 5 units"):
        LadderNetwork([dense(5), max_pooling()], 5, (1, 4, 4), options, [1, 0, 0])
    with pytest.raises(ModelError, match="the last layer of a Ladder network gives 4, not 3 class scores"):
        LadderNetwork([dense(4)], 3, (1, 4, 4), options, [1, 0])


def test_a_run_and_its_export(tmp_path: Path) -> None:
    """Three steps; the exported symbol predicts what the clean pass does, without the decoder."""
    run = fit_without_pictures(recipe(LADDER, "train.epochs=1"), root=tmp_path / "runs")
    assert run.metrics["loss/denoising"][-1] > 0
    manifest = export_run(run.path, tmp_path / "out", FORMATS)
    symbol, params = check_files(tmp_path / "out", manifest, "symbol", "params")
    x = data("ladder_digits", 5)[0]
    found = run_once((symbol, params), x)[0]
    np.testing.assert_allclose(found, run.network(mx.nd.array(x)).logits.asnumpy(), rtol=1e-4, atol=1e-5)
    text = symbol.read_text(encoding="utf-8")
    assert "decoder" not in text and "BatchNorm" in text
