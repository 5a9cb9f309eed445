"""What tools/predict.py says of exports, runs, images and options that will not do."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, List

import mxnet as mx
import numpy as np
import pytest
import spoil
from linear_export import needs_onnx, reseal, write_export, write_onnx
from predicting import NET, call, work_in
from short_runs import FULL, SUPERVISED, fit_without_pictures, recipe

from gluon_nrm.predict import manifest as m


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return work_in(tmp_path, monkeypatch)


def edit_manifest(key: str, **changes: Any) -> Any:
    def change(folder: Path) -> None:
        manifest = m.read_manifest(folder)
        m.write_manifest(folder, replace(manifest, **{key: replace(getattr(manifest, key), **changes)}))

    return change


def and_reseal(change: Any) -> Any:
    def both(folder: Path) -> None:
        change(folder)
        reseal(folder)

    return both


def other_parameters(folder: Path, **changes: Any) -> None:
    parameters = {"arg:weight": mx.nd.array(NET.weight), "arg:bias": mx.nd.array(NET.bias)}
    mx.nd.save(str(folder / "net-0000.params"), {**parameters, **changes})
    reseal(folder)


def renamed(folder: Path) -> None:
    write_onnx(folder / "net.onnx", NET, False, input_name="image")
    reseal(folder)


EXPORT_MISTAKES = [
    ([], spoil.remove("model.json"), r"net is neither an export \(model\.json\) nor a run \(recipe\.yaml\)"),
    ([], spoil.write("model.json", b"{"), r"net/model\.json is damaged"),
    ([], spoil.cut("net-0000.params"), r"net-0000\.params is damaged or belongs to another export"),
    ([], spoil.flip("net-symbol.json"), r"net-symbol\.json is damaged or belongs to another export"),
    ([], spoil.remove("net-0000.params"), r"net-0000\.params is missing, which model\.json lists"),
    ([], and_reseal(spoil.cut("net-0000.params")), r"net-0000\.params: MXNet cannot read it \(.*\); export"),
    ([], and_reseal(spoil.write("net-symbol.json", b"{}")), r"net-symbol\.json: MXNet cannot read it"),
    ([], lambda folder: other_parameters(folder, **{"arg:more": mx.nd.ones(2)}),
     r"net-symbol\.json and net-0000\.params do not belong together: parameter more is only in the par.*"),
    ([], lambda folder: other_parameters(folder, **{"arg:bias": mx.nd.ones(2)}),
     r"do not belong together: bias is \(2,\), \(4,\) is wanted"),
    ([], and_reseal(lambda folder: mx.nd.save(str(folder / "net-0000.params"), [mx.nd.ones(2)])),
     r"do not belong together: parameter bias is only in the symbol"),
    ([], edit_manifest("input", name="image"), r"the symbol has no input image"),
    ([], edit_manifest("input", shape=[None, 3, 4, 6]), r"weight is \(4, 60\), \(4, 72\) is wanted"),
    (["--int8"], None, r"net holds no int8-symbol file \(.*\)"),
    (["--int8", "--backend", "onnxruntime"], None, r"--int8 is for MXNet; leave it out, or --backend"),
    (["--network", "teacher"], None, r"--network: 'teacher', and net holds 'student'; leave it out"),
    (["--output", "mixture"], None, r"--output: 'mixture', and net holds 'max'; leave it out, or export"),
    (["--render", "x.png"], None, r"--render: net does not render; export the run with --with-rendering"),
    (["--render", "x.jpg"], None, r"--render: x\.jpg does not end with \.png"),
    (["--render", "images/0.png"], None, r"--render: images/0\.png is there already; give another name"),
    (["--top", "0"], None, r"--top: 0; at least 1 is needed"),
    (["--batch", "0"], None, r"--batch: 0; at least 1 is needed"),
    (["none.png"], None, r"none\.png: there is no such file"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "change", "said"), EXPORT_MISTAKES)
def test_mistakes_with_an_export(
    here: Path, monkeypatch: Any, capsys: Any, arguments: List[str], change: Any, said: str
) -> None:
    write_export(here / "net", NET)
    if change is not None:
        change(Path("net"))
    chosen = [] if "--backend" in arguments else ["--backend", "mxnet"]
    assert call(monkeypatch, "net", "images", *arguments, *chosen) == 2
    said_and_shown = capsys.readouterr()
    assert re.fullmatch(rf"error: .*{said}.*\n", said_and_shown.err), said_and_shown.err
    assert said_and_shown.out == ""
    assert not Path("x.png").exists()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``full-run``, and ``plain-run`` without teacher, Min branch and rendering."""
    folder = tmp_path_factory.mktemp("runs")
    plain = SUPERVISED.replace("path_norm: none}", "render: false}")
    for name, text in (("full", FULL), ("plain", plain)):
        short = recipe(text, "train.epochs=1", "train.epoch_steps=1")
        run = fit_without_pictures(short, root=folder / name)
        run.path.rename(folder / f"{name}-run")
    return folder


@needs_onnx
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (spoil.flip("net.onnx"), r"net\.onnx is damaged or belongs to another export"),
        (spoil.remove("net.onnx"), r"net\.onnx is missing, which model\.json lists"),
        (and_reseal(spoil.write("net.onnx", b"no model")), r"net\.onnx: it is not opened \(it is no ONNX mo"),
        (renamed, r"net\.onnx: its input \[\('image', \[3, 4, 5\]\)\] differ from the manifest's"),
        (edit_manifest("input", shape=[None, 3, 4, 6]), r"net\.onnx: its input .* differ from the man"),
    ],
)
def test_mistakes_with_an_onnx_file(
    here: Path, monkeypatch: Any, capsys: Any, change: Any, said: str
) -> None:
    write_export(here / "net", NET)
    change(Path("net"))
    assert call(monkeypatch, "net", "images", "--backend", "onnxruntime") == 2
    assert re.fullmatch(rf"error: .*{said}.*\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("run", "arguments", "said"),
    [
        (
            "plain-run",
            ["--network", "teacher"],
            r"--network teacher: .*plain-run has a student only",
        ),
        ("plain-run", ["--output", "min"], r"--output min: .* one branch"),
        ("plain-run", ["--render", "x.png"], r"--render: the network of .*plain-run does not render"),
        ("full-run", ["--backend", "onnxruntime"], r"--backend onnxruntime: .* is a run, and this is"),
        ("full-run", ["--int8"], r"--int8: .* is a run, and this is for exports"),
        ("full-run", ["--strict"], r"images/0\.png: an image in colour, .* convert it to grey"),
        ("none", [], r"none: there is no such folder; give the folder of a run or of an export"),
    ],
)
def test_mistakes_with_a_run(
    here: Path, runs: Path, monkeypatch: Any, capsys: Any, run: str, arguments: List[str], said: str
) -> None:
    assert call(monkeypatch, runs / run, "images", *arguments) == 2
    err = capsys.readouterr().err
    assert re.fullmatch(rf"error: .*{said}.*\n", err), err
    assert not Path("x.png").exists()


def test_too_many_images_for_a_picture(here: Path, monkeypatch: Any, capsys: Any) -> None:
    write_export(here / "net", NET, rendering=True)
    for number in range(101):
        shutil.copy("images/0.png", f"images/more{number}.png")
    assert call(monkeypatch, "net", "images", "--render", "x.png") == 2
    assert "--render: 108 images, and one picture holds 100; give fewer" in capsys.readouterr().err


def test_scores_that_are_not_finite(here: Path, monkeypatch: Any, capsys: Any) -> None:
    write_export(here / "net", NET)
    other_parameters(here / "net", **{"arg:bias": mx.nd.array([np.nan, 0, 0, 0])})
    assert call(monkeypatch, "net", "images", "--backend", "mxnet") == 2
    assert "net: its scores are not finite" in capsys.readouterr().err
