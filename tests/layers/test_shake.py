"""Shake-Shake's gates: their statistics, their gradient, training and evaluation, eager and traced."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import NamedTuple, Tuple

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from oracle import some

from gluon_nrm.errors import ModelError
from gluon_nrm.layers.shake_shake import ShakeShake

FORMS = ["eager", "traced"]


def build(form: str, *arguments: str) -> ShakeShake:
    block = ShakeShake(*arguments)
    if form == "traced":
        block.hybridize(static_alloc=True, static_shape=True)
    return block


class Gates(NamedTuple):
    """What a training call used, read off branches of ones and zeros; one row an image."""

    forward: np.ndarray  # (B, C, H, W), the output
    first: np.ndarray  # gradients of the branches
    second: np.ndarray


def gates(block: ShakeShake, batch: int = 6) -> Gates:
    one, zero = mx.nd.ones((batch, 2, 3, 4)), mx.nd.zeros((batch, 2, 3, 4))
    one.attach_grad()
    zero.attach_grad()
    with autograd.record():
        mixed = block(one, zero)
    mixed.backward()
    return Gates(mixed.asnumpy(), one.grad.asnumpy(), zero.grad.asnumpy())


def per_image(values: np.ndarray) -> np.ndarray:
    """The one value of every image."""
    flat = values.reshape(len(values), -1)
    assert (flat == flat[:, :1]).all()
    return flat[:, 0]


@pytest.mark.parametrize("form", FORMS)
def test_gates_of_images_are_uniform_and_independent(form: str) -> None:
    block = build(form)
    calls = [gates(block, 500) for _ in range(8)]
    forward = np.concatenate([per_image(call.forward) for call in calls])
    backward = np.concatenate([per_image(call.first) for call in calls])
    for values in (forward, backward):
        # of 4000 uniform numbers: 5 standard errors of the mean and of the histogram's tenths
        assert abs(values.mean() - 0.5) < 5 * np.sqrt(1 / 12 / 4000)
        counts, _ = np.histogram(values, bins=10, range=(0, 1))
        assert counts.sum() == 4000
        assert np.abs(counts - 400).max() < 5 * np.sqrt(400)
    assert abs(np.corrcoef(forward, backward)[0, 1]) < 5 / np.sqrt(4000)
    assert len(np.unique(forward)) > 3900  # every image and every call has its own


@pytest.mark.parametrize("form", FORMS)
def test_gates_of_a_batch_are_shared_and_fresh(form: str) -> None:
    block = build(form, "shake", "shake", "batch")
    calls = [gates(block, 3) for _ in range(200)]
    pairs = np.array([[per_image(call.forward), per_image(call.first)] for call in calls])
    assert (pairs == pairs[:, :, :1]).all()
    forward, backward = pairs[:, 0, 0], pairs[:, 1, 0]
    assert len(np.unique(forward)) == len(np.unique(backward)) == 200
    assert abs(forward.mean() - 0.5) < 5 * np.sqrt(1 / 12 / 200)
    assert forward.min() < 0.1
    assert forward.max() > 0.9
    assert abs(np.corrcoef(forward, backward)[0, 1]) < 5 / np.sqrt(200)


@pytest.mark.parametrize("level", ["image", "batch"])
@pytest.mark.parametrize("form", FORMS)
def test_the_gradient_is_that_of_the_backward_gate(form: str, level: str) -> None:
    """Of any branches and cotangents: g_b and 1 - g_b, while the output has g_f."""
    block = build(form, "shake", "shake", level)
    arrays = [mx.nd.array(some(seed, 5, 2, 3, 4)) for seed in (1, 2, 3)]
    x1, x2, cotangent = arrays
    x1.attach_grad()
    x2.attach_grad()
    with autograd.record():
        mixed = block(x1, x2)
    mixed.backward(cotangent)
    x1_, x2_, y = x1.asnumpy(), x2.asnumpy(), mixed.asnumpy()
    backward = x1.grad.asnumpy() / cotangent.asnumpy()
    gate = backward.reshape(5, -1).mean(axis=1).reshape(5, 1, 1, 1)
    np.testing.assert_allclose(x1.grad.asnumpy(), gate * cotangent.asnumpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(x2.grad.asnumpy(), (1 - gate) * cotangent.asnumpy(), rtol=1e-5, atol=1e-6)
    forward = ((y - x2_) * (x1_ - x2_)).sum((1, 2, 3)) / ((x1_ - x2_) ** 2).sum((1, 2, 3))
    assert ((forward > 0) & (forward < 1)).all()
    assert np.abs(forward - gate.ravel()).min() > 1e-4
    forward = forward.reshape(5, 1, 1, 1)
    np.testing.assert_allclose(y, forward * x1_ + (1 - forward) * x2_, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_branches_share_the_gradient_exactly(form: str) -> None:
    found = gates(build(form))
    np.testing.assert_array_equal(found.first + found.second, 1)
    assert (per_image(found.first) != per_image(found.forward)).all()


@pytest.mark.parametrize(
    ("passes", "forward_is_even", "backward_is_even"),
    [
        (("shake", "shake"), False, False),
        (("shake", "even"), False, True),
        (("even", "shake"), True, False),
        (("even", "even"), True, True),
    ],
)
@pytest.mark.parametrize("level", ["image", "batch"])
@pytest.mark.parametrize("form", FORMS)
def test_passes_that_are_even(
    form: str, level: str, passes: Tuple[str, str], forward_is_even: bool, backward_is_even: bool
) -> None:
    found = gates(build(form, *passes, level))
    assert (found.forward == 0.5).all() == forward_is_even
    assert (found.first == 0.5).all() == (found.second == 0.5).all() == backward_is_even


@pytest.mark.parametrize("passes", list(itertools.product(("shake", "even"), repeat=2)))
@pytest.mark.parametrize("train_first", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_evaluation_takes_the_mean_whatever_was_called_first(
    form: str, train_first: bool, passes: Tuple[str, str]
) -> None:
    block = build(form, *passes)
    x1, x2 = some(1, 5, 2, 3, 4), some(2, 5, 2, 3, 4)
    for train in (train_first, not train_first, train_first):
        with autograd.record(train_mode=train):
            y = block(mx.nd.array(x1), mx.nd.array(x2)).asnumpy()
        is_mean = np.allclose(y, (x1 + x2) / 2, rtol=1e-5, atol=1e-6)
        assert is_mean == (not train or passes[0] == "even")


def test_evaluation_has_the_gradient_of_the_mean() -> None:
    block = build("traced")
    x = [mx.nd.array(some(seed, 5, 2, 3, 4)) for seed in (1, 2)]
    for each in x:
        each.attach_grad()
    with autograd.record(train_mode=False):
        y = block(*x)
    y.backward()
    assert all((each.grad.asnumpy() == 0.5).all() for each in x)


def test_another_batch_size_has_gates_of_its_own() -> None:
    block = build("traced")
    assert [len(np.unique(gates(block, batch).forward)) for batch in (6, 9, 6)] == [6, 9, 6]


def test_an_exported_block_still_shakes(tmp_path: Path) -> None:
    block = build("traced")
    branches = mx.nd.ones((2, 1, 2, 2)), mx.nd.zeros((2, 1, 2, 2))
    before = block(*branches).asnumpy()
    block.export(str(tmp_path / "shake"), epoch=0)
    loaded = mx.gluon.SymbolBlock.imports(str(tmp_path / "shake-symbol.json"), ["data0", "data1"])
    loaded.hybridize()
    np.testing.assert_array_equal(loaded(*branches).asnumpy(), before)
    found = gates(loaded, 6)
    assert len(np.unique(found.forward)) == len(np.unique(found.first)) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("shaken",), "forward: 'shaken' is not a choice; give one of shake, even"),
        (("shake", "keep"), "backward: 'keep'"),
        (("shake", "even", "pixel"), "level: 'pixel' is not a choice; give one of image, batch"),
    ],
)
def test_mistakes(arguments: Tuple[str, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ShakeShake(*arguments)
