"""tools/predict.py as a user runs it: exports written by hand, whose answers NumPy computes, and a run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Sequence

import mxnet as mx
import numpy as np
import pytest
from fakes import ROOT
from linear_export import BACKENDS, CLASSES, needs_onnx, reseal, write_export
from picture_files import class_folders
from PIL import Image
from predicting import COUNT, IMAGES, NET, call, work_in
from short_runs import FULL, SUPERVISED, fit_without_pictures, recipe

from gluon_nrm.models import Reconstructor
from gluon_nrm.predict import manifest as m
from gluon_nrm.training.restore import restore


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return work_in(tmp_path, monkeypatch)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch", [1, 3, 64])
def test_json(here: Path, monkeypatch: Any, capsys: Any, backend: str, batch: int) -> None:
    write_export(here / "net", NET)
    arguments = ["net", "images", "--format", "json", "--backend", backend, "--top", "3"]
    assert call(monkeypatch, *arguments, "--batch", batch) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["model"] == {"name": "net", "network": "student", "output": "max", "backend": backend}
    wanted = NET.probabilities(IMAGES)
    assert [image["file"] for image in answer["images"]] == [f"images/{n}.png" for n in range(COUNT)]
    for image, row in zip(answer["images"], wanted):
        order = np.argsort(-row)[:3]
        assert [guess["index"] for guess in image["top"]] == order.tolist()
        assert [guess["class"] for guess in image["top"]] == [CLASSES[index] for index in order]
        found = [guess["probability"] for guess in image["top"]]
        np.testing.assert_allclose(found, row[order], rtol=1e-4)
        assert (image["class"], image["probability"]) == (CLASSES[order[0]], found[0])
    assert len(set(wanted.argmax(axis=1))) > 1


def test_table(here: Path, monkeypatch: Any, capsys: Any) -> None:
    write_export(here / "net", NET)
    assert call(monkeypatch, "net", "images/3.png", "images/0.png", "--backend", "mxnet") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["image", "class", "probability", "then"]
    for line, number in zip(lines[1:], (3, 0)):
        row = NET.probabilities(IMAGES[[number]])[0]
        texts = [f"{CLASSES[index]} {100 * row[index]:.2f} %" for index in np.argsort(-row)]
        name, per_cent = texts[0].split(" ", 1)
        assert re.fullmatch(rf"images/{number}.png +{name} +{per_cent}  {', '.join(texts[1:])}", line)
    assert call(monkeypatch, "net", "images/3.png", "--top", "1", "--backend", "mxnet") == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["image", "class", "probability"]


def pasted(picture: np.ndarray, scale: int) -> np.ndarray:
    """A picture (C, H, W) between black and white, every pixel ``scale`` pixels wide."""
    scaled = (picture - picture.min()) / np.ptp(picture)
    return np.rint(255 * scaled).transpose(1, 2, 0).repeat(scale, axis=0).repeat(scale, axis=1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("normalised_by", [m.CALLER, m.GRAPH])
def test_renderings(here: Path, monkeypatch: Any, backend: str, normalised_by: str) -> None:
    manifest = write_export(here / "net", NET, rendering=True)
    given = replace(manifest.input, normalised_by=normalised_by)
    m.write_manifest(here / "net", replace(manifest, input=given))
    assert call(monkeypatch, "net", "images", "--render", "seen.png", "--backend", backend) == 0
    seen = np.asarray(Image.open("seen.png")).astype(float)
    if normalised_by == m.CALLER:
        rendered = NET.to_pixels(NET.rendering(NET.normalise(IMAGES)))
    else:  # so the manifest says, and the graph is given pixels
        rendered = NET.rendering(IMAGES)
    for number in range(COUNT):
        for column, picture in enumerate((IMAGES[number], rendered[number])):
            top, left = 22 + number * (96 + 22), 8 + column * (120 + 8)  # 24 pixels for each of 4 x 5
            np.testing.assert_allclose(seen[top : top + 96, left : left + 120], pasted(picture, 24), atol=1)


def test_probabilities_are_taken_as_they_are(here: Path, monkeypatch: Any, capsys: Any) -> None:
    manifest = write_export(here / "net", NET)
    (mx.sym.softmax(NET.symbol(False))).save("net/net-symbol.json")
    m.write_manifest(here / "net", replace(manifest, outputs=[m.Output("p", m.PROBABILITIES, m.MAX)]))
    reseal(here / "net")
    assert call(monkeypatch, "net", "images/0.png", "--format", "json", "--backend", "mxnet") == 0
    found = json.loads(capsys.readouterr().out)["images"][0]["probability"]
    assert found == pytest.approx(NET.probabilities(IMAGES[:1]).max(), rel=1e-5)


# --- a run ---


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a teacher, both branches and renderings."""
    short = recipe(FULL, "train.epochs=1", "train.epoch_steps=2")
    return fit_without_pictures(short, root=tmp_path_factory.mktemp("runs")).path


def digit_files(folder: Path, images: np.ndarray) -> np.ndarray:
    """Write digits as grey files; returns the pixels that are read back, (N, 1, 8, 8)."""
    stored = np.rint(images * 255 / 16).astype(np.uint8)
    for number, image in enumerate(stored):
        Image.fromarray(image[0]).save(folder / f"{number:03}.png")
    return (stored * (16 / 255)).astype(np.float32)


@pytest.mark.parametrize("network", ["student", "teacher"])
@pytest.mark.parametrize("output", ["max", "min", "mixture"])
def test_a_run(here: Path, run: Path, monkeypatch: Any, capsys: Any, network: str, output: str) -> None:
    parts = restore(run, devices="cpu").parts
    (here / "digits").mkdir()
    stored = digit_files(here / "digits", np.asarray(parts.dataset.test.images[:20]))
    net = parts.networks[network]
    prediction = net(mx.nd.array(parts.dataset.normalise(stored)))
    scores = getattr(prediction, {"max": "logits_max", "min": "logits_min", "mixture": "logits"}[output])
    arguments = [run, "digits", "--format", "json", "--devices", "cpu"]
    arguments += ["--network", network, "--output", output, "--batch", "7"]
    assert call(monkeypatch, *arguments) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["model"] == {"name": "short-s0", "network": network, "output": output, "backend": "mxnet"}
    found = [image["top"][0]["index"] for image in answer["images"]]
    assert found == scores.asnumpy().argmax(axis=1).tolist()
    wanted = mx.nd.softmax(scores).asnumpy().max(axis=1)
    np.testing.assert_allclose([image["probability"] for image in answer["images"]], wanted, rtol=1e-4)


def test_a_run_renders(here: Path, run: Path, monkeypatch: Any, capsys: Any) -> None:
    (here / "digits").mkdir()
    parts = restore(run, devices="cpu").parts
    stored = digit_files(here / "digits", np.asarray(parts.dataset.test.images[:3]))
    assert call(monkeypatch, run, "digits", "--render", "seen.png", "--devices", "cpu") == 0
    seen = np.asarray(Image.open("seen.png").convert("L")).astype(float)
    images = mx.nd.array(parts.dataset.normalise(stored))
    rendered = Reconstructor(parts.networks["teacher"])(images, -mx.nd.ones(3)).images
    columns = [stored, *(image.asnumpy() for image in rendered)]
    for row in range(3):
        for column, pictures in enumerate(columns):
            wanted = pasted(pictures[row], 12)[..., 0]
            top, left = 22 + row * (96 + 22), 8 + column * (96 + 8)
            np.testing.assert_allclose(seen[top : top + 96, left : left + 96], wanted, atol=1)


@pytest.mark.parametrize("settings", ["size: 8", "size: 14, streamed: true"])
def test_a_run_on_files_of_any_size(here: Path, monkeypatch: Any, capsys: Any, settings: str) -> None:
    """Read as evaluation reads them, without --resize."""
    class_folders(here / "mine", {"ant": 5, "bee": 5}, height=19, width=16)
    digits = "name: digits, labels: 20, validation: 50, shift: 1"
    text = SUPERVISED.replace(digits, f"name: folder, path: mine, {settings}")
    short = recipe(text, "train.epochs=1", "train.epoch_steps=1", "train.batch_labelled=2")
    path = fit_without_pictures(short, root=here / "runs").path
    parts = restore(path, devices="cpu").parts
    prediction = parts.net(mx.nd.array(parts.dataset.normalise(parts.dataset.test.images)))
    wanted = mx.nd.softmax(prediction.logits).asnumpy()
    assert call(monkeypatch, path, "mine", "--format", "json", "--devices", "cpu") == 0
    images = json.loads(capsys.readouterr().out)["images"]
    found = np.zeros((len(images), 2))
    for row, image in zip(found, images):
        row[[guess["index"] for guess in image["top"]]] = [guess["probability"] for guess in image["top"]]
    for row in wanted:  # each test image is one of the files
        assert np.isclose(found, row, rtol=1e-4).all(axis=1).sum() == 1


# --- with one backend and little else ---

#: What only training needs.
TRAINING = ["yaml", "matplotlib", "tqdm", "sklearn", "scipy", "gluon_nrm.models", "gluon_nrm.recipe"]
MINIMAL = """\
import runpy, sys
for name in {blocked!r}:
    sys.modules[name] = None
sys.argv = {arguments!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def without(blocked: Sequence[str], *arguments: str) -> subprocess.CompletedProcess:
    """Run the tool in a process in which modules cannot be imported."""
    tool = str(ROOT / "tools" / "predict.py")
    code = MINIMAL.format(blocked=list(blocked), arguments=[tool, *arguments])
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environ["PYTHONPATH"] = str(ROOT / "tools")
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("backend", "blocked"),
    [
        ("mxnet", ["onnx", "onnxruntime", *TRAINING]),
        pytest.param("onnxruntime", ["mxnet", "onnx", *TRAINING, "gluon_nrm.training"], marks=needs_onnx),
    ],
)
def test_one_backend_is_enough(here: Path, backend: str, blocked: List[str]) -> None:
    write_export(here / "net", NET, rendering=True)
    ended = without(blocked, "net", "images", "--format", "json", "--render", "seen.png")
    assert (ended.returncode, ended.stderr) == (0, "")
    answer: Dict[str, Any] = json.loads(ended.stdout)
    assert answer["model"]["backend"] == backend
    found = [image["top"][0]["index"] for image in answer["images"]]
    assert found == NET.scores(NET.normalise(IMAGES)).argmax(axis=1).tolist()
    assert Path("seen.png").exists()


@pytest.mark.parametrize(
    ("blocked", "arguments", "said"),
    [
        (["mxnet", "onnxruntime"], [], r"neither onnxruntime nor MXNet is .*pip install onnxruntime`.*"),
        (["onnxruntime"], ["--backend", "onnxruntime"], r"onnxruntime is not .*pip install onnxruntime`"),
        (["mxnet"], ["--backend", "mxnet"], r"MXNet is not installed in this Python: .*"),
    ],
)
def test_what_is_not_installed(here: Path, blocked: List[str], arguments: List[str], said: str) -> None:
    write_export(here / "net", NET)
    if not (here / "net" / "net.onnx").exists():
        pytest.skip("onnx is not installed")
    ended = without(blocked, "net", "images", *arguments)
    assert ended.returncode == 2
    assert re.fullmatch(rf"error: {said}\n", ended.stderr), ended.stderr
