"""The programs of docs/deploy.md in processes that import nothing else: on noise, and on the test digits."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, List, Tuple

import mxnet as mx
import numpy as np
import pytest
from linear_export import BACKENDS, CLASSES, Linear, needs_onnx, write_export
from short_runs import FULL, fit_without_pictures, recipe
from snippets import DOCUMENT, snippet

from gluon_nrm.export.export_run import export_run
from gluon_nrm.training.evaluate_run import evaluate_run
from gluon_nrm.training.restore import restore

BLOCKED = {
    "mxnet": ["gluon_nrm", "onnx", "onnxruntime", "PIL", "scipy", "sklearn", "yaml"],
    "onnxruntime": ["gluon_nrm", "mxnet", "onnx", "PIL", "scipy", "sklearn", "yaml"],
}


def classes(folder: Path, backend: str) -> List[str]:
    """What a snippet prints, run in a folder with ``exported`` and ``images.npy``."""
    block = f"import sys\nfor name in {BLOCKED[backend]}:\n    sys.modules[name] = None\n"
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environ["PYTHONUTF8"] = "1"
    command = [sys.executable, "-W", "ignore", "-c", block + snippet(backend)]
    ended = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, encoding="utf-8", timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_programs_against_numpy(tmp_path: Path, backend: str) -> None:
    net = Linear((3, 4, 5))
    write_export(tmp_path / "exported", net)
    images = np.random.default_rng(0).integers(0, 256, (40, *net.shape), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    wanted = net.probabilities(images.astype(float)).argmax(axis=1)
    assert classes(tmp_path, backend) == [CLASSES[index] for index in wanted]
    assert len(set(wanted)) > 1


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Tuple[Path, List[str], float]:
    """A run's export and the digits; the class of each by the network; the error that evaluation counts."""
    folder = tmp_path_factory.mktemp("digits")
    short = recipe(FULL.replace("validation: 50, ", ""), "train.epochs=2", "train.epoch_steps=6")
    run = fit_without_pictures(short, root=folder / "runs")
    export_run(run.path, folder / "exported", ("symbol", "onnx"))
    restored = restore(run.path, devices="cpu")
    dataset = restored.parts.dataset
    np.save(folder / "images.npy", dataset.test.images)
    scores = restored.network(mx.nd.array(dataset.normalise(dataset.test.images))).logits.asnumpy()
    names = [dataset.class_names[index] for index in scores.argmax(axis=1)]
    return folder, names, evaluate_run(run.path, devices="cpu").errors["teacher"][""]


@needs_onnx
@pytest.mark.parametrize("backend", ["mxnet", "onnxruntime"])
def test_the_digits_as_evaluation_counts_them(digits: Any, backend: str) -> None:
    folder, names, error = digits
    found = classes(folder, backend)
    assert found == names and len(set(names)) > 3
    labels = restored_labels(folder)
    wrong = sum(name != label for name, label in zip(found, labels))
    assert len(found) == 500 and 100 * wrong / 500 == pytest.approx(error)


def restored_labels(folder: Path) -> List[str]:
    """Classes of the test digits, which evaluation saw."""
    (run,) = (path for path in (folder / "runs").iterdir() if path.is_dir())
    dataset = restore(run, devices="cpu").parts.dataset
    return [dataset.class_names[label] for label in dataset.test.labels]


@pytest.mark.parametrize("name", ["mxnet", "onnxruntime"])
def test_ten_lines(name: str) -> None:
    code = [line for line in snippet(name).splitlines() if line and not line.startswith("import ")]
    assert len(code) <= 10


def test_the_keys_of_the_manifest_are_listed(tmp_path: Path) -> None:
    write_export(tmp_path / "net", Linear())
    manifest = json.loads((tmp_path / "net" / "model.json").read_text(encoding="utf-8"))
    text = DOCUMENT.read_text(encoding="utf-8").split("| key of `model.json` | contents |")[1]
    listed = re.findall(r"`([\w.]+)`", " ".join(re.findall(r"^\| (.*?) \|", text, re.MULTILINE)))
    keys = {key for key in manifest if key not in ("version", "name", "input")}
    keys |= {f"input.{key}" for key in manifest["input"] if key not in ("name", "dtype")}
    assert set(listed) == keys


def test_the_program_in_cpp_names_what_exports_have() -> None:
    code = snippet("c++")
    assert '{"data"}' in code and '{"logits"}' in code
