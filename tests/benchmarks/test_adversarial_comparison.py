"""The comparison of generated images: what each kind of run generates, its file and its table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import List

import mxnet as mx
import numpy as np
import pytest
import short_runs

from benchmarks.adversarial import compare, generated
from benchmarks.adversarial.generated import GeneratedImages
from benchmarks.comparison import read_lines, write_lines
from gluon_nrm.errors import ModelError
from gluon_nrm.report.generated_quality import Judge
from gluon_nrm.training.restore import Restored, restore


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Restored:
    run = short_runs.fit_without_pictures(
        short_runs.recipe(short_runs.SUPERVISED, "train.epochs=1"), root=tmp_path_factory.mktemp("runs")
    )
    return restore(run.path, devices="cpu")


def test_reconstructions_are_of_the_predicted_class(restored: Restored) -> None:
    """Of a pass over the first images by themselves; all test images are there, in their order."""
    found, dataset = generated.reconstructions(restored), restored.parts.dataset
    images = mx.nd.array(dataset.normalise(dataset.test.images))
    scores = restored.network(images).logits.asnumpy()
    assert found.classes is not None and (found.classes == scores.argmax(axis=1)).all()
    joint = restored.network.joint(mx.nd, images[:7], mx.nd.array(found.classes[:7]))
    np.testing.assert_allclose(found.images[:7], joint.images[0].asnumpy(), rtol=1e-4, atol=1e-5)
    assert found.images.shape == images.shape


def test_draws_are_of_every_class(restored: Restored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generated, "BURN_IN", 1)
    found = generated.prior_draws(restored, 25, seed=0)
    assert found.classes is not None and list(found.classes) == sorted([*range(10)] * 2)
    assert found.images.shape == (20, 1, 8, 8) and np.isfinite(found.images).all()
    other = generated.prior_draws(restored, 25, seed=1)
    assert (other.images != found.images).any()


def test_training_images_are_chosen_once(restored: Restored) -> None:
    dataset = restored.parts.dataset
    found = generated.training_images(restored, dataset.training_images, 0)
    whole = dataset.normalise(dataset.train.images)
    assert found.classes is not None
    assert sorted(map(bytes, found.images)) == sorted(map(bytes, whole))
    assert sorted(found.classes) == sorted(dataset.train.labels)


def test_the_trained_generator_is_restored(tmp_path: Path) -> None:
    """Of the checkpoint, not a new one: its parameters, and images that the seed determines."""
    recipe = short_runs.recipe(short_runs.COMPANIONS["improved_gan"], "train.epochs=1")
    run = restore(short_runs.fit_without_pictures(recipe, root=tmp_path).path, devices="cpu")
    saved = short_runs.newest(run.run).arrays["generator"]
    for name, found in short_runs.values(run.parts.saved["generator"]).items():
        np.testing.assert_array_equal(found[0], saved[name])
    images, classes = generated.generated_images(run, 6, 0)
    assert images.shape == (6, 1, 8, 8) and classes is None
    assert (generated.generated_images(run, 6, 1).images != images).any()
    fresh = short_runs.built(short_runs.COMPANIONS["improved_gan"]).companion
    assert fresh is not None and (fresh.generate(6, 0) != images).any()


def test_a_run_without_a_generator(restored: Restored) -> None:
    with pytest.raises(ModelError, match="short-s0: its adversarial.method has no generator"):
        generated.generated_images(restored, 4, 0)


def test_a_column_of_the_picture() -> None:
    """One image of each class, in order; in place of a class that is missing, the image of that number."""
    images = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1)
    found = compare.picture(GeneratedImages(images, np.array([2, 0, 2, 1])), 4)
    assert list(found.ravel()) == [1, 3, 0, 3]
    assert list(compare.picture(GeneratedImages(images), 3).ravel()) == [0, 1, 2]


def test_lines_and_table(restored: Restored, tmp_path: Path) -> None:
    """Means and sample deviations by hand; a cell is empty where nothing is known."""
    lines = [
        compare.Line("ALI", "generator", 50, 0, 4.0, 297, 80.0, None, 1.5),
        compare.Line("ALI", "generator", 50, 1, 6.0, 297, 90.0, None, 2.5),
        compare.Line("training images", "data", 50, 0, None, 297, 99.0, 100.0, 0.25),
    ]
    assert compare.table(lines).splitlines()[2:] == [
        "| ALI | generator | 50 | 2 | 5.00 ± 1.41 | 85.0 ± 7.1 |  | 2.00 ± 0.71 |",
        "| training images | data | 50 | 1 |  | 99.0 ± 0.0 | 100.0 ± 0.0 | 0.25 ± 0.00 |",
    ]
    write_lines(tmp_path / "lines.csv", compare.Line, lines)
    assert read_lines(tmp_path / "lines.csv", compare.Line) == lines
    images = generated.training_images(restored, 50, 0)
    line = compare.measure(("a", "data", 50, 0), images, Judge(restored), None)
    assert line.images == 50 and line.recognised is not None and line.distance > 0


def test_an_interrupted_comparison_goes_on(
    restored: Restored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines of later seeds that are there are not measured again; the picture's seed is."""
    trained: List[int] = []

    def train(recipe: str, labels: int, seed: int, runs: Path) -> Path:
        trained.append(seed)
        return restored.run.path

    method = compare.Method("any", {"own paths": compare.NRM["own paths"]}, 2, "any")
    monkeypatch.setattr(compare, "METHODS", {"any": method})
    monkeypatch.setattr(compare, "train", train)
    monkeypatch.setattr(compare, "restore", lambda path, devices: restored)
    monkeypatch.setattr(compare, "train_judge", lambda runs: restored)
    given = argparse.Namespace(
        labels=50, csv=tmp_path / "l.csv", picture=tmp_path / "p.png", runs=tmp_path, judge=tmp_path
    )
    first = compare.compare(given)
    assert [line[:4] for line in first] == [
        ("training images", "data", 50, 0), ("any", "own paths", 50, 0), ("any", "own paths", 50, 1),
    ]  # fmt: skip
    assert compare.compare(given) == first == read_lines(given.csv, compare.Line)
    assert trained == [0, 1, 0] and given.picture.exists()
