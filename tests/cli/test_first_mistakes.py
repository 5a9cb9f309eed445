"""Mistakes of a first-time user of ``gluon-nrm``: each is answered by a line that says what to type."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple, Tuple

import pytest
from PIL import Image
from short_runs import FULL, contents

from gluon_nrm.cli import main as entry
from gluon_nrm.recipe import recipe_from_text, recipe_to_yaml
from gluon_nrm.runs.open_run import open_run

RUN = "runs/short-s0"
LR = "optimiser.phases.0.lr"
TRAIN = "gluon-nrm train short.yaml"


class Mistake(NamedTuple):
    """What is typed after ``gluon-nrm``, and what the answer holds."""

    typed: str
    expected: Tuple[str, ...]


def of(typed: str, *expected: str) -> Mistake:
    return Mistake(typed, expected)


MISTAKES = [
    # the name of a recipe
    of("train digits_maxmin", "did you mean digits_maxmin_mt, a recipe of the package?"),
    of("train Digits_MaxMin_MT", "did you mean digits_maxmin_mt, a recipe of the package?"),
    of("train recipes/digits_mt.yaml", "did you mean digits_mt, a recipe of the package?"),
    of("train shrt", "did you mean 'short.yaml'?"),
    of("train my_own_recipe", "gluon-nrm train --list-recipes lists those of the package"),
    of(f"train {RUN}", f"to go on with this run: gluon-nrm train {RUN}/recipe.yaml"),
    of("train cifar10_maxmin_mt --devices cpu", "get it: gluon-nrm data cifar10"),
    # options of other programs
    of("train short.yaml --lr 0.1", f"--lr is no option of train; use: {TRAIN} --set {LR}=0.1"),
    of("train short.yaml --lr=0.1", f"{TRAIN} --set {LR}=0.1"),
    of("train --learning-rate 0.1 short.yaml", f"gluon-nrm train --set {LR}=0.1 short.yaml"),
    of("train short.yaml --epochs 5", f"{TRAIN} --set train.epochs=5"),
    of("train short.yaml --batch-size 16", f"{TRAIN} --set train.batch_labelled=16"),
    of("train short.yaml --dropout 0.2 --seed 1", f"{TRAIN} --set model.dropout=0.2 --seed 1"),
    of("train short.yaml --labels 100", f"{TRAIN} --set data.labels=100"),
    of("train short.yaml --gpu 0", f"{TRAIN} --devices 'gpu(0)'"),
    of("train short.yaml --device cpu", f"{TRAIN} --devices cpu"),
    of("train short.yaml --output results", f"{TRAIN} --runs results"),
    of("train short.yaml --resume", f"use: {TRAIN}\n"),
    of("train --recipe short.yaml", f"RECIPE is given without one: {TRAIN}"),
    of("train short.yaml --see 1", f"--see is no option of train; use: {TRAIN} --seed 1"),
    of(f"evaluate {RUN} --device=cpu", f"use: gluon-nrm evaluate {RUN} --devices=cpu"),
    of("train short.yaml digits_mt", "unrecognized arguments: digits_mt"),
    # values
    of("train short.yaml --seed one", "--seed", "'one'", "give an integer, such as --seed 1"),
    of("train short.yaml --seeds 0,1,2", "'0,1,2'", "such as --seeds 0 1 2"),
    of("train short.yaml --set data.labels=fifty", "data.labels", "expected an integer", "fifty"),
    of("train short.yaml --set train.epochs", "expected KEY=VALUE, e.g. train.epochs=3"),
    of("train short.yaml --set lr=0.1", f"did you mean '{LR}'?"),
    of("train short.yaml --set optimiser.lr=0.1", f"did you mean '{LR}'?"),
    of("train short.yaml --set", "--set", "for example: gluon-nrm train digits_maxmin_mt"),
    # the folder of a run
    of("evaluate short", "did you mean runs/short-s0?"),
    of("evaluate short.yaml", "did you mean runs/short-s0?"),
    of("evaluate short-s0", "did you mean runs/short-s0?"),
    of("evaluate runs/short-s1", "did you mean runs/short-s0?"),
    of("evaluate runs", "give a folder in it, such as runs/short-s0"),
    of(f"evaluate {RUN}/checkpoints", "did you mean runs/short-s0?"),
    of(f"render {RUN}/recipe.yaml", "did you mean runs/short-s0?"),
    of("export short --out exported", "did you mean runs/short-s0?"),
    of("predict short image.png", "did you mean runs/short-s0?"),
    of(f"render {RUN} image.png --by-layer", "--by-layer is for test images"),
    # a pretrained network
    of("predict digits_maxmin_mt_5 image.png", "did you mean digits_maxmin_mt_50?"),
    of("predict photo_net image.png", "or a pretrained network; there are: digits_maxmin_mt_50"),
    of("evaluate digits_maxmin_mt_5", "did you mean digits_maxmin_mt_50?"),
    of("render digits_maxmin_mt_50", "a pretrained network, which evaluate, predict and export take"),
    of("evaluate digits_maxmin_mt_50 --part validation", "a pretrained network; evaluate it on 'test'"),
    of("predict digits_maxmin_mt_50 image.png --int8", "use gluon-nrm export first"),
    # the order of arguments, and what is left out
    of(f"predict image.png {RUN}", f"comes first: gluon-nrm predict {RUN} image.png"),
    of(f"predict image.png more.png {RUN}", f"gluon-nrm predict {RUN} image.png more.png"),
    of(f"predict {RUN}", "IMAGE", "for example: gluon-nrm predict runs/digits_maxmin_mt-s0 scan.png"),
    of("evaluate", "RUN", "for example: gluon-nrm evaluate runs/digits_maxmin_mt-s0"),
    of(f"export {RUN}", "--out", "for example: gluon-nrm export runs/digits_maxmin_mt-s0 --out"),
    of("launch -n 2 train short.yaml", "use: gluon-nrm launch -n 2 gluon-nrm train short.yaml"),
    # tables and data sets
    of("table table9", "there is no table9; the tables of the paper are table3, table4, table5"),
    of("table tabel3", "there is no tabel3; the tables of the paper are table3, table4, table5"),
    of("data cifar-10", "did you mean 'cifar10'?"),
]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe, a run that has not begun, and an image."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "short.yaml").write_text(FULL, encoding="utf-8")
    Image.new("L", (8, 8)).save(folder / "image.png")
    recipe = recipe_to_yaml(recipe_from_text(FULL, "short.yaml"))
    with open_run(folder / "runs", "short-s0", recipe, {}) as run:
        run.append_metrics({"epoch": 1, "error/student": 5.0})
    return folder


@pytest.fixture
def work(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(sample, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("GLUON_NRM_DATA", raising=False)
    monkeypatch.setattr(entry, "prepare_process", lambda: None)
    return tmp_path / "work"


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.typed)
def test_the_answer_says_what_to_type(
    mistake: Mistake, work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    before = contents(work)
    monkeypatch.setattr("sys.argv", ["gluon-nrm", *mistake.typed.split()])
    with pytest.raises(SystemExit) as left:
        entry.main()
    said = capsys.readouterr()
    assert (left.value.code, said.out) == (2, "")
    assert len(said.err.splitlines()) <= 2 and "error: " in said.err, said.err
    assert not [part for part in mistake.expected if part not in said.err], said.err
    assert contents(work) == before


def test_there_are_many() -> None:
    assert len({mistake.typed for mistake in MISTAKES}) == len(MISTAKES) >= 25
