"""Exports: model.json, symbol.json, .params and .onnx, opened and run on an image."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import numpy as np

from fuzz.cases import Files, Target
from fuzz.targets_runs import train


def exports(folder: Path) -> None:
    """One classifier written by hand, with and without its rendering, and one that was trained."""
    from linear_export import Linear, write_export
    from short_runs import FULL

    from gluon_nrm.export.export_run import export_run

    write_export(folder / "linear", Linear())
    write_export(folder / "rendering", Linear(), rendering=True)
    run = train(FULL)
    export_run(run, folder / "trained-net", ("symbol", "onnx"), normalise=True)
    export_run(run, folder / "rendering-net", ("symbol", "onnx"), rendering=True)


def mend_export(files: Files, rng: random.Random) -> None:
    """Write size and SHA-256 of every file into model.json."""
    try:
        manifest = json.loads(files["model.json"])
        for name, entry in manifest["files"].items():
            if name in files:
                entry["bytes"] = len(files[name])
                entry["sha256"] = hashlib.sha256(files[name]).hexdigest()
        files["model.json"] = json.dumps(manifest).encode("utf-8")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return


def read_export(folder: Path, rng: random.Random, backend: str) -> None:
    """Open an export and have it classify an image, as tools/predict.py does."""
    from gluon_nrm.predict.open_classifier import open_classifier
    from gluon_nrm.predict.predict_images import predict
    from gluon_nrm.predict.predict_options import PredictOptions

    rendering = rng.random() < 0.3
    classifier = open_classifier(
        folder,
        PredictOptions(backend=backend, devices="cpu" if backend == "mxnet" else None, rendering=rendering),
    )
    image = folder.parent / "image.png"
    if not image.exists():
        from picture_files import encoded, pixels

        image.write_bytes(encoded(pixels(4, 5, channels=1)))
    for _ in predict(classifier, [image], resize=True, pictures=rendering):
        pass


def read_by_mxnet(folder: Path, rng: random.Random) -> None:
    read_export(folder, rng, "mxnet")


def read_by_onnxruntime(folder: Path, rng: random.Random) -> None:
    read_export(folder, rng, "onnxruntime")


def read_manifest(folder: Path, rng: random.Random) -> None:
    from gluon_nrm.predict.classifier import softmax
    from gluon_nrm.predict.manifest import read_manifest as read

    manifest = read(folder)
    softmax(np.zeros((1, len(manifest.class_names))))


TARGETS = [
    Target("manifest", exports, read_by_onnxruntime, lambda name: name == "model.json", mend_export),
    Target("manifest-mxnet", exports, read_by_mxnet, lambda name: name == "model.json", mend_export),
    Target(
        "symbol", exports, read_by_mxnet, lambda name: name.endswith("symbol.json"), mend_export, share=1.5
    ),
    Target("params", exports, read_by_mxnet, lambda name: name.endswith(".params"), mend_export, share=1.5),
    Target("onnx", exports, read_by_onnxruntime, lambda name: name.endswith(".onnx"), mend_export, share=1.5),
]
