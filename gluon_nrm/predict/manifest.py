"""``model.json``: what an export holds, how images go in, what comes out; read, checked and written.

Needs neither MXNet nor ONNX: whoever serves an export may have one of them only.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from gluon_nrm.errors import DeployError
from gluon_nrm.storage import files
from gluon_nrm.storage.json_io import Source as JsonSource
from gluon_nrm.storage.json_io import read_json, read_value

MANIFEST = "model.json"
REMEDY = "export the run again"
VERSION = 2
#: Name of the graph's input.
IMAGE = "data"

#: Who normalises the pixels.
GRAPH, CALLER = "graph", "caller"
#: What an output is.
LOGITS, PROBABILITIES, RENDERING = "logits", "probabilities", "rendering"
#: Output of a network: of one branch, or the weighted sum of both logits, which evaluation counts by.
MAX, MIN, MIXTURE = "max", "min", "mixture"
#: What a file is; "symbol" and "params" belong together, and so do "int8-symbol" and "int8-params".
FORMATS = ("symbol", "params", "int8-symbol", "int8-params", "onnx")


@dataclass(frozen=True)
class Input:
    """The graph's input: images (B, C, H, W) float32, B free."""

    name: str
    #: [null, C, H, W]
    shape: List[Optional[int]]
    dtype: str
    #: [lowest, highest] value of a pixel as it is stored: [0, 255] where images are bytes
    pixels: List[float]
    #: "graph": it takes pixels as they are; "caller": it takes (pixels - mean) / std
    normalised_by: str
    #: of each channel, in pixel values
    mean: List[float]
    std: List[float]
    #: images of any size are resized (bicubic) until their shorter side has so many pixels, and the middle
    #: H x W is cut out; null: they have to be H x W
    shorter_side: Optional[int] = None


@dataclass(frozen=True)
class Output:
    """One output of the graph: logits or probabilities (B, K), or a rendering (B, C, H, W).

    A rendering has the units of the input: pixels where the graph normalises, normalised pixels otherwise.
    """

    name: str
    what: str
    #: "max" or "min" branch, or "mixture", the weighted sum of their logits
    output: str


@dataclass(frozen=True)
class Measured:
    """Share of wrongly classified images, in per cent."""

    #: "test" or "validation"
    part: str
    images: int
    error: float


@dataclass(frozen=True)
class Quantised:
    """How the int8 files were made, and what it cost; errors of the same images, in per cent."""

    #: training images whose activations set the scales
    calibration_images: int
    #: "naive" (smallest and largest value) or "entropy"
    calibration_mode: str
    part: str
    images: int
    float32_error: float
    int8_error: float


@dataclass(frozen=True)
class Source:
    """Where the export comes from."""

    recipe: str
    recipe_hash: str
    seed: int
    model: str
    dataset: str
    #: labelled images that training saw
    labels: int
    epochs: int
    #: of the code that trained it; null: it was no checkout
    commit: Optional[str]
    #: whether the checkout differed from that commit
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
    """All of ``model.json``; ``files`` are by name, in the manifest's own folder."""

    version: int
    name: str
    input: Input
    outputs: List[Output]
    class_names: List[str]
    #: "student" or "teacher"
    network: str
    source: Source
    #: of the exported network and output in the run's last epoch; null: the run's metrics do not say
    test_error: Optional[Measured]
    int8: Optional[Quantised] = None
    files: Dict[str, File] = field(default_factory=dict)

    @property
    def input_shape(self) -> Tuple[int, int, int]:
        """Channels, height and width of the images."""
        channels, height, width = (int(length or 0) for length in self.input.shape[1:])
        return channels, height, width

    def find(self, form: str) -> Optional[str]:
        """Name of the file of a format; None where there is none."""
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
    """Read ``model.json`` and check that it is whole and makes sense; ``check_files`` looks at the rest.

    Raises:
        DeployError: there is none, or it is damaged or of a later version; the message names the key.
    """
    path = folder / MANIFEST
    if not files.is_dir(folder, DeployError):
        raise DeployError(f"{folder}: there is no such folder; give the folder of an export")
    if not files.is_file(path, DeployError):
        raise DeployError(
            f"{folder} is no export: {MANIFEST} is missing; give a folder that tools/export.py made"
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
    manifest: Manifest = read_value(Manifest, value, "", JsonSource(str(path), DeployError, REMEDY))
    _check(manifest, str(path))
    return manifest


def check_files(folder: Path, manifest: Manifest, *formats: str) -> List[Path]:
    """Check the files of some formats by their checksums, and return their paths in that order.

    Raises:
        DeployError: the export has no such file, or it is missing, damaged or of another export.
    """
    return [_check_file(folder, manifest, form) for form in formats]


def describe_file(path: Path, form: str) -> File:
    """Size and checksum of a file that was just written.

    Raises:
        DeployError: it cannot be read.
    """
    with files.os_errors(DeployError, "read", path):
        return File(form, _sha256(path), path.stat().st_size)


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


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with files.open_file(path) as file:
        for block in iter(lambda: file.read(2**20), b""):
            digest.update(block)
    return digest.hexdigest()


def _check(manifest: Manifest, where: str) -> None:
    """Check what types do not say.

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
