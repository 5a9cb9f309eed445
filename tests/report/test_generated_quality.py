"""Quality of generated images by a judge: shares counted by hand, features, and what is refused."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
import short_runs
import tiny
from cnns import SHAPE, residual

from gluon_nrm.errors import ModelError
from gluon_nrm.models import NRMOptions, TracedClassifier
from gluon_nrm.report.frechet_distance import feature_distance
from gluon_nrm.report.generated_quality import FeatureNetwork, Judge, Judged
from gluon_nrm.training.restore import Restored, restore


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Restored:
    run = short_runs.fit_without_pictures(
        short_runs.recipe(short_runs.SUPERVISED, "train.epochs=1"), root=tmp_path_factory.mktemp("runs")
    )
    return restore(run.path, devices="cpu")


@pytest.mark.parametrize("maxmin", [False, True])
def test_features_are_the_mean_of_the_last_convolution(maxmin: bool) -> None:
    net = tiny.build(maxmin=maxmin)
    x = tiny.images(net)
    found = FeatureNetwork(net)(x)
    convolved = net.infer(x)[0].convolved[-1].asnumpy()
    np.testing.assert_allclose(found.features.asnumpy(), convolved.mean(axis=(2, 3)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.logits.asnumpy(), net(x).logits.asnumpy(), rtol=1e-5, atol=1e-6)


def test_scores_take_the_place_of_features_that_a_network_does_not_return() -> None:
    net = TracedClassifier(residual(), 3, SHAPE, NRMOptions(render=False, path_norm="none"))
    net.initialize()
    found = FeatureNetwork(net)(mx.nd.ones((2, *SHAPE)))
    assert (found.features == found.logits).asnumpy().all() and found.features.shape == (2, 3)


def test_features_hybridised() -> None:
    block = FeatureNetwork(tiny.build(maxmin=True))
    x = tiny.images(block.net)
    eager = block(x)
    block.hybridize(static_alloc=True, static_shape=True)
    for ours, theirs in zip(block(x), eager):
        np.testing.assert_allclose(ours.asnumpy(), theirs.asnumpy(), rtol=1e-5, atol=1e-6)


def test_shares_by_hand(restored: Restored, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above 0.9 counts, 0.9 does not; without classes any class does."""
    probabilities = np.array([[0.95, 0.05], [0.9, 0.1], [0.04, 0.96], [0.3, 0.7]])
    judge = Judge(restored)
    features = judge.real.features[:4]
    monkeypatch.setattr(judge, "view", lambda _: Judged(probabilities, features))
    images = np.zeros((4, 1, 8, 8), dtype=np.float32)
    found = judge.measure(images, np.array([0, 0, 0, 1]))
    assert (found.images, found.confident, found.recognised) == (4, 25, 75)
    found = judge.measure(images)
    assert (found.confident, found.recognised) == (50, None)
    assert found.distance == feature_distance(features, judge.real.features)


def test_the_judges_own_test_images(restored: Restored) -> None:
    """They are at no distance from themselves, and recognised as often as the run's own error says."""
    judge, dataset = Judge(restored), restored.parts.dataset
    images = dataset.normalise(dataset.test.images)
    found = judge.measure(images, dataset.test.labels)
    scores = restored.network(mx.nd.array(images)).logits.asnumpy()
    right = 100 * float((scores.argmax(axis=1) == dataset.test.labels).mean())
    assert found.recognised == pytest.approx(right) and found.images == len(images)
    assert found.distance == pytest.approx(0, abs=1e-6)
    assert judge.measure(images + 1).distance > 0.01


def test_images_that_cannot_be_judged(restored: Restored) -> None:
    judge, images = Judge(restored), np.zeros((3, 1, 8, 8), dtype=np.float32)
    with pytest.raises(ModelError, match=r"images: \(3, 1, 4, 8\); the judge takes \(N, 1, 8, 8\)"):
        judge.view(images[:, :, :4])
    with pytest.raises(ModelError, match=r"\(0, 1, 8, 8\).* N above 0"):
        judge.view(images[:0])
    with pytest.raises(ModelError, match=r"classes: \(2,\) for 3 images"):
        judge.measure(images, np.array([0, 1]))
    images[1, 0, 0, 0] = np.inf
    with pytest.raises(ModelError, match="1 of 3 have pixels that are not finite"):
        judge.view(images)
