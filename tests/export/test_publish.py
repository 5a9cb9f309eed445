"""Publication of a run as a pretrained network: what is written, equal predictions, refusals."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Optional

import mxnet as mx
import numpy as np
import pytest
from PIL import Image
from short_runs import FULL, SUPERVISED, fit_without_pictures, newest, recipe
from spoil import edit, remove

from gluon_nrm import classify, get_model, list_models, open_classifier
from gluon_nrm.cli import evaluate as evaluate_command
from gluon_nrm.data import load_dataset
from gluon_nrm.errors import DeployError
from gluon_nrm.export import publish as publish_module
from gluon_nrm.export.export_run import export_run
from gluon_nrm.export.publish import publish
from gluon_nrm.predict.manifest import read_manifest
from gluon_nrm.pretrained import names
from gluon_nrm.runs.run import Run
from gluon_nrm.training.weights_file import read_weights

COMMIT = "0123456789" * 4
NAME = "digits_short_20"
DIGITS = load_dataset("digits")


def set_env(folder: Path, **values: Any) -> None:
    path = folder / "env.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a teacher and two branches, of a commit without changes, that went to the last epoch."""
    root = tmp_path_factory.mktemp("publish")
    run = fit_without_pictures(recipe(FULL, "data.validation=0", "train.epochs=1"), root=root)
    set_env(run.path, commit=COMMIT, uncommitted_changes=False)
    return run.path


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "networks"
    folder.mkdir()
    monkeypatch.setattr(names, "NETWORKS", folder)
    return folder


def test_a_published_run_is_the_run(
    trained: Path, networks: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: Any
) -> None:
    found = publish(trained, NAME)
    run = Run(trained)
    data = (networks / f"{NAME}.params").read_bytes()
    assert json.loads((networks / f"{NAME}.json").read_text(encoding="utf-8"))["params"] == {
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
    }
    assert (found.network, found.labels, found.commit, found.epochs) == ("teacher", 20, COMMIT, 1)
    assert (found.test_error.per_cent, found.test_error.images) == (run.error, 500)
    assert (found.data.data_dir, found.data.path, found.settings["data"]["path"]) == ("", None, None)
    teacher, stored = newest(run).arrays["teacher"], mx.nd.load(str(networks / f"{NAME}.params"))
    assert set(teacher) == set(stored)
    assert all(np.array_equal(teacher[key], stored[key].asnumpy()) for key in teacher)
    # by name in Python
    assert list_models(pretrained=True) == [NAME]
    pixels = np.asarray(DIGITS.test.images[:6])
    images = mx.nd.array(DIGITS.normalise(pixels))
    net = get_model("digits_cnn", pretrained="digits")
    logits = run.network(images).logits.asnumpy()
    np.testing.assert_allclose(net(images).logits.asnumpy(), logits, rtol=1e-5, atol=1e-6)
    classes = open_classifier(NAME).predict(pixels.astype(np.float32)).probabilities.argmax(axis=1)
    assert classes.tolist() == logits.argmax(axis=1).tolist()
    files = []
    for place, image in enumerate(pixels):
        files.append(tmp_path / f"{place}.png")
        Image.fromarray(np.uint8(np.round(image[0] * 255 / 16))).save(files[-1])
    guesses = classify(NAME, files, top=1)
    assert [each.file for each in guesses] == files
    assert [each.top[0].index for each in guesses] == classes.tolist()
    assert classify(NAME, files[0])[0].top[0] == classify(NAME, str(files[0]), top=3)[0].top[0]
    # by the commands
    assert evaluate_command.main([NAME, "--devices", "cpu"]) == 0
    said = capsys.readouterr().out
    assert f"teacher  error {run.error:.2f} % (" in said and f"published: {run.error:.2f} %" in said
    assert found.params.sha256[:16] in said
    export_run(NAME, tmp_path / "exported")
    manifest = read_manifest(tmp_path / "exported")
    assert (manifest.source.commit, manifest.source.labels, manifest.network) == (COMMIT, 20, "teacher")
    assert manifest.test_error is not None and manifest.test_error.error == run.error
    # as the start of another training
    weights = read_weights(recipe(FULL, f"model.weights={NAME}"))
    assert weights.source == f"pretrained {NAME}"
    assert all(np.array_equal(teacher[key], weights.arrays[key]) for key in teacher)
    # once only
    with pytest.raises(DeployError, match=r"is there already; give another --name"):
        publish(trained, NAME)


def later(folder: Path) -> None:
    set_env(folder, resumed=[{"uncommitted_changes": True}])


def wrong_error(folder: Path) -> None:
    row = json.loads((folder / "metrics.jsonl").read_text(encoding="utf-8"))
    (folder / "metrics.jsonl").write_text(json.dumps({**row, "error/teacher": 0.5}) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "name", "said"),
    [
        (remove("FINISHED.json"), NAME, "is not finished: 1 epochs of 1; .*then publish it"),
        (edit("recipe.yaml", "validation: 0", "validation: 50"), NAME, "evaluated on validation images"),
        (lambda folder: set_env(folder, uncommitted_changes=True), NAME, "not committed; commit, and train"),
        (later, NAME, "not committed"),
        (lambda folder: set_env(folder, commit=None), NAME, "names no commit; train"),
        (edit("recipe.yaml", "split_file: null", "split_file: mine.txt"), NAME, "split_file names a file"),
        (remove("data.json"), NAME, "without facts of its data"),
        (wrong_error, NAME, r"an error of \d+\.\d\d % .* its last epoch says 0\.5"),
        (lambda folder: None, "Mine!", "give DATA_METHOD_LABELS in small letters and digits"),
        (lambda folder: None, "mnist_short_20", "give DATA_METHOD_LABELS"),
        (lambda folder: None, "digits_cnn", "a network is called so"),
        (lambda folder: None, None, "--name short_20: give DATA_METHOD_LABELS"),
    ],
)  # fmt: skip
def test_what_is_not_published(
    spoil: Callable[[Path], Any],
    name: Optional[str],
    said: str,
    trained: Path,
    networks: Path,
    tmp_path: Path,
) -> None:
    shutil.copytree(trained, tmp_path / "run")
    spoil(tmp_path / "run")
    with pytest.raises(DeployError, match=said):
        publish(tmp_path / "run", name)
    assert not list(networks.iterdir())


def test_parameters_that_are_too_large(trained: Path, networks: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(publish_module, "LARGEST", 100)
    with pytest.raises(DeployError, match="bytes, and 100 are allowed"):
        publish(trained, NAME)


def test_the_command_and_its_default_name(
    trained: Path, networks: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    shutil.copytree(trained, tmp_path / "run")
    edit("recipe.yaml", "name: short", "name: digits_short")(tmp_path / "run")
    assert publish_module.main([str(tmp_path / "run")]) == 0
    assert sorted(path.name for path in networks.iterdir()) == [f"{NAME}.json", f"{NAME}.params"]
    assert f"{NAME}.params" in capsys.readouterr().err


def test_all_labels_need_no_number() -> None:
    every = recipe(SUPERVISED, "data.labels=null")
    assert publish_module._default_name(replace(every, name="digits_x_all"), 1297) == "digits_x_all"
