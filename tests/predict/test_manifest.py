"""model.json: written and read back, and what is said of one that is damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, Tuple

import pytest
from fakes import python

from gluon_nrm.errors import DeployError
from gluon_nrm.predict.manifest import (
    MANIFEST,
    VERSION,
    File,
    Input,
    Manifest,
    Measured,
    Output,
    Quantised,
    Source,
    check_files,
    describe_file,
    read_manifest,
    write_manifest,
)

SOURCE = Source("digits", "0123456789ab", 0, "digits_cnn", "digits", 50, 40, None, None, "0.1.0")
WHOLE = Manifest(
    VERSION, "net", Input("data", [None, 1, 8, 8], "float32", [0, 16], "caller", [4.5], [6.0], 9),
    [Output("logits", "logits", "mixture"), Output("rendering_max", "rendering", "max")],
    ["zero", "eins – β"], "teacher", SOURCE,
    Measured("test", 500, 5.2), Quantised(512, "naive", "test", 500, 5.2, 5.0),
)  # fmt: skip


@pytest.fixture
def export(tmp_path: Path) -> Path:
    (tmp_path / "net.onnx").write_bytes(b"bytes of a network")
    files = {"net.onnx": describe_file(tmp_path / "net.onnx", "onnx")}
    write_manifest(tmp_path, replace(WHOLE, files=files))
    return tmp_path


def test_what_is_written_is_read(export: Path) -> None:
    manifest = read_manifest(export)
    assert replace(manifest, files={}) == WHOLE
    assert manifest.input_shape == (1, 8, 8)
    assert manifest.files == {
        "net.onnx": File("onnx", "cc4f5b8376e76fdc8041de9a717d6d1666c18aa9f1c05a2fe5828ad087d4cdc0", 18)
    }
    assert check_files(export, manifest, "onnx") == [export / "net.onnx"]
    write_manifest(export, replace(WHOLE, test_error=None, int8=None))
    assert read_manifest(export) == replace(WHOLE, test_error=None, int8=None)


#: A key, its new value (MISSING: it is taken out), and what is said.
MISSING = object()
DAMAGE: Dict[str, Tuple[str, Any, str]] = {
    "a key gone": ("source.seed", MISSING, "source.seed is missing"),
    "a key too many": ("input.colour", "RGB", "input.colour is unknown"),
    "a string for a number": ("input.shape.1", "one", "input.shape.1 must be an integer"),
    "a fraction": ("source.labels", 1.5, "source.labels must be an integer"),
    "true for a number": ("source.seed", True, "source.seed must be an integer"),
    "a number for true": ("source.uncommitted_changes", 1, "uncommitted_changes must be a boolean"),
    "no number": ("input.mean.0", float("nan"), "input.mean.0 must be a number"),
    "a number for a string": ("class_names.0", 7, "class_names.0 must be a string"),
    "an object for a list": ("outputs", {}, "outputs must be a list"),
    "a list for an object": ("files", [], "files must be an object"),
    "null": ("network", None, "network must be a string"),
    "another type": ("input.dtype", "uint8", "input.dtype must be float32"),
    "a batch": ("input.shape.0", 4, "input.shape must be null and three lengths above 0"),
    "no height": ("input.shape.2", None, "input.shape must be null and three lengths above 0"),
    "too few lengths": ("input.shape", [None, 8, 8], "input.shape must be null and three lengths"),
    "falling pixels": ("input.pixels", [16, 0], "input.pixels must be two rising numbers"),
    "nobody normalises": ("input.normalised_by", "nobody", "input.normalised_by must be graph or caller"),
    "means of other channels": ("input.mean", [1, 2, 3], "input.mean must be one number a channel"),
    "no deviation": ("input.std.0", 0, "input.std must be one number above 0 a channel"),
    "no output": ("outputs", [], "outputs must be at least one output"),
    "another output": ("outputs.0.what", "boxes", "outputs must be logits, probabilities and rendering"),
    "another branch": ("outputs.0.output", "left", "outputs must be max, min and mixture"),
    "one class": ("class_names", ["zero"], "class_names must be at least two names"),
    "another format": ("files.net.format", "exe", "files must be formats symbol"),
    "a file elsewhere": ("files", {"../net": {"format": "onnx", "sha256": "", "bytes": 1}},
                         "files must be names without folders"),
    "version 0": ("version", 0, "version must be a number from 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_one_is_named_by_its_key(name: str, export: Path) -> None:
    key, value, message = DAMAGE[name]
    content = json.loads((export / MANIFEST).read_text(encoding="utf-8"))
    content["files"] = {"net": content["files"]["net.onnx"]}
    *parents, last = key.split(".")
    place: Any = content
    for part in parents:
        place = place[int(part) if isinstance(place, list) else part]
    if value is MISSING:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    (export / MANIFEST).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DeployError, match=f"{MANIFEST} is damaged: .*{message}"):
        read_manifest(export)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"version": 1', r"is damaged: it is not JSON \(Expecting"),
        (b"\xff\xfe", r"is damaged: it is not JSON \('utf-8' codec"),
        (b"[]", "is damaged: it holds no JSON object"),
        (b'{"version": 1, "old": 1}', "is of version 1, and this package reads version 2; export"),
        (b'{"version": 3, "new": 1}', "is of version 3, and this package reads version 2"),
    ],
)
def test_no_json_or_of_a_later_version(text: bytes, message: str, export: Path) -> None:
    (export / MANIFEST).write_bytes(text)
    with pytest.raises(DeployError, match=message):
        read_manifest(export)


def test_no_export(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="is no export: model.json is missing"):
        read_manifest(tmp_path)
    with pytest.raises(DeployError, match="there is no such folder"):
        read_manifest(tmp_path / "other")


def test_files_are_checked(export: Path) -> None:
    manifest = read_manifest(export)
    with pytest.raises(DeployError, match=r"holds no params file \(onnx\)"):
        check_files(export, manifest, "onnx", "params")
    (export / "net.onnx").write_bytes(b"bytes of a Network")
    with pytest.raises(DeployError, match="net.onnx is damaged or belongs to another export: its checksum"):
        check_files(export, manifest, "onnx")
    (export / "net.onnx").unlink()
    with pytest.raises(DeployError, match="net.onnx is missing, which model.json lists"):
        check_files(export, manifest, "onnx")


def test_it_is_read_without_mxnet_and_onnx(export: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom gluon_nrm.predict.manifest import read_manifest\n"
        f"print(read_manifest(Path({str(export)!r})).name, {{'mxnet', 'onnx', 'yaml'}} & set(sys.modules))"
    )
    done = python(code)
    assert done.stdout.strip() == "net set()", done.stderr
