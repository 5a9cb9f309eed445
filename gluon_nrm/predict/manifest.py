"""``model.json``, the description of an export: its input, outputs, origin and files; read, checked, written.

Needs neither MXNet nor ONNX.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from gluon_nrm.errors import DeployError
from gluon_nrm.storage import files
from gluon_nrm.storage.hashes import sha256_of_file
from gluon_nrm.storage.json_io import SourceFile, read_json, read_value
from gluon_nrm.system.commands import command_name

MANIFEST = "model.json"
REMEDY = "export the run again"
VERSION = 2
#: Name of the graph's input.
IMAGE = "data"

#: The graph or its caller normalises the pixels.
GRAPH, CALLER = "graph", "caller"
#: Kinds of outputs.
LOGITS, PROBABILITIES, RENDERING = "logits", "probabilities", "rendering"
#: Output of a network: of one branch, or the weighted sum of both logits, which evaluation counts by.
MAX, MIN, MIXTURE = "max", "min", "mixture"
#: Formats of files; "symbol" and "params" are a pair, and so are "int8-symbol" and "int8-params".
FORMATS = ("symbol", "params", "int8-symbol", "int8-params", "onnx")


@dataclass(frozen=True)
class Input:
    """The graph's input: images (B, C, H, W) float32, of any batch size."""

    name: str
    #: [null, C, H, W]
    shape: List[Optional[int]]
    dtype: str
    #: [lowest, highest] value of a stored pixel: [0, 255] for bytes
    pixels: List[float]
    #: "graph": the graph takes stored pixels; "caller": the graph takes (pixels - mean) / std
    normalised_by: str
    #: of each channel, in pixel values
    mean: List[float]
    std: List[float]
    #: images of any size are resized (bicubic) to this shorter side, and the central H x W is cut out; null:
    #: images must be H x W
    shorter_side: Optional[int] = None


@dataclass(frozen=True)
class Output:
    """One output of the graph: logits or probabilities (B, K), or a rendering (B, C, H, W).

    A rendering has the units of the input: pixels if the graph normalises, else normalised pixels.
    """

    name: str
    what: str
    #: "max" or "min" branch, or "mixture", the weighted sum of their logits
    output: str


@dataclass(frozen=True)
class Measured:
    """Error of a classifier, in per cent."""

    #: "test" or "validation"
    part: str
    images: int
    error: float


@dataclass(frozen=True)
class Quantised:
    """Calibration of the int8 files, and the errors of both precisions on the same images, in per cent."""

    #: number of training images
    calibration_images: int
    #: "naive" (smallest and largest value) or "entropy"
    calibration_mode: str
    part: str
    images: int
    float32_error: float
    int8_error: float


@dataclass(frozen=True)
class Source:
    """The run that was exported."""

    recipe: str
    recipe_hash: str
    seed: int
    model: str
    dataset: str
    #: number of labelled training images
    labels: int
    epochs: int
    #: commit of the code that trained it; null: unknown
    commit: Optional[str]
    #: the checkout differed from that commit
    uncommitted_changes: Optional[bool]
    #: version of the package that exported it
    gluon_nrm: str


@dataclass(frozen=True)
class File:
    """A file of the export: see ``FORMATS``."""

    format: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """The contents of ``model.json``; ``files`` are by name, in the same folder."""

    version: int
    name: str
    input: Input
    outputs: List[Output]
    class_names: List[str]
    #: "student" or "teacher"
    network: str
    source: Source
    #: of the exported output in the run's last epoch; null: unknown
    test_error: Optional[Measured]
    int8: Optional[Quantised] = None
    files: Dict[str, File] = field(default_factory=dict)

    @property
    def input_shape(self) -> Tuple[int, int, int]:
        """Channels, height and width of the images."""
        channels, height, width = (int(length or 0) for length in self.input.shape[1:])
        return channels, height, width

    def find(self, form: str) -> Optional[str]:
        """Return the name of the file of a format; None if there is none."""
        return next((name for name, file in self.files.items() if file.format == form), None)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``model.json``.

    Raises:
        DeployError: it cannot be written.
    """
    text = json.dumps(asdict(manifest), indent=2, ensure_ascii=False) + "\n"
    with files.os_errors(DeployError, "write", folder / MANIFEST):
        files.write_text(folder / MANIFEST, text)


def read_manifest(folder: Path) -> Manifest:
    """Read and check ``model.json``; ``check_files`` checks the other files.

    Raises:
        DeployError: there is none, it is damaged (the message names the key), or it is of another version.
    """
    path = folder / MANIFEST
    if not files.is_dir(folder, DeployError):
        raise DeployError(f"{folder}: there is no such folder; give the folder of an export")
    if not files.is_file(path, DeployError):
        raise DeployError(
            f"{folder} is no export: {MANIFEST} is missing; give a folder that {command_name('export')} made"
        )
    value = read_json(path, DeployError, remedy=REMEDY)
    version = value.get("version")
    if isinstance(version, int) and version > VERSION:
        raise DeployError(
            f"{path} is of version {version}, and this package reads version {VERSION}; use a newer gluon_nrm"
        )
    if isinstance(version, int) and 1 <= version < VERSION:
        raise DeployError(
            f"{path} is of version {version}, and this package reads version {VERSION}; export the run again"
        )
    manifest: Manifest = read_value(Manifest, value, "", SourceFile(str(path), DeployError, REMEDY))
    _check(manifest, str(path))
    return manifest


def check_files(folder: Path, manifest: Manifest, *formats: str) -> List[Path]:
    """Check the checksums of the files of some formats, and return their paths in that order.

    Raises:
        DeployError: the export has no such file, or it is missing, damaged or of another export.
    """
    return [_check_file(folder, manifest, form) for form in formats]


def describe_file(path: Path, form: str) -> File:
    """Compute size and checksum of a file.

    Raises:
        DeployError: it cannot be read.
    """
    with files.os_errors(DeployError, "read", path):
        return File(form, sha256_of_file(path), path.stat().st_size)


def _check_file(folder: Path, manifest: Manifest, form: str) -> Path:
    name = manifest.find(form)
    if name is None:
        held = ", ".join(file.format for file in manifest.files.values())
        raise DeployError(f"{folder} holds no {form} file ({held}); export the run with --format all")
    path = folder / name
    if not files.is_file(path, DeployError):
        raise DeployError(f"{path} is missing, which {MANIFEST} lists; put it back or export the run again")
    if describe_file(path, form) != manifest.files[name]:
        raise DeployError(
            f"{path} is damaged or belongs to another export: its checksum is not the one in {MANIFEST}; "
            "put it back or export the run again"
        )
    return path


def _check(manifest: Manifest, where: str) -> None:
    """Check the values of the keys.

    Raises:
        DeployError: the message names the key.
    """
    shape, given = manifest.input.shape, manifest.input
    channels = shape[1] if len(shape) == 4 else None
    for right, key, wanted in (
        (manifest.version >= 1, "version", "a number from 1"),
        (len(shape) == 4 and shape[0] is None and all(length and length > 0 for length in shape[1:]),
         "input.shape", "null and three lengths above 0"),
        (given.dtype == "float32", "input.dtype", "float32"),
        (given.normalised_by in (GRAPH, CALLER), "input.normalised_by", f"{GRAPH} or {CALLER}"),
        (len(given.pixels) == 2 and given.pixels[0] < given.pixels[1], "input.pixels", "two rising numbers"),
        (len(given.mean) == channels, "input.mean", "one number a channel"),
        (len(given.std) == channels and all(value > 0 for value in given.std), "input.std",
         "one number above 0 a channel"),
        (bool(manifest.outputs), "outputs", "at least one output"),
        (all(output.what in (LOGITS, PROBABILITIES, RENDERING) for output in manifest.outputs),
         "outputs", f"{LOGITS}, {PROBABILITIES} and {RENDERING}"),
        (all(output.output in (MAX, MIN, MIXTURE) for output in manifest.outputs), "outputs",
         f"{MAX}, {MIN} and {MIXTURE}"),
        (len(manifest.class_names) > 1, "class_names", "at least two names"),
        (all(file.format in FORMATS for file in manifest.files.values()), "files",
         f"formats {', '.join(FORMATS)}"),
        (all(name == Path(name).name for name in manifest.files), "files", "names without folders"),
    ):  # fmt: skip
        if not right:
            raise DeployError(f"{where} is damaged: {key} must be {wanted}; export the run again")
