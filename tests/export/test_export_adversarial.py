"""Runs of the adversarial methods' classifiers: evaluated, exported and predicted with as any other."""

from __future__ import annotations

from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from short_runs import SUPERVISED, fit_without_pictures, recipe

from gluon_nrm import open_classifier
from gluon_nrm.data import load_dataset
from gluon_nrm.export.export_run import export_run
from gluon_nrm.training.evaluate_run import evaluate_run
from gluon_nrm.training.restore import restore

PLAIN = SUPERVISED.replace("channels: [4, pool, 4], path_norm: none", "render: false, path_norm: none")


@pytest.mark.parametrize("name", ["gan_digits", "ali_digits"])
def test_a_run_is_evaluated_exported_and_predicted_with(name: str, tmp_path: Path) -> None:
    text = PLAIN.replace("digits_cnn", name)
    fit_without_pictures(recipe(text, "train.epochs=1", "train.epoch_steps=1"), root=tmp_path)
    run = tmp_path / "short-s0"
    export_run(run, tmp_path / "export", ("symbol",))
    digits = load_dataset("digits")
    images = digits.test.images[:7]
    scores = restore(run).network(mx.nd.array(digits.normalise(images))).logits
    expected = mx.nd.softmax(scores).asnumpy()
    for path in (run, tmp_path / "export"):
        found = open_classifier(path).predict(np.asarray(images, np.float32))
        np.testing.assert_allclose(found.probabilities, expected, rtol=1e-3, atol=1e-5)
    evaluation = evaluate_run(run)
    assert evaluation.counts.sum() == evaluation.images and set(evaluation.errors) == {"student"}
