"""Runs go on with changed keys of their recipe where that changes no number, and say which key forbids it."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any, Callable

import pytest
from short_runs import SUPERVISED, differences, newest, no_pictures, recipe

from gluon_nrm.errors import RunError
from gluon_nrm.recipe import recipe_from_text
from gluon_nrm.runs.continuing import CHANGEABLE, Change, check_rates, refused
from gluon_nrm.runs.open_run import open_run, run_name
from gluon_nrm.runs.run_folder import RunFolder
from gluon_nrm.runs.run_search import find_run
from gluon_nrm.training import fit as fit_module
from gluon_nrm.training.fit import fit

CONSTANT = SUPERVISED.replace("schedule: cosine, ", "")
TOY = "name: toy\ntrain: {epochs: 3, seed: 0}\n"


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    no_pictures(monkeypatch)
    monkeypatch.setattr(fit_module, "describe_environment", dict)


def train(root: Path, text: str, *overrides: str, **settings: Any) -> RunFolder:
    return fit(recipe(text, *overrides), root=root, **{"stream": io.StringIO(), "devices": "cpu", **settings})


def losses(run: RunFolder) -> Any:
    return [(row["epoch"], row["lr"], row["loss/total"], row["error/student"]) for row in run.read_metrics()]


def test_a_finished_run_goes_on_with_more_epochs_to_the_bits_of_a_long_one(tmp_path: Path) -> None:
    """With another evaluation batch, other checkpoints, another kvstore and two devices on the way."""
    expected = train(tmp_path / "long", CONSTANT, "train.epochs=4")
    train(tmp_path / "short", CONSTANT, "train.epochs=2")
    changes = ["train.epochs=4", "train.eval_batch=7", "train.checkpoint_every_epochs=2"]
    found = train(tmp_path / "short", CONSTANT, *changes)
    assert found.path.name == "short-s0" and found.finished and losses(found) == losses(expected)
    assert differences(newest(found).arrays["student"], newest(expected).arrays["student"]) == []
    assert found.env()["resumed"][0]["recipe"] == {
        "train.epochs": [2, 4], "train.eval_batch": [500, 7], "train.checkpoint_every_epochs": [1, 2]
    }  # fmt: skip
    assert found.recipe()["train"]["epochs"] == 4

    said = io.StringIO()
    more = train(
        tmp_path / "short", CONSTANT, "train.epochs=5", "train.kvstore=local", devices="cpu(0),cpu(1)",
        stream=said,
    )  # fmt: skip
    assert more.path == found.path and [row["epoch"] for row in more.read_metrics()] == [1, 2, 3, 4, 5]
    assert "going on after step 12" in said.getvalue()


def test_a_rate_that_follows_the_length_has_to_be_accepted(tmp_path: Path) -> None:
    train(tmp_path, SUPERVISED)
    message = r"train\.epochs: 3 in the run, 5 here, .* at epoch 1\.\d+ it was"
    with pytest.raises(RunError, match=message) as caught:
        train(tmp_path, SUPERVISED, "train.epochs=5")
    assert "accept=['train.epochs']" in str(caught.value) and len(str(caught.value).splitlines()) == 2
    run = RunFolder(tmp_path / "short-s0")
    assert run.finished and run.recipe()["train"]["epochs"] == 3
    done = losses(run)
    with pytest.raises(RunError, match=r"accept=\['model.dropout'\]: this key may not change"):
        train(tmp_path, SUPERVISED, "train.epochs=5", accept=["model.dropout"])
    longer = train(tmp_path, SUPERVISED, "train.epochs=5", accept=["train.epochs"])
    assert losses(longer)[:3] == done and len(losses(longer)) == 5
    assert losses(longer)[3][1] > done[2][1]  # the rate of the fourth of five epochs


@pytest.mark.parametrize(
    ("phases", "same"),
    [
        ("[{name: adam, lr: 1e-3}]", True),
        ("[{name: sgd, lr: 0.1, schedule: cosine}]", False),
        ("[{name: sgd, lr: 0.1, schedule: cosine, restart_epochs: 2}]", True),
        ("[{name: sgd, lr: 0.1, schedule: exponential, final_lr: 1e-3}]", False),
        ("[{name: sgd, lr: 0.1, schedule: exponential, final_lr: 1e-3, decay_epochs: 9}]", True),
        ("[{name: sgd, lr: 0.1, schedule: steps, milestones: [1, 3]}]", True),
        ("[{name: adam, lr: 1e-3, epochs: 2}, {name: sgd, lr: 0.1, schedule: cosine}]", True),
        ("[{name: adam, lr: 1e-3, epochs: 1}, {name: sgd, lr: 0.1, schedule: cosine}]", False),
        ("[{name: adam, lr: 1e-3, schedule: cosine, epochs: 4}, {name: sgd, lr: 0.1}]", False),
    ],
)
def test_rates_of_the_epochs_done(phases: str, same: bool) -> None:
    """A run of 2 epochs goes on to 6: schedules by epoch keep their rates, those by length do not."""
    text = f"data: {{name: digits}}\nmodel: {{name: digits_cnn}}\noptimiser: {{phases: {phases}}}\n"
    old, new = (
        recipe_from_text(f"{text}train: {{epochs: {epochs}, batch_labelled: 4}}\n", "x") for epochs in (2, 6)
    )
    if same:
        check_rates(old, new, 2, [])
    else:
        with pytest.raises(RunError, match="follows the length of the run"):
            check_rates(old, new, 2, [])
        check_rates(old, new, 2, ["train.epochs"])


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        (Change("train.epochs", 3, 5), True),
        (Change("train.epochs", 3, 2), True),
        (Change("train.epochs", 3, 1), False),
        (Change("train.kvstore", "device", "dist_sync"), True),
        (Change("train.kvstore", "device", "dist_async"), False),
        (Change("train.kvstore", "missing", "local"), False),
        (Change("train.kvstore", "missing", "device"), True),  # a run of an earlier version
        (Change("data.unlabelled", "missing", None), True),
        (Change("data.unlabelled", "missing", "photos"), False),
        (Change("data.unlabelled", "photos", "moved"), True),
        (Change("data.unlabelled", "photos", None), False),
        (Change("data.unlabelled", None, "photos"), False),
        (Change("optimiser.phases.0.factor", "missing", 0.1), True),
        (Change("optimiser.phases.0.lr", "missing", 0.1), False),
        (Change("optimiser.phase", "missing", 0.1), False),
        (Change("data.name.x", "missing", None), False),
        (Change("data.path", "/a", "/b"), True),
        (Change("train.seed", 0, 1), False),
        (Change("train.batch_labelled", 4, 8), False),
    ],
)
def test_what_may_change_after_two_epochs(change: Change, allowed: bool) -> None:
    assert (refused([change], 2) is None) == allowed
    assert allowed <= (change.key in CHANGEABLE or change.old == "missing")


def test_a_change_of_meaning_is_named_first(tmp_path: Path) -> None:
    train(tmp_path, CONSTANT, "train.epochs=1")
    with pytest.raises(RunError, match=r"short-s0 holds another recipe: data\.labels is 20 in it, 30 here"):
        train(tmp_path, CONSTANT, "train.epochs=2", "data.labels=30", "train.eval_batch=7")


def test_a_finished_run_with_another_evaluation_batch_is_left_alone(tmp_path: Path) -> None:
    run = train(tmp_path, CONSTANT, "train.epochs=1")
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    said = io.StringIO()
    train(tmp_path, CONSTANT, "train.epochs=1", "train.eval_batch=7", stream=said)
    assert "is finished" in said.getvalue()
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


# ---- which folder is the run


def opened(root: Path, **changes: Any) -> RunFolder:
    run = open_run(root, "toy-s0", TOY, {}, **changes)
    run.close()
    return run


@pytest.mark.parametrize(
    "disturb",
    [
        lambda root: (root / "toy-s0-2").mkdir(),
        lambda root: (root / "toy-s0-2" / "figures").mkdir(parents=True),
        lambda root: (root / "toy-s0-2").write_text("notes", encoding="utf-8"),
        lambda root: shutil.copytree(root / "toy-s0", root / "toy-s0-2"),
        lambda root: shutil.copytree(root / "toy-s0", root / "toy-s0-17"),
    ],
    ids=["empty", "no run", "a file", "a copy", "a far copy"],
)
def test_folders_that_only_look_like_newer_runs(tmp_path: Path, disturb: Callable[[Path], Any]) -> None:
    first = opened(tmp_path)
    disturb(tmp_path)
    again = opened(tmp_path)
    assert (again.path, again.resumed) == (first.path, True)
    fresh = opened(tmp_path, fresh=True)
    assert not fresh.resumed and fresh.path.name in ("toy-s0-2", "toy-s0-3")


def test_a_run_that_was_renamed_is_still_one(tmp_path: Path) -> None:
    """Its original is gone, so it is no copy."""
    opened(tmp_path).path.rename(tmp_path / "toy-s0-2")
    assert opened(tmp_path).path.name == "toy-s0-2"
    shutil.copytree(tmp_path / "toy-s0-2", tmp_path / "toy-s0-3")
    opened(tmp_path / "other", fresh=True)
    # another run, that came from elsewhere
    shutil.copytree(tmp_path / "other" / "toy-s0", tmp_path / "toy-s0-4")
    found = find_run(tmp_path, "toy-s0", TOY)
    assert found is not None and found.run.path.name == "toy-s0-4"


NAMES = (
    "数字", "文字", "रेल", "राल", "résumé", "resume", "a b", "a_b", "a/b", "a\nb",
    "x" * 300, "x" * 301, "é" * 200
)  # fmt: skip


def test_recipe_names_of_any_script_make_distinct_folders(tmp_path: Path) -> None:
    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

    folders = [run_name(Named(name), 0) for name in NAMES]
    assert len(set(folders)) == len(NAMES)
    for folder in folders:
        with open_run(tmp_path, folder, TOY, {}) as run:
            assert not run.resumed and run.path.name == folder and "/" not in folder
    assert folders[:2] == ["数字-s0", "文字-s0"]


def test_files_of_any_script_name_their_recipes() -> None:
    for stem in ("数字", "文字", "résumé", "रेल"):
        assert recipe_from_text(CONSTANT, f"recipes/{stem}.yaml").name == stem
