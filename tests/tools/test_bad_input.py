"""Malformed recipes, run folders, checkpoints and arguments: a line or two name the culprit, exit code 2.

Each case is a call of a tool in a folder with a recipe and a run of it; whatever is wrong, nothing in that
folder changes.
"""

from __future__ import annotations

import importlib
import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Tuple

import mxnet as mx
import numpy as np
import pytest
from fakes import ROOT
from short_runs import FULL, contents, no_pictures, recipe
from spoil import Change, cut, edit, flip, remove, student, write

from gluon_nrm.console.tool import run_tool
from gluon_nrm.runs.facts_file import facts_text, read_facts
from gluon_nrm.training import fit as fit_module
from gluon_nrm.training.fit import fit

pytestmark = pytest.mark.filterwarnings("ignore:Parameter .* is not used by any computation")

RUN, SAVED = "runs/short-s0", "runs/short-s0/checkpoints"
RECIPE, METRICS, LAST = f"{RUN}/recipe.yaml", f"{RUN}/metrics.jsonl", f"{SAVED}/LAST"
DATA = "/no data"
NEWEST, OLDER = f"{SAVED}/epoch_0003", f"{SAVED}/epoch_0002"
STUDENT, TEACHER = f"{NEWEST}/student.npz", f"{NEWEST}/teacher.npz"
OPTIMISER, STATE = f"{NEWEST}/optimiser.npz", f"{NEWEST}/state.json"
BIAS, ONES = "layers.0.bias", np.ones(5, dtype=np.float32)
ANEW = "train short.yaml --runs new"
TRAIN, EVALUATE, TABLE = "train short.yaml", f"evaluate {RUN}", f"table {RUN}"
EXACT = "{name: digits_cnn, norm: none, render_norm: none, path_norm: exact}"
GENERATE = f"generate {RUN}"
HELD_OUT = f"{EVALUATE} --part validation"
FOLDER = "{name: folder, labels: 20, path: "
SPLIT = str(ROOT / "recipes" / "splits" / "digits_50_s0.txt")


class Case(NamedTuple):
    """A mistake: how a tool is called, what the message must hold, and what was done to the folder."""

    name: str
    call: str  # words of the command line
    expected: Tuple[str, ...]
    change: Change = lambda folder: None


def in_recipe(name: str, old: str, new: str, *expected: str) -> Case:
    return Case(name, TRAIN, ("short.yaml:", *expected), edit("short.yaml", old, new))


def in_run(name: str, change: Change, *expected: str) -> Case:
    return Case(name, TRAIN, expected, change)


def given(name: str, arguments: str, *expected: str) -> Case:
    return Case(name, f"{TRAIN} {arguments}", expected)


def anew(name: str, arguments: str, *expected: str) -> Case:
    """In a run that is new: one that is there is compared before its data are loaded."""
    return Case(name, f"{ANEW} {arguments}", expected)


def of_svhn(folder: Path) -> None:
    """Let the run be one of SVHN, whose files are not there."""
    path = folder / RUN / "data.json"
    facts = read_facts(path)
    assert facts is not None
    path.write_text(facts_text(replace(facts, name="svhn")), encoding="utf-8")


NONE_HELD_OUT = edit("short.yaml", "validation: 50", "validation: 0")
CASES = [
    # the recipe
    in_recipe("unknown key", "shift: 1", "shiift: 1", ":1", "data.shiift", "did you mean 'shift'?"),
    in_recipe("mistyped section", "train:", "trian:", ":12", "trian", "did you mean 'train'?"),
    in_recipe("duplicate key", "labels: 20", "labels: 20, labels: 30", ":1", "data.labels", "30", "twice"),
    in_recipe("missing key", "epochs: 3, ", "", ":12", "train.epochs", "required"),
    in_recipe("missing section", "model:", "# model:", "model", "section is missing"),
    in_recipe("wrong type", "labels: 20", "labels: twenty", ":1", "data.labels", "twenty"),
    in_recipe("no boolean", "maxmin: true", "maxmin: yes", ":2", "model.maxmin", "yes", "write true"),
    in_recipe("out of range", "dropout: 0.5", "dropout: 1.5", ":2", "model.dropout", "1.5"),
    in_recipe("not finite", "lr: 1e-2", "lr: .inf", "optimiser.phases.1.lr", "inf"),
    in_recipe("no teacher", "enabled: true", "enabled: false", "loss.weights.consistency", "teacher"),
    in_recipe("no YAML", "shift: 1}", "shift: 1", "short.yaml:"),
    Case("empty recipe", TRAIN, ("short.yaml", "empty"), write("short.yaml", b"")),
    Case("not UTF-8", TRAIN, ("short.yaml:1", "UTF-8"), write("short.yaml", b"data: \xff\xfe")),
    Case("no such recipe", "train shrt.yaml", ("shrt.yaml: no such recipe", "did you mean 'short.yaml'?")),
    Case("a folder as recipe", f"train {RUN}", (RUN, "is a folder", "recipe.yaml")),
    # overrides
    given("override without value", "--set train.epochs", "--set train.epochs", "KEY=VALUE"),
    given("override of no key", "--set train.epoch=3", "train.epoch", "did you mean 'epochs'?"),
    given("override of a wrong type", "--set train.epochs=3.5", "--set train.epochs=3.5", "integer"),
    given("override of no phase", "--set optimiser.phases.2.lr=1", "optimiser.phases", "no entry '2'"),
    given("negative seed", "--seed -1", "train.seed", "-1"),
    given("a bad seed among seeds", "--seeds 5 -1", "train.seed", "-1"),
    # data and model
    anew("unknown data set", "--set data.name=digit", "data.name", "'digit'", "did you mean 'digits'?"),
    anew("unbalanced labels", "--set data.labels=25", "data.labels: 25", "20 or 30"),
    anew("too many labels", "--set data.labels=2000", "data.labels: 2000", "has only"),
    anew("too much validation", "--set data.validation=1297", "data.validation: 1297"),
    given("shift out of the image", "--set data.shift=8", "data.shift", "8"),
    given("cutout out of the image", "--set data.cutout=9", "data.cutout", "9"),
    anew("folder of no path", "--set data.name=folder", "data.path: give the folder"),
    anew("no such folder", f"--set data={FOLDER}no}}", "no: no such folder", "data.path"),
    anew("folder of no class", f"--set data={FOLDER}{NEWEST}}}", f"{NEWEST} holds no folder"),
    anew("folder of no image", f"--set data={FOLDER}{RUN}}}", f"{SAVED} holds no image"),
    anew("size of other images", "--set data.size=32", "data.size: 32", "8 x 8"),
    given("digits from a folder", "--set data.path=runs", "data.path", "scikit-learn"),
    anew("digits streamed", "--set data.streamed=true", "data.streamed", "kept in memory"),
    anew("crop of digits", "--set data.jitter=0.4", "data.jitter", "not cropped"),
    given("split file and validation", "--set data.split_file=s.txt", "data.validation: 50", "split_file"),
    Case("no split file", f"{ANEW} --set data.split_file=s.txt", ("s.txt", "No such file"), NONE_HELD_OUT),
    Case("another split", f"{ANEW} --set data.split_file={SPLIT}", (SPLIT, "labels is 50"), NONE_HELD_OUT),
    anew("missing data", "--set data.name=svhn", "svhn/train_32x32.mat is missing", "prepare_data.py svhn"),
    given("no unlabelled image", "--set data.labels=null", "train.batch_unlabelled", "data.labels"),
    anew("unknown model", "--set model.name=digit_cnn", "model.name", "'digit_cnn'", "digits_cnn"),
    anew("image too small", "--set model={name: allconv13}", "2x2 image is too small", "3x3 filters"),
    anew("too many poolings", "--set model.channels=[4, pool, 4, pool, 4, pool, 4, pool]", "1x1 image"),
    anew("too many paths", f"--set model={EXACT}", "2^3584.0 rendering paths", "at most 2^18"),
    given("a class prior alone", "--set model={name: digits_cnn, path_norm: none, class_prior: true}",
          "model.class_prior", "model.path_norm is none"),
    given("labels 0 with cross-entropy", "--set data.labels=0", "cross_entropy", "needs labels"),
    given("labels 0 with a labelled batch", "--set data.labels=0 --set loss.weights.cross_entropy=0",
          "train.batch_labelled", "4, but data.labels is 0"),
    given("no labelled batch", "--set train.batch_labelled=0", "0 is for data.labels 0"),
    given("a joint prior of the layerwise form", "--set model.joint_prior=true",
          "model.joint_prior", "set that to mode or exact"),
    anew("a pooling first", "--set model.channels=[pool, 4]", "model.channels.0", "'pool' must follow"),
    # devices
    given("indivisible batch", "--devices cpu(0-2)", "train.batch_labelled: 4", "3 devices"),
    given("unknown device", "--devices tpu", "--devices", "'tpu'"),
    given("device twice", "--devices cpu,cpu(0)", "--devices", "twice"),
    given("no GPU", "--devices gpu(0)", "--devices", "gpu(0)", "0 GPUs"),
    given("nccl on the CPU", "--kvstore nccl", "train.kvstore", "nccl"),
    given("dist without launcher", "--kvstore dist_sync", "train.kvstore", "dist_sync", "tools/launch.py"),
    given("unknown kvstore", "--kvstore devise", "train.kvstore", "devise", "did you mean 'device'?"),
    # the run's folder
    given("another recipe", "--set model.dropout=0.25", RUN, "dropout is 0.5 in it, 0.25 here", "--fresh"),
    given("another length", "--set train.epochs=5", "train.epochs: 3 in the run, 5 here", "--accept"),
    given("run root is a file", "--runs short.yaml", "short.yaml", "cannot make"),
    in_run("no run", remove(RECIPE), RUN, "no run folder", "recipe.yaml is missing"),
    in_run("damaged recipe.yaml", edit(RECIPE, "name: ", "name: {"), f"{RECIPE}:2", "damaged"),
    in_run("damaged metrics", edit(METRICS, '\n{"epoch": 2', "\n{"), f"{METRICS}:2", "not JSON"),
    in_run("damaged env.json", write(f"{RUN}/env.json", b"{"), f"{RUN}/env.json", "damaged"),
    # its checkpoints
    in_run("truncated npz", cut(STUDENT), STUDENT, "damaged", "to go on from epoch 2"),
    in_run("flipped bit", flip(TEACHER), TEACHER, "SHA-256", "to go on from epoch 2"),
    in_run("no optimiser", remove(OPTIMISER), OPTIMISER, "is missing", "to go on from epoch 2"),
    in_run("no state.json", remove(STATE), STATE, "is missing", "to go on from epoch 2"),
    in_run("edited state", edit(STATE, '"step": 9', '"step": 8'), STATE, "damaged"),
    in_run("LAST is damaged", write(LAST, b"\0\0"), LAST, "damaged", "remove it"),
    in_run("LAST points nowhere", remove(NEWEST, OLDER), NEWEST, "missing", "--fresh"),
    in_run("missing entry", student(SAVED, lambda a: a.pop(BIAS)), STUDENT, BIAS, "another network"),
    in_run("other shape", student(SAVED, lambda a: a.update({BIAS: ONES})), STUDENT, BIAS, "(5,)", "(4,)"),
    in_run("not finite", student(SAVED, lambda a: a[BIAS].fill(np.nan)), STUDENT, BIAS, "4 values"),
    # the other tools
    Case("evaluate nothing", "evaluate runs/nothing", ("runs/nothing", "no such run folder")),
    Case("evaluate all runs", "evaluate runs", ("runs", "no run folder", RUN)),
    Case("evaluate a file", "evaluate short.yaml", ("short.yaml", "is a file")),
    Case("evaluate untrained", EVALUATE, (SAVED, "no checkpoint yet"), remove(SAVED)),
    Case("evaluate truncated", EVALUATE, (STUDENT, "damaged"), cut(STUDENT)),
    Case("evaluate another network", EVALUATE, (STUDENT, BIAS), student(SAVED, lambda a: a.pop(BIAS))),
    Case("evaluate another recipe", EVALUATE, (STUDENT, "(4,"), edit(RECIPE, "[4, pool", "[6, pool")),
    Case("evaluate without the data", f"{EVALUATE} --data-dir no",
         ("no/svhn", "prepare_data.py svhn --data-dir no"), of_svhn),
    Case("prepare nothing", "data", ("give a data set",)),
    Case("prepare unknown", "data cifar", ("data.name", "'cifar'", "did you mean 'cifar1")),
    Case("splits of no table", "data mnist --splits", ("--splits", "--labels")),
    Case("evaluate on no device", f"{EVALUATE} --devices cpux", ("--devices", "'cpux'")),
    Case("no validation part", HELD_OUT, ("validation is 0",), edit(RECIPE, ": 50", ": 0")),
    Case("table of nothing", "table runs/nothing", ("runs/nothing", "no such run folder")),
    Case("table of one run twice", f"{TABLE} {RUN}", (RUN, "one of them")),
    Case("table without an epoch", TABLE, (METRICS, "no evaluation"), write(METRICS, b"")),
    Case("table into no folder", f"{TABLE} --csv no/t.csv", ("no/t.csv", "cannot write")),
    # the probability model's tools
    Case("generate from nothing", "generate runs/nothing", ("runs/nothing", "no such run folder")),
    Case("generate untrained", GENERATE, (SAVED, "no checkpoint yet"), remove(SAVED)),
    Case("no such class", f"{GENERATE} --classes 3,10", ("class 10", "0 to 9")),
    Case("no class", f"{GENERATE} --classes three", ("--classes", "'three'", "0-9")),
    Case("classes backwards", f"{GENERATE} --classes 5-2", ("'5-2'", "backwards")),
    Case("a temperature of 0", f"{GENERATE} --temperature 0", ("temperature", "0.0", "above 0")),
    Case("a negative temperature", f"{GENERATE} --temperature -2", ("temperature", "-2.0", "above 0")),
    Case("no samples", f"{GENERATE} --samples 0", ("0 samples", "at least 1")),
    Case("more chains than samples", f"{GENERATE} --chains 9", ("8 samples", "9 chains")),
    Case("negative burn-in", f"{GENERATE} --sweeps -1", ("burn-in", "-1")),
    Case("no such image", f"{GENERATE} --image 999 --sweeps 0", ("--image 999", "class 0")),
    Case("negative seed of draws", f"{GENERATE} --seed -1", ("--seed",)),
    Case("paths of nothing", "paths runs/nothing", ("runs/nothing", "no such run folder")),
    Case("paths of a truncated run", f"paths {RUN}", (STUDENT, "damaged"), cut(STUDENT)),
    Case("paths of another recipe", f"paths {RUN}", (STUDENT, "(4,"), edit(RECIPE, "[4, pool", "[6, pool")),
    Case("paths without runs", "paths", ("RUN",)),
    Case("paths at no distance", f"paths {RUN} --close 0", ("--close 0", "above 0")),
    # arguments
    Case("train without recipe", "train", ("give a recipe",)),
    Case("no number", f"{TRAIN} --seed x", ("--seed", "'x'")),
    Case("two kinds of seed", f"{TRAIN} --seed 1 --seeds 2", ("--seeds", "--seed")),
    Case("no such option", f"{TRAIN} --epochs 3", ("--epochs",)),
    Case("no such part", f"{EVALUATE} --part train", ("--part", "'train'")),
    Case("table without runs", "table", ("RUN",)),
    Case("table against nothing", f"table {RUN} --against nothing", ("recipe nothing", "there are")),
    Case("a paper's table against runs", "table table3 --against mt", ("--against", "--paired")),
]  # fmt: skip


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe and a run of it, stopped after the last epoch and before it was finished."""
    folder = tmp_path_factory.mktemp("sample")
    (folder / "short.yaml").write_text(FULL, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        no_pictures(patch)
        patch.setattr(fit_module, "describe_environment", dict)
        patch.setenv("GLUON_NRM_DATA", DATA)
        run = fit(recipe(), root=folder / "runs", devices="cpu", stream=io.StringIO())
    run.finished_path.unlink()
    return folder


@pytest.fixture
def folder(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sample to work in, on a machine without GPUs."""
    shutil.copytree(sample, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("GLUON_NRM_DATA", DATA)  # a run that goes on writes down where its data are now
    monkeypatch.setattr(fit_module, "describe_environment", dict)
    no_pictures(monkeypatch)
    monkeypatch.setattr(mx.context, "num_gpus", lambda: 0)
    monkeypatch.setattr(mx.runtime.Features, "is_enabled", lambda self, name: False)
    monkeypatch.delenv("DMLC_PS_ROOT_URI", raising=False)
    return tmp_path / "work"


def words(call: str) -> Tuple[str, ...]:
    """The command line; a value of --set may have spaces in it."""
    before, *values = call.split(" --set ")
    return (*before.split(), *(word for value in values for word in ("--set", value)))


def leave(call: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Call a tool as its file does at its end, and return the exit code."""
    tool, *arguments = words(call)
    monkeypatch.setattr("sys.argv", [f"{tool}.py", *arguments])
    with pytest.raises(SystemExit) as left:
        run_tool(importlib.import_module(f"gluon_nrm.cli.{tool}").main)
    return int(left.value.code or 0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mistake_is_named(
    case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    case.change(folder)
    before = contents(folder)
    assert leave(case.call, monkeypatch) == 2
    said = capsys.readouterr()
    assert contents(folder) == before
    message = said.err
    if message.startswith("usage: "):
        message = message[message.rindex("\n", 0, -1) + 1 :]  # argparse: how to call it, then what is wrong
    assert 1 <= len(message.splitlines()) <= 2, message
    assert "error: " in message.splitlines()[0]
    assert said.out == "" or "--csv" in case.call  # the table is printed first
    assert "Traceback" not in said.err
    assert not [part for part in case.expected if part not in message], message


@pytest.mark.parametrize("call", [TRAIN, EVALUATE, TABLE])
def test_without_a_mistake(call: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert leave(call, monkeypatch) == 0
