"""A run keeps the facts of its data; changed files are named, and never change its results in silence."""

from __future__ import annotations

import io
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, List

import numpy as np
import pytest
from picture_files import class_folders, encoded, pixels, record_parts
from PIL import Image
from short_runs import no_pictures

from gluon_nrm.data import DataSource, draw_split, load_dataset
from gluon_nrm.data.facts.facts import describe_data
from gluon_nrm.data.facts.stored_dataset import StoredDataset
from gluon_nrm.data.readers import digits
from gluon_nrm.data.sets import identities
from gluon_nrm.data.sets.identities import Identities
from gluon_nrm.errors import ChangedData, CheckpointError, DataError, RunError
from gluon_nrm.export.export_run import export_run
from gluon_nrm.predict.open_classifier import open_classifier
from gluon_nrm.predict.predict_options import PredictOptions
from gluon_nrm.recipe import Recipe, recipe_from_text
from gluon_nrm.runs.facts_file import facts_text, read_facts
from gluon_nrm.runs.run_data import new_data
from gluon_nrm.runs.run_folder import RunFolder
from gluon_nrm.training import fit as fit_module
from gluon_nrm.training.draw_renderings import render_run
from gluon_nrm.training.evaluate_run import evaluate_run
from gluon_nrm.training.fit import fit
from gluon_nrm.training.restore import restore

TEXT = """\
data: {name: folder, path: m, labels: 6}
model: {name: digits_cnn, channels: [4, pool, 4], maxmin: true}
loss: {weights: {cross_entropy: 1, reconstruction: 0.1}}
optimiser: {phases: [{name: adam, lr: 1e-2}]}
train: {epochs: 2, epoch_steps: 3, batch_labelled: 6, batch_unlabelled: 6}
"""
CLASSES = ("apple", "bee", "cat")


def recipe(*overrides: str) -> Recipe:
    return recipe_from_text(TEXT, "short.yaml", list(overrides))


def train(root: Path, *overrides: str, **settings: Any) -> RunFolder:
    with pytest.MonkeyPatch.context() as patch:
        no_pictures(patch)
        patch.setattr(fit_module, "describe_environment", dict)
        return fit(recipe(*overrides), root=root, stream=io.StringIO(), devices="cpu", **settings)


def another(path: Path, seed: int = 99) -> None:
    """Write an image, of noise that no other has."""
    path.write_bytes(encoded(pixels(12, 12, seed)))


class Place:
    """A folder with the data ``m`` and the run of them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "m"

    @property
    def run(self) -> Path:
        return self.folder / "runs" / "short-s0"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> List[Place]:
    """A flat folder and one of two parts, each with a run; the recipe's path is relative."""
    places, here = [], os.getcwd()
    for layout in ("flat", "parts"):
        place = Place(tmp_path_factory.mktemp(layout))
        parts = {".": 0} if layout == "flat" else {"train": 0, "test": 60}
        for part, seed in parts.items():
            class_folders(place.data / part, dict.fromkeys(CLASSES, 20), seed, height=12, width=12)
        os.chdir(place.folder)
        try:
            train(Path("runs"))
        finally:
            os.chdir(here)
        places.append(place)
    return places


@pytest.fixture(params=[0, 1], ids=["flat", "parts"])
def place(request: Any, trained: List[Place], tmp_path: Path) -> Place:
    """A copy, whose data are where the run's were: the run says where."""
    original = trained[request.param]
    shutil.copytree(original.folder, tmp_path / "copy")
    here = Place(tmp_path / "copy")
    facts = RunFolder(here.run).facts()
    assert facts is not None and facts.path == str(original.data)
    text = (here.run / "recipe.yaml").read_text(encoding="utf-8")
    assert str(original.data) in text
    (here.run / "recipe.yaml").write_text(text.replace(str(original.data), str(here.data)), encoding="utf-8")
    RunFolder(here.run).store_facts(replace(facts, path=str(here.data)))
    return here


def test_dir(place: Place) -> Path:
    """Where the test images are, among others."""
    return place.data / "test" if (place.data / "test").is_dir() else place.data


test_dir.__test__ = False  # type: ignore[attr-defined]


def add_one(folder: Path) -> None:
    another(folder / "apple" / "zzz.png")


def add_white(folder: Path) -> None:
    for number in range(60):
        Image.new("RGB", (12, 12), (255, 255, 255)).save(folder / "bee" / f"w{number:02}.png")


def rename(folder: Path) -> None:
    (folder / "bee").rename(folder / "zebra")


# Of the flat folder both are test images.
def remove(folder: Path) -> None:
    (folder / "cat" / "001.png").unlink()


def exchange(folder: Path) -> None:
    another(folder / "apple" / "000.png")


CHANGES = [
    (add_one, r"class 'apple' had 20 images and has 21; 1 added, 0 removed, the first 'apple/zzz\.png'"),
    (add_white, r"class 'bee' had 20 images and has 80; 60 added, 0 removed, the first 'bee/w00\.png'"),
    (rename, r"class 'bee' is missing, class 'zebra' is new"),
    (remove, r"class 'cat' had 20 images and has 19; 0 added, 1 removed, the first 'cat/001\.png'"),
    (exchange, r"1 of them have other contents, the first 'apple/000\.png'"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES, ids=lambda each: getattr(each, "__name__", ""))
def test_changed_test_images_are_an_error_that_says_what_changed(
    place: Place, change: Callable[[Path], None], message: str
) -> None:
    """Each of them changed the error rate, the classes or the normalisation of a finished run in silence."""
    change(test_dir(place))
    for use in (
        lambda: evaluate_run(place.run),
        lambda: render_run(place.run, 3, place.folder / "figure.png"),
        lambda: export_run(place.run, place.folder / "out"),
    ):
        with pytest.raises(ChangedData, match=message) as caught:
            use()
        assert len(str(caught.value).splitlines()) == 2 and "train a new run" in str(caught.value)
    assert not (place.folder / "out").exists() and not (place.folder / "figure.png").exists()


def test_evaluate_export_and_render_need_no_training_images(trained: List[Place], tmp_path: Path) -> None:
    """Of two folders only the test images are read, and mean and deviation are the run's."""
    shutil.copytree(trained[1].folder, tmp_path / "copy")
    data = tmp_path / "copy" / "m"
    shutil.rmtree(data / "train")
    run = trained[1].run
    whole = evaluate_run(run)
    assert evaluate_run(run, data_dir=data) == whole
    assert render_run(run, 3, tmp_path / "figure.png", data_dir=data).is_file()
    manifest = export_run(run, tmp_path / "out", data_dir=data)
    assert manifest.test_error is not None and manifest.test_error.images == 60
    facts = RunFolder(run).facts()
    assert facts is not None and manifest.input.mean == facts.mean and manifest.input.std == facts.std
    with pytest.raises(DataError, match="the train images of the run are no longer there; .*data_dir"):
        len(restore(run, data_dir=data).parts.dataset.train.labels)


def test_predict_needs_none_of_the_data(place: Place) -> None:
    before = open_classifier(place.run, PredictOptions(devices="cpu"))
    shutil.rmtree(place.data)
    after = open_classifier(place.run, PredictOptions(devices="cpu"))
    assert after.class_names == list(CLASSES) and after.given == before.given
    noise = np.random.RandomState(0).rand(2, 3, 12, 12).astype(np.float32) * 255
    np.testing.assert_array_equal(before.predict(noise).probabilities, after.predict(noise).probabilities)
    with pytest.raises(DataError, match="the test images of the run are no longer there; .*data_dir"):
        evaluate_run(place.run)


def test_another_working_directory_takes_the_same_data(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative data.path took whatever was called so there."""
    expected = evaluate_run(place.run)
    class_folders(tmp_path / "elsewhere" / "m", dict.fromkeys("xyz", 20), 200, height=12, width=12)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert evaluate_run(place.run) == expected


def test_data_that_moved_are_found_again(place: Place) -> None:
    expected = evaluate_run(place.run)
    moved = place.data.rename(place.folder / "moved")
    assert evaluate_run(place.run, data_dir=moved) == expected
    place.folder.joinpath("all").mkdir()
    moved.rename(place.folder / "all" / "m")
    assert evaluate_run(place.run, data_dir=place.folder / "all") == expected


def test_a_run_resumes_with_its_own_images_or_not_at_all(place: Place) -> None:
    """One image less, and five of six labelled images were others."""
    more = f"data.path={place.data}", "train.epochs=3"
    kept = (place.data / "train" if (place.data / "train").is_dir() else place.data) / "cat" / "004.png"
    image = kept.read_bytes()
    kept.unlink()
    with pytest.raises(ChangedData, match=r"0 added, 1 removed, the first 'cat/004\.png'"):
        train(place.run.parent, *more)
    assert len(RunFolder(place.run).read_metrics()) == 2 and RunFolder(place.run).finished
    kept.write_bytes(image)
    run = train(place.run.parent, *more)
    assert (run.path, len(run.read_metrics())) == (place.run, 3)


def test_a_run_of_an_earlier_version_says_that_its_data_cannot_be_checked(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = evaluate_run(place.run)
    (place.run / "data.json").unlink()
    said = f"warning: {place.run} has no data.json: it was started by an earlier version"
    capsys.readouterr()
    assert evaluate_run(place.run) == expected
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(said)
    assert export_run(place.run, place.folder / "out").test_error is None
    assert [line.startswith(said) for line in capsys.readouterr().err.splitlines()].count(True) == 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text.replace('"bee"', '"bug"'), "its contents do not match their SHA-256"),
        (lambda text: text.replace('"mean": [', '"mean": ["x", '), r"mean\.0 must be a number"),
        (lambda text: text[: len(text) // 2], "is damaged"),
        (
            lambda text: text.replace('"format": 1', '"format": 3'),
            "has format 3, and this version reads up to 2",
        ),
        (lambda text: "[]", "holds no JSON object"),
    ],
)
def test_damaged_facts_are_named(
    trained: List[Place], tmp_path: Path, spoil: Callable[[str], str], message: str
) -> None:
    path = tmp_path / "data.json"
    path.write_text(spoil((trained[0].run / "data.json").read_text("utf-8")), encoding="utf-8")
    with pytest.raises(RunError, match=message):
        read_facts(path)


def test_facts_come_back_as_they_went_with_names_that_are_no_utf8(tmp_path: Path) -> None:
    folder = os.fsdecode(b"caf\xe9\n")
    class_folders(tmp_path / "m", {folder: 3, "数字": 3}, height=12, width=12)
    data = new_data(recipe(f"data.path={tmp_path / 'm'}", "data.labels=2"))
    facts = describe_data(data.dataset, data.split, DataSource(Path("d"), str(tmp_path / "m")), False)
    path = tmp_path / "data.json"
    path.write_text(facts_text(facts), encoding="utf-8")
    assert read_facts(path) == facts and set(facts.class_names) == {folder, "数字"}
    json.loads(path.read_text("ascii"))


def stored(name: str, source: DataSource) -> StoredDataset:
    """The data set of a run that starts now."""
    dataset = load_dataset(
        name, source.data_dir, path=source.path, size=source.size, streamed=source.streamed
    )
    split = draw_split(dataset.train.labels, labelled=None, split_seed=0, classes=dataset.classes)
    return StoredDataset(describe_data(dataset, split, source, True), source)


@pytest.mark.parametrize("streamed", [True, False])
def test_record_files_are_compared_too(tmp_path: Path, streamed: bool) -> None:
    record_parts(tmp_path)
    data = stored("folder", DataSource(tmp_path, str(tmp_path), 16, streamed))
    assert (data.streamed, len(data.train.labels)) == (streamed, 12)
    assert data.test.labels.tolist() == [0, 1, 2, 0]
    record_parts(tmp_path, test=5)
    again = StoredDataset(data.facts, data.source)
    assert len(again.train.labels) == 12
    message = r"class '1' had 1 images and has 2; 1 added, 0 removed, the first '4'"
    with pytest.raises(ChangedData, match=message):
        again.test.labels.sum()


def test_streamed_folders_are_compared_before_anything_is_decoded(tmp_path: Path) -> None:
    for part in ("train", "test"):
        class_folders(tmp_path / part, {"a": 4, "b": 4}, height=12, width=12)
    data = stored("folder", DataSource(tmp_path, str(tmp_path), 8, True))
    (tmp_path / "train" / "a" / "x.png").write_bytes(b"no image")
    assert len(data.test.labels) == 8
    with pytest.raises(ChangedData, match=r"1 added, 0 removed, the first 'a/x\.png'"):
        len(data.train.labels)


def test_known_data_sets_are_told_apart_by_their_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    data = stored("digits", DataSource(Path("data")))
    assert data.test.labels.shape == (500,)
    images, labels = digits._read()
    changed = images.copy()
    changed[:, 0, 0, 0] += 1
    monkeypatch.setattr(digits, "_read", lambda: (changed, labels))
    again = StoredDataset(data.facts, data.source)
    with pytest.raises(ChangedData, match="the 500 images are others, or in another order"):
        again.test.labels.sum()
    monkeypatch.setattr(digits, "_read", lambda: (images, labels[::-1].copy()))
    with pytest.raises(ChangedData, match="data set 'digits'"):
        StoredDataset(data.facts, data.source).train.labels.sum()


def test_targets_of_temporal_ensembling_belong_to_images(trained: List[Place], tmp_path: Path) -> None:
    """A checkpoint put into a run of other images is refused, not read by position."""
    methods = [
        "teacher={enabled: true, method: temporal_ensembling}",
        "loss.weights.consistency=1",
        "data.shift=1",
    ]
    other = tmp_path / "m"
    class_folders(other, dict.fromkeys(CLASSES, 20), 500, height=12, width=12)
    first, second = (
        train(tmp_path / name, f"data.path={data}", *methods)
        for name, data in (("a", trained[0].data), ("b", other))
    )
    shutil.rmtree(second.checkpoints)
    shutil.copytree(first.checkpoints, second.checkpoints)
    with pytest.raises(CheckpointError, match="its targets belong to other training images"):
        train(tmp_path / "b", f"data.path={other}", *methods, "train.epochs=3")


def test_many_images_are_named_without_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identities, "MOST_LISTED", 2)
    names = ("a", "b", "c")
    assert identities.identify(Path("x"), names, len, bytes) == Identities(Path("x"), names)  # type: ignore[arg-type]
    monkeypatch.setattr(identities, "MOST_LISTED", 3)
    monkeypatch.setattr(identities, "MOST_SUMMED", 2)
    assert identities.identify(Path("x"), names, lambda _: 1, bytes).sizes == (1, 1, 1)
