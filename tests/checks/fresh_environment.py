"""Classify the 500 test digits in fresh environments that hold one backend each; ``make deploy-check``.

    python tests/checks/fresh_environment.py                            # trains digits for three epochs first
    python tests/checks/fresh_environment.py runs/digits_maxmin_mt-s0   # a finished run on the digits

The run is exported, and the program of docs/deploy.md classifies the images from the export alone: with
onnxruntime and numpy, with MXNet and numpy. Every prediction has to be the network's own, and their number
of errors the one that evaluation counts. Then Pillow is added, and tools/predict.py has to say of image files
what it says of them with the run itself. Needs a package index; the environments are removed at the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import List, NamedTuple

import mxnet as mx
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "helpers")]

from snippets import snippet  # noqa: E402

from gluon_nrm.runs.run_data import TEST  # noqa: E402  (from this checkout)
from gluon_nrm.training.evaluate_run import evaluate_run  # noqa: E402  (from this checkout)
from gluon_nrm.training.restore import restore  # noqa: E402

#: What is installed beside Python, and nothing else but what these ask for themselves.
PACKAGES = {
    "onnxruntime": ["onnxruntime", "numpy"],
    "mxnet": ["mxnet==1.9.1", "numpy==1.23.5"],
}
RECIPE = ROOT / "recipes" / "digits_maxmin_mt.yaml"


class Digits(NamedTuple):
    """What the network itself says of the test digits."""

    classes: List[str]
    labels: List[str]
    error: float  # per cent, by evaluation


def run(folder: Path, *command: object) -> str:
    """Run a command as a user's shell would, and return what it prints."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environ["PYTHONWARNINGS"] = "ignore"
    words = [str(word) for word in command]
    ended = subprocess.run(words, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True)
    if ended.returncode:
        raise SystemExit(f"failed: {' '.join(words)}")
    return ended.stdout


def train(folder: Path) -> Path:
    """Train the digits for a few epochs."""
    command = [sys.executable, ROOT / "tools" / "train.py", RECIPE, "--set", "train.epochs=3"]
    run(folder, *command, "--runs", folder / "runs", "--devices", "cpu")
    return folder / "runs" / "digits_maxmin_mt-s0"


def prepare(folder: Path, path: Path) -> Digits:
    """Export a run, write the test digits as an array and as files, and have the network classify them."""
    print(run(folder, sys.executable, ROOT / "tools" / "export.py", path, "--format", "symbol", "onnx",
              "--out", folder / "exported"), end="")  # fmt: skip
    restored = restore(path, devices="cpu")
    data = restored.parts.dataset
    np.save(folder / "images.npy", data.test.images)
    (folder / "digits").mkdir()
    for number, image in enumerate(np.rint(np.asarray(data.test.images) * 255 / 16).astype(np.uint8)):
        Image.fromarray(image[0]).save(folder / "digits" / f"{number:03}.png")
    found = evaluate_run(path, devices="cpu", part=TEST).errors
    error = found.get("teacher", found["student"])[""]
    scores = restored.network(mx.nd.array(data.normalise(data.test.images))).logits.asnumpy()
    names = data.class_names
    return Digits(
        [names[index] for index in scores.argmax(axis=1)], [names[label] for label in data.test.labels], error
    )


def predictions(folder: Path, python: object, model: Path, *options: str) -> List[str]:
    """Classes of the image files by ``tools/predict.py``."""
    tool = ROOT / "tools" / "predict.py"
    answer = json.loads(run(folder, python, tool, model, "digits", "--format", "json", *options))
    return [image["class"] for image in answer["images"]]


def check(folder: Path, backend: str, digits: Digits, by_run: List[str]) -> bool:
    """Make an environment for a backend, classify in it, and say how many predictions agree."""
    place = folder / f"only-{backend}"
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    run(folder, *pip, "install", "-q", *PACKAGES[backend])
    there = json.loads(run(folder, *pip, "list", "--format", "json"))
    print(f"{backend}: " + ", ".join(f"{each['name']} {each['version']}" for each in there))
    (folder / "classify.py").write_text(snippet(backend), encoding="utf-8")
    found = run(folder, python, "classify.py").split()
    same = sum(one == other for one, other in zip(found, digits.classes))
    wrong = sum(one != other for one, other in zip(found, digits.labels))
    count = len(digits.classes)
    print(f"  program of docs/deploy.md: {same} of {count} as the network predicts")
    print(f"  wrong: {wrong} ({100 * wrong / count:.2f} %); by evaluation {digits.error:.2f} %")
    run(folder, *pip, "install", "-q", "pillow")
    by_export = predictions(folder, python, folder / "exported", "--backend", backend)
    agree = sum(one == other for one, other in zip(by_export, by_run))
    print(f"  tools/predict.py on PNG files: {agree} of {len(by_run)} as with the run itself")
    exact = abs(100 * wrong / count - digits.error) < 1e-9
    return (len(found), same, agree) == (count, count, count) and exact


def main() -> int:
    """Check both backends; exit code 1 where a single prediction differs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else train(folder)
        digits = prepare(folder, path)
        by_run = predictions(folder, sys.executable, path, "--devices", "cpu")
        passed = [check(folder, backend, digits, by_run) for backend in PACKAGES]
    print("all predictions agree" if all(passed) else "predictions differ")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
