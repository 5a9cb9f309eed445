"""tools/export.py as a user runs it: what it leaves, what its files compute, every error, and no halves."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import mxnet as mx
import numpy as np
import pytest
from fakes import ROOT
from linear_export import needs_onnx
from needs import HAS_BFLOAT16, needs_bfloat16
from short_runs import FULL, SUPERVISED, fit_without_pictures, recipe
from spoil import remove, write

from gluon_nrm.data import load_dataset
from gluon_nrm.errors import DeployError, NRMError
from gluon_nrm.export import affine, quantise, verify
from gluon_nrm.export import export_run as export
from gluon_nrm.export.export_run import export_run
from gluon_nrm.export.symbol_files import BoundModel, read_files, run_once
from gluon_nrm.export.to_onnx.runtime import OnnxModel
from gluon_nrm.export.verify import Comparison, rounded_otherwise
from gluon_nrm.option_names import command_line
from gluon_nrm.predict.manifest import Manifest, Output, check_files, read_manifest
from gluon_nrm.recipe import recipe_hash
from gluon_nrm.training.restore import restore

FORMATS = ("symbol", "onnx", "int8")
DIGITS = load_dataset("digits")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny runs: Max-Min with a teacher, a plain one that does not render, and one that is not finished."""
    folder = tmp_path_factory.mktemp("runs")
    for name, text, *changes in (
        ("full", FULL, "train.epochs=2"),
        (
            "plain",
            SUPERVISED,
            "train.epochs=1",
            "model.render=false",
            "data.validation=0",
            f"train.dtype={'bfloat16' if HAS_BFLOAT16 else 'float32'}",
        ),
    ):
        fit_without_pictures(recipe(text, *changes), root=folder / name)
        shutil.move(str(folder / name / "short-s0"), str(folder / f"{name}-s0"))
    shutil.copytree(folder / "full-s0", folder / "stopped-s0")
    (folder / "stopped-s0" / "FINISHED.json").unlink()
    return folder


def tool(*arguments: Any) -> int:
    """Run the tool in this process, where MXNet need not be imported again."""
    with command_line():
        return int(importlib.import_module("gluon_nrm.cli.export").main([str(each) for each in arguments]))


def scores_of(folder: Path, manifest: Manifest, form: str, images: np.ndarray) -> List[np.ndarray]:
    if form == "onnx":
        return OnnxModel(check_files(folder, manifest, form)[0])(images)
    prefix = "" if form == "symbol" else "int8-"
    symbol, params = check_files(folder, manifest, f"{prefix}symbol", f"{prefix}params")
    return run_once((symbol, params), images)


@needs_onnx
def test_a_user_exports_everything(runs: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "export.py"), str(runs / "full-s0"), "--format", "all"]
    done = subprocess.run(
        [*command, "--out", "out/digits"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    folder = tmp_path / "out" / "digits"
    assert sorted(path.name for path in folder.iterdir()) == [
        "model.json", "short-s0-0000.params", "short-s0-int8-0000.params", "short-s0-int8-symbol.json",
        "short-s0-symbol.json", "short-s0.onnx",
    ]  # fmt: skip
    assert sorted(path.name for path in folder.parent.iterdir()) == ["digits"]
    manifest = read_manifest(folder)
    assert [file.format for file in manifest.files.values()] == [
        "symbol", "params", "onnx", "int8-symbol", "int8-params",
    ]  # fmt: skip
    for word in (
        "SymbolBlock and Module differ",
        "onnxruntime differs",
        "of 50 validation images wrong",
        "teacher",
    ):
        assert word in done.stdout
    assert all(name in done.stdout for name in manifest.files)


@needs_onnx
def test_model_json_and_the_predictions_that_evaluation_counts(runs: Path, tmp_path: Path) -> None:
    restored = restore(runs / "full-s0", devices="cpu")
    out = tmp_path / "out"
    manifest = export_run(runs / "full-s0", out, FORMATS, network="student", normalise=True, softmax=True)
    assert manifest == read_manifest(out)
    rows = restored.run.read_metrics()
    held_out = restored.parts.dataset.train.subset(restored.parts.split.validation)
    assert manifest.test_error is not None and manifest.int8 is not None
    assert (manifest.test_error.part, manifest.test_error.images) == ("validation", 50)
    assert manifest.test_error.error == pytest.approx(rows[-1]["error/student"])
    assert manifest.input.pixels == [0, 16] and manifest.input.normalised_by == "graph"
    assert manifest.source.recipe_hash == recipe_hash(restored.parts.recipe)
    assert (manifest.source.labels, manifest.source.epochs, manifest.source.seed) == (20, 2, 0)
    assert manifest.source.commit == restored.run.env()["commit"]
    assert (manifest.network, manifest.input_shape) == ("student", (1, 8, 8))
    assert manifest.class_names == [str(digit) for digit in range(10)]
    assert (manifest.int8.calibration_images, manifest.int8.calibration_mode) == (512, "naive")
    expected = restored.parts.net(mx.nd.array(DIGITS.normalise(held_out.images))).logits.softmax().asnumpy()
    wrong: Dict[str, float] = {}
    for form, tolerance in (("symbol", 1e-5), ("onnx", 1e-4), ("int8", 0.2)):
        probabilities = scores_of(out, manifest, form, np.asarray(held_out.images).astype(np.float32))[0]
        np.testing.assert_allclose(probabilities, expected, atol=tolerance)
        wrong[form] = 100 * float(np.mean(probabilities.argmax(axis=1) != held_out.labels))
    assert wrong["symbol"] == wrong["onnx"] == pytest.approx(manifest.test_error.error)
    errors = (manifest.int8.float32_error, manifest.int8.int8_error)
    assert errors == pytest.approx((wrong["symbol"], wrong["int8"]))


@needs_onnx
@pytest.mark.parametrize("output", ["max", "min", "mixture"])
def test_outputs_and_renderings(output: str, runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert (
        tool(
            runs / "full-s0",
            "--output",
            output,
            "--with-rendering",
            "--format",
            "symbol",
            "onnx",
            "--out",
            out,
        )
        == 0
    )
    manifest = read_manifest(out)
    branches = ["max", "min"] if output == "mixture" else [output]
    names = [f"rendering_{branch}" if output == "mixture" else "rendering" for branch in branches]
    assert [(each.name, each.what, each.output) for each in manifest.outputs] == [
        ("logits", "logits", output), *((name, "rendering", branch) for name, branch in zip(names, branches)),
    ]  # fmt: skip
    assert manifest.test_error is not None
    row = restore(runs / "full-s0", devices="cpu").run.read_metrics()[-1]
    assert manifest.test_error.error == row["error/teacher" + ("" if output == "mixture" else f"_{output}")]
    x = DIGITS.normalise(DIGITS.test.images[:7])
    found = [scores_of(out, manifest, form, x) for form in ("symbol", "onnx")]
    assert [each.shape for each in found[0]] == [(7, 10), *[(7, 1, 8, 8)] * len(branches)]
    for one, other in zip(*found):
        np.testing.assert_allclose(one, other, atol=1e-4 * np.abs(one).max())


@needs_bfloat16
def test_a_network_of_half_precision_is_exported_in_single(runs: Path, tmp_path: Path) -> None:
    manifest = export_run(runs / "plain-s0", tmp_path / "out")
    net = restore(runs / "plain-s0", devices="cpu", dtype="float32").network
    x = DIGITS.normalise(DIGITS.test.images[:5])
    expected = net(mx.nd.array(x)).logits.asnumpy()
    found = scores_of(tmp_path / "out", manifest, "symbol", x)[0]
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
    assert (manifest.network, manifest.outputs[0].output) == ("student", "max")


ERRORS: Dict[str, Tuple[str, List[str], str]] = {
    "unfinished": ("stopped-s0", [], "stopped-s0 is not finished: 2 epochs of 2; go on with tools/train.py"),
    "no run": ("nowhere", [], "there is no such run folder"),
    "no teacher": (
        "plain-s0",
        ["--network", "teacher"],
        "--network teacher: .* has a student only; leave it out",
    ),
    "no Min branch": (
        "plain-s0",
        ["--output", "min"],
        "--output min: .* one branch .*; leave --output out",
    ),
    "no mixture": ("plain-s0", ["--output", "mixture"], "--output mixture: .* has one branch"),
    "no rendering": ("plain-s0", ["--with-rendering"], "--with-rendering: .* does not render"),
    "int8 renders not": (
        "full-s0",
        ["--with-rendering", "--format", "int8"],
        "int8 holds the classifier alone",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_leave_nothing(name: str, runs: Path, tmp_path: Path) -> None:
    run, arguments, message = ERRORS[name]
    with pytest.raises(NRMError, match=message) as raised:
        tool(runs / run, *arguments, "--out", tmp_path / "out")
    assert raised.value.exit_code == 2 and not list(tmp_path.iterdir())


CHECKPOINTS: Dict[str, Tuple[Callable[[Path], Any], str]] = {
    "missing": (remove("checkpoints"), "there is no checkpoint yet"),
    "damaged": (write("checkpoints/epoch_0002/teacher.npz", b"not an archive"), "teacher.npz"),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_checkpoint_missing_or_damaged(name: str, runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "full-s0", tmp_path / "run")
    spoil, message = CHECKPOINTS[name]
    spoil(tmp_path / "run")
    with pytest.raises(NRMError, match=message):
        tool(tmp_path / "run", "--out", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_exists_is_left_alone(kind: str, runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    make: Dict[str, Callable[[], None]] = {
        "folder": out.mkdir, "file": out.touch, "dangling link": lambda: out.symlink_to("nowhere"),
    }  # fmt: skip
    make[kind]()
    with pytest.raises(DeployError, match="it exists, and nothing is overwritten; give a new folder"):
        tool(runs / "full-s0", "--out", out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_cannot_be_made(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeployError, match="cannot make .*file/out: File exists; check"):
        tool(runs / "full-s0", "--out", tmp_path / "file" / "out")


def wrong_fold(*arguments: Any) -> Any:
    """A norm folded as if its shift were nothing."""
    found = RIGHT_FOLD(*arguments)
    return None if found is None else affine.Affine(found.scale, 0 * found.shift)


RIGHT_FOLD = affine.read_affine


@pytest.mark.parametrize("form", ["symbol", "onnx"])
def test_a_mismatch_leaves_no_folder(
    form: str, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if form == "onnx":
        pytest.importorskip("onnxruntime")
    monkeypatch.setattr("gluon_nrm.export.fold.read_affine", wrong_fold)
    with pytest.raises(
        DeployError, match="differs from the network's by .* of its largest value, more than 1e-0"
    ):
        tool(runs / "full-s0", "--format", form, "--out", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_kill_on_the_way_leaves_no_folder(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "write_manifest", stop)
    with pytest.raises(KeyboardInterrupt):
        tool(runs / "full-s0", "--out", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_int8_that_loses_too_much_is_refused(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = quantise.quantise
    # scales from images of one grey: everything else is cut off
    monkeypatch.setattr(export, "quantise", lambda graph, images, paths: right(graph, images * 1e-3, paths))
    monkeypatch.setattr(verify, "INT8_LOSS", 0.0)
    with pytest.raises(DeployError, match="in int8 .* % of the images are classified wrongly, in float32"):
        tool(runs / "full-s0", "--format", "int8", "--out", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def comparison(expected: np.ndarray, what: str = "logits", rounding: float = 0.0) -> Comparison:
    output = Output("out", what, "max")
    return Comparison(np.arange(float(len(expected))), {"out": expected}, [output], rounding)


def test_what_a_comparison_allows() -> None:
    """Differences up to the tolerance, or up to a few times the network's own rounding; no other class."""
    expected = np.tile([1.0, -2.0, 0.5], (16, 1)).astype(np.float32)

    def off_by(difference: float) -> Callable[[np.ndarray], List[np.ndarray]]:
        return lambda images: [expected[: len(images)] + np.array([0, difference, 0], np.float32)]

    assert comparison(expected).check("it", off_by(1e-5)) == pytest.approx(5e-6, rel=0.05)
    with pytest.raises(
        DeployError, match=r"it: out differs from the network's by 5.0e-05 .* more than 1e-05"
    ):
        comparison(expected).check("it", off_by(1e-4))
    comparison(expected).check("it", off_by(1e-4), 1e-4)
    comparison(expected, rounding=2e-5).check("it", off_by(1e-4))
    with pytest.raises(DeployError, match="more than 1e-03"):
        comparison(expected, rounding=1.0).check("it", off_by(0.01))
    near = np.tile([1.0, 1.0 - 2e-6], (16, 1)).astype(np.float32)
    with pytest.raises(DeployError, match="predicts another class than the network for image 0"):
        comparison(near).check("it", lambda images: [near[: len(images), ::-1]])

    def first_of(outputs: np.ndarray, images: np.ndarray) -> List[np.ndarray]:
        return [outputs[: len(images)]]

    for wrong in (np.full((16, 3), np.nan), expected[:, :2]):
        with pytest.raises(DeployError, match="or not finite"):
            comparison(expected).check("it", partial(first_of, wrong))


def test_a_few_renderings_may_differ_where_a_state_is_undecided() -> None:
    expected = np.random.default_rng(0).standard_normal((16, 1, 4, 4)).astype(np.float32)

    def some_off(count: int) -> Callable[[np.ndarray], List[np.ndarray]]:
        found = expected.copy()
        found[16 - count :, :, 0, 0] += 1
        return lambda images: [found[: len(images)]]

    comparison(expected, "rendering").check("it", some_off(4))
    with pytest.raises(DeployError, match="it: 5 of 17 renderings are not the network's"):
        comparison(expected, "rendering").check("it", some_off(5))


def test_rounded_otherwise_is_one_unit_away() -> None:
    images = np.random.default_rng(0).standard_normal((3, 1, 4, 4)).astype(np.float32)
    other = rounded_otherwise(images)
    assert other.dtype == np.float32 and (other != images).all()
    assert np.all(np.abs(other - images) <= np.spacing(np.abs(images)))


def test_the_module_binds_a_new_size(runs: Path, tmp_path: Path) -> None:
    """As evaluation's last batch is shorter, and users' batches are of any size."""
    manifest = export_run(runs / "full-s0", tmp_path / "out")
    paths = check_files(tmp_path / "out", manifest, "symbol", "params")
    model = BoundModel(read_files((paths[0], paths[1])), 5, (1, 8, 8))
    x = DIGITS.normalise(DIGITS.test.images[:5])
    found = [model(x[:size])[0] for size in (5, 2, 1, 5)]
    for each in found:
        np.testing.assert_allclose(each, found[0][: len(each)], atol=1e-5)


def test_model_json_is_for_people_too(runs: Path, tmp_path: Path) -> None:
    export_run(runs / "full-s0", tmp_path / "out")
    text = (tmp_path / "out" / "model.json").read_text(encoding="utf-8")
    assert list(json.loads(text)) == [
        "version", "name", "input", "outputs", "class_names", "network", "source", "test_error", "int8",
        "files",
    ]  # fmt: skip
    assert str(tmp_path) not in text and str(runs) not in text
