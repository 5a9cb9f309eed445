"""Runs with unlabelled images: resumed bit for bit, refused after a change, used without their data."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import mxnet as mx
import numpy as np
import pytest
from picture_files import class_folders, encoded, pixels
from short_runs import differences, newest, no_pictures, trainer_of

from gluon_nrm.cli import render
from gluon_nrm.data import Dataset, ImageSet, register_dataset
from gluon_nrm.data.facts.stored_dataset import StoredDataset
from gluon_nrm.errors import ChangedData, DataError, RunError
from gluon_nrm.optimisation.schedules import loss_weights
from gluon_nrm.predict.open_classifier import open_classifier
from gluon_nrm.predict.predict_images import predict
from gluon_nrm.predict.predict_options import PredictOptions
from gluon_nrm.recipe import Recipe, recipe_from_text
from gluon_nrm.runs.facts_file import facts_text, read_facts
from gluon_nrm.runs.run_data import data_of_run, new_data, with_facts
from gluon_nrm.runs.run_folder import RunFolder
from gluon_nrm.training import fit as fit_module
from gluon_nrm.training.assemble import assemble
from gluon_nrm.training.evaluate_run import evaluate_run
from gluon_nrm.training.fit import fit

TEXT = """\
data: {name: folder, path: m, shift: 1}
model: {name: digits_cnn, channels: [4, pool, 4], maxmin: true}
loss: {weights: {cross_entropy: 1, entropy: 0.1, consistency: 1}}
teacher: {enabled: true, method: temporal_ensembling}
optimiser: {phases: [{name: adam, lr: 1e-2}]}
train: {epochs: 2, epoch_steps: 2, batch_labelled: 4, batch_unlabelled: 6}
"""


def recipe(*overrides: str) -> Recipe:
    return recipe_from_text(TEXT, "short.yaml", list(overrides))


def train(*overrides: str, said: Any = None, **settings: Any) -> RunFolder:
    with pytest.MonkeyPatch.context() as patch:
        no_pictures(patch)
        patch.setattr(fit_module, "evaluate_at_the_end", lambda *_: [])
        patch.setattr(fit_module, "describe_environment", dict)
        return fit(recipe(*overrides), stream=said or io.StringIO(), devices="cpu", **settings)


def data(folder: Path, unlabelled: str = "unlabelled") -> None:
    class_folders(folder / "labelled", {"ant": 5, "bee": 2}, height=12, width=12)
    class_folders(folder / "test", {"ant": 2, "bee": 3}, 60, height=12, width=12)
    for number in range(7):
        another(folder / unlabelled / f"{number}.png", 100 + number)


def another(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(pixels(12, 12, seed)))


def test_a_run_from_start_to_prediction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uneven classes and all labels: trained, stopped, resumed after renaming, predicted without its data."""
    monkeypatch.chdir(tmp_path)
    data(tmp_path / "m")
    another(tmp_path / "m/unlabelled/sub/test image.png", 61)
    (tmp_path / "m/labelled/ant/phone.HEIC").write_bytes(b"x")
    said = io.StringIO()
    whole = train(root="whole", said=said)
    facts = whole.facts()
    assert facts is not None and facts.unlabelled is not None and facts.labelled is None
    assert (facts.train.per_class, facts.unlabelled.images, facts.unlabelled.place) == (
        [5, 2],
        8,
        "unlabelled",
    )
    assert facts.unlabelled.test_images == 1
    log = whole.log_path.read_text()
    for line in (
        "7 labelled, 8 unlabelled",
        "train    ant 5, bee 2",
        "test     ant 2, bee 3",
        "1 of 8 unlabelled images are test images",
        "phone.HEIC (Pillow does not read .heic: convert it to JPEG or PNG)",
    ):
        assert said.getvalue().count(line) == 1 and log.count(line) == 1, line
    train("train.epochs=1", root="parts")
    (tmp_path / "m/unlabelled").rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/0.png").rename(tmp_path / "elsewhere/z.png")
    shutil.move(str(tmp_path / "elsewhere"), str(tmp_path / "m/unlabelled/a b"))
    parts = train(root="parts")
    found, expected = newest(parts), newest(whole)
    assert found.arrays.keys() == expected.arrays.keys() and "targets" in found.arrays
    assert found.arrays["targets"]["average"].shape[0] == 7 + 8
    for name, arrays in expected.arrays.items():
        assert not differences(dict(found.arrays[name]), dict(arrays)), name
    shutil.rmtree(tmp_path / "m/unlabelled")
    assert evaluate_run(whole.path, devices="cpu") is not None
    shutil.rmtree(tmp_path / "m")
    another(tmp_path / "photo.png", 5)
    classifier = open_classifier(whole.path, PredictOptions(devices="cpu"))
    assert list(classifier.class_names) == ["ant", "bee"]
    (prediction,) = predict(classifier, [tmp_path / "photo.png"], top=2)
    assert {guess.name for guess in prediction.top} == {"ant", "bee"}
    assert render.main([str(whole.path), "photo.png", "--devices", "cpu", "--out", "seen.png"]) == 0
    assert (tmp_path / "seen.png").is_file()
    with pytest.raises(DataError, match="test images of the run are no longer there; .*or draw image"):
        render.main([str(whole.path), "--devices", "cpu"])
    with pytest.raises(SystemExit):
        render.main([str(whole.path), "photo.png", "--images", "3"])


def test_changed_images_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data(tmp_path / "m", "../u")
    settings = ("data.unlabelled=u", "train.epochs=1")
    train(*settings)
    longer = ("data.unlabelled=u", "train.epochs=2")
    another(tmp_path / "u/0.png", 300)
    with pytest.raises(
        ChangedData, match=r"u: the unlabelled .*: 1 added, 1 removed, the first '0.png';\n.*fresh"
    ):
        train(*longer)
    another(tmp_path / "u/0.png", 100)
    (tmp_path / "u").rename(tmp_path / "v")
    with pytest.raises(Exception, match="u: no such folder or list"):
        train(*longer)
    with pytest.raises(RunError, match="data.unlabelled is .*u in it, null here"):
        train("train.epochs=2")
    run = train("data.unlabelled=v", "train.epochs=2")
    facts = run.facts()
    assert facts is not None and facts.unlabelled is not None
    assert facts.unlabelled.place == str(tmp_path / "v")


def test_facts_with_and_without_unlabelled_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of a run without them is as before; their number and names must fit."""
    monkeypatch.chdir(tmp_path)
    data(tmp_path / "m")
    path = tmp_path / "data.json"
    facts = assemble_facts(recipe())
    path.write_text(facts_text(facts))
    assert '"format": 2' in path.read_text() and read_facts(path) == facts
    path.write_text(path.read_text().replace('"test_images": 0', '"test_images": 9'))
    with pytest.raises(RunError, match="do not match their SHA-256"):
        read_facts(path)
    plain = assemble_facts(
        recipe("train.batch_unlabelled=0", "loss.weights.consistency=0", "teacher.enabled=false")
    )
    path.write_text(facts_text(plain))
    assert '"format": 1' in path.read_text() and '"unlabelled"' not in path.read_text()
    assert read_facts(path) == plain and plain.unlabelled is None


def assemble_facts(which: Recipe) -> Any:
    return with_facts(new_data(which), which).facts


def test_a_data_set_made_in_python_is_trained(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 1, 12, 12), dtype=np.uint8)
    part = ImageSet(images[:10], np.arange(10) % 3 % 2)
    unlabelled = [images[10:]]

    @register_dataset("made_in_python")
    def load(source: Any) -> Dataset:
        constants = np.full(1, 100, np.float32), np.full(1, 50, np.float32)
        return Dataset("made_in_python", ("a", "b"), part, part, *constants, unlabelled=unlabelled[0])

    settings = ("data.name=made_in_python", "data.path=null", "train.epochs=1")
    run = train(*settings, root=tmp_path)
    facts = run.facts()
    assert facts is not None and facts.unlabelled is not None
    assert (facts.unlabelled.images, facts.unlabelled.place) == (20, "")
    stored = data_of_run(run, recipe(*settings)).dataset
    assert isinstance(stored, StoredDataset)
    np.testing.assert_array_equal(np.asarray(stored.unlabelled), images[10:])
    unlabelled[0] = images[11:]
    with pytest.raises(ChangedData, match="there were 20 images, and there are 19"):
        train(*settings[:2], root=tmp_path)


@pytest.mark.parametrize("streamed", [False, True])
def test_several_devices_and_a_stop_in_the_epoch(
    streamed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step is dealt to two devices; the steps after a stop are those of the whole epoch."""
    monkeypatch.chdir(tmp_path)
    data(tmp_path / "m")
    size = ("data.streamed=true", "data.size=12", "data.shift=0") if streamed else ()
    which = recipe("train.epochs=1", *size)
    parts = assemble(which, [mx.cpu(0), mx.cpu(1)], data=new_data(which))
    parts.step(next(iter(parts.streams.epoch(0))), loss_weights(which.loss, 1.0), trainer_of(parts), 1)
    whole, rest = list(parts.streams.epoch(3)), list(parts.streams.epoch(3, first=1))
    assert (len(whole), len(rest)) == (2, 1)
    for first, second in zip(whole[1], rest[0]):
        assert first is not None and second is not None
        assert first.images.tobytes() == second.images.tobytes()
    seen = np.concatenate([step.unlabelled.indices for step in whole if step.unlabelled is not None])
    assert set(seen) == set(range(7, 14))
