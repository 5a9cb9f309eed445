"""The consistency curve of Theorem 4.1: the known model, its images and posterior, distances, both files."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Tuple

import mxnet as mx
import numpy as np
import pytest
from commands import end_of

from benchmarks.theory import consistency
from benchmarks.theory.consistency import Row, Truth
from gluon_nrm.models.interface.parameters import named_parameters
from gluon_nrm.probability import Enumeration, RenderingModel


@pytest.fixture(scope="module")
def truth() -> Truth:
    return consistency.make_truth(fresh=60)


@pytest.fixture(scope="module")
def enumerated(truth: Truth) -> Tuple[np.ndarray, np.ndarray]:
    """By class and path: log probability (3, 125) and rendered image (3, 125, 4)."""
    model = RenderingModel(truth.net, temperature=consistency.TEMPERATURE)
    enumeration = Enumeration(model)
    assert len(enumeration) == 125
    log_class = model.log_class_prior()
    prior = np.stack([log_class[label] + enumeration.log_prior(label) for label in range(3)])
    images = [model.render([label] * 125, enumeration.paths).image.asnumpy() for label in range(3)]
    return prior, np.stack(images).reshape(3, 125, 4)


def test_the_true_posterior_by_definition(truth: Truth, enumerated: Tuple[np.ndarray, np.ndarray]) -> None:
    """Sum over all paths of pi_y pi(z|y) N(x; h(0), sigma^2), normalised over the classes."""
    prior, images = enumerated
    x = truth.fresh.asnumpy().reshape(60, 1, 1, 4)
    noise = -((x - images) ** 2).sum(axis=-1) / (2 * consistency.TEMPERATURE)  # (60, 3, 125)
    joint = np.exp(prior + noise).sum(axis=2)
    np.testing.assert_allclose(truth.posterior, joint / joint.sum(axis=1, keepdims=True), atol=2e-5)


def test_images_are_drawn_from_the_model(truth: Truth, enumerated: Tuple[np.ndarray, np.ndarray]) -> None:
    """Shares of the classes, means of their images, and variance, which sigma^2 is a part of."""
    prior, rendered = enumerated
    images, labels = consistency.draw(truth.net, 20_000, np.random.default_rng(5))
    images = images.reshape(-1, 4)
    for label in range(3):
        weights = np.exp(prior[label])
        assert np.mean(labels == label) == pytest.approx(weights.sum(), abs=0.02)
        own = images[labels == label]
        mean = (weights[:, None] * rendered[label]).sum(axis=0) / weights.sum()
        spread = (weights[:, None] * (rendered[label] - mean) ** 2).sum(axis=0) / weights.sum()
        wanted = spread + consistency.TEMPERATURE
        assert (np.abs(own.mean(axis=0) - mean) < 5 * np.sqrt(wanted / len(own))).all()
        np.testing.assert_allclose(own.var(axis=0), wanted, rtol=0.15)


def test_distances_by_hand(truth: Truth) -> None:
    """The truth is at distance 0 from itself; two classes exchanged, by the definitions."""
    logs = np.log(truth.posterior)
    same = consistency.compare(truth, "exact", 7, 1, lambda _: mx.nd.array(logs))
    assert same[:3] == ("exact", 7, 1) and same[3:] == pytest.approx((0.0, 0.0), abs=1e-5)
    other = consistency.compare(truth, "exact", 7, 1, lambda _: mx.nd.array(logs[:, [1, 0, 2]]))
    difference = truth.posterior[:, 0] - truth.posterior[:, 1]
    assert other.total_variation == pytest.approx(np.abs(difference).mean(), abs=1e-5)
    assert other.divergence == pytest.approx((difference * (logs[:, 0] - logs[:, 1])).mean(), rel=1e-4)


def test_a_start_without_distance_is_the_truth(truth: Truth, monkeypatch: pytest.MonkeyPatch) -> None:
    """The templates of a network hold 1 / sigma^2; without steps the exact posterior is the true one."""
    monkeypatch.setattr(consistency, "AWAY", 0.0)
    known, net = named_parameters(truth.net), consistency.build()
    consistency.start_near(net, truth.net, "network", np.random.default_rng(0))
    for name, parameter in named_parameters(net).items():
        factor = 1 / consistency.TEMPERATURE if name == "classifier.weight" else 1
        np.testing.assert_allclose(
            parameter.data().asnumpy(), factor * known[name].data().asnumpy(), rtol=1e-6
        )
    row = consistency.learn(truth, "exact", 10, 0, steps=0)
    assert row.total_variation == pytest.approx(0.0, abs=1e-5)


def test_learning_comes_closer(truth: Truth) -> None:
    """The exact posterior learns from 400 images what its start does not know."""
    start, end = (consistency.learn(truth, "exact", 400, 0, steps).total_variation for steps in (0, 40))
    assert end < 0.8 * start


def test_the_command_writes_a_table_and_a_figure(
    truth: Truth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consistency, "make_truth", lambda: truth)
    done = end_of(
        consistency.main, "consistency.py", "--seeds", 1, "--images", 20, 40, "--steps", 2, "--out", tmp_path
    )
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "consistency.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["images"]) for row in rows] == [
        ("exact", "20"), ("network", "20"), ("exact", "40"), ("network", "40"),
    ]  # fmt: skip
    assert all(0 < float(row["total_variation"]) < 1 and float(row["divergence"]) > 0 for row in rows)
    table = [f"| 40 | {float(rows[2]['total_variation']):.4f} | {float(rows[3]['total_variation']):.4f} |"]
    assert done.stdout.splitlines()[-1:] == table
    assert (tmp_path / "consistency.png").read_bytes().startswith(b"\x89PNG")


def test_a_summary_by_hand() -> None:
    rows = [Row("exact", 10, seed, value, 0.0) for seed, value in enumerate((0.1, 0.3))]
    lines = consistency.summary([*rows, Row("network", 10, 0, 0.5, 0.0)]).splitlines()
    assert lines[2:] == ["| 10 | 0.2000 ± 0.1414 | 0.5000 |"]


@pytest.mark.parametrize("wrong", [("--seeds", 0), ("--images", 100, 0), ("--steps", -1)])
def test_numbers_below_1_are_refused(wrong: Tuple[object, ...]) -> None:
    done = end_of(consistency.main, "consistency.py", *wrong)
    assert done.returncode == 2 and "take numbers of at least 1" in done.stderr
