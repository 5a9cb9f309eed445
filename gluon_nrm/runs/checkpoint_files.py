"""Files of one checkpoint: ``.npz`` archives and a ``state.json`` with their hashes.

::

    epoch_0012/
      student.npz         one array an entry, as numpy reads it (no pickle)
      teacher.npz, optimiser.npz
      generator.npz, encoder.npz, discriminator.npz, companion_optimiser.npz
                          networks that are trained beside the classifier
      student_devices.npz, teacher_devices.npz
                          running statistics of the other devices, if a run on several devices
                          stopped within an epoch
      targets.npz         targets of Temporal Ensembling
      state.json          counters, and the SHA-256 of every file and of itself

Equal arrays give equal bytes, so checkpoints can be compared by their hashes.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Mapping, NamedTuple

import numpy as np

from gluon_nrm.errors import CheckpointError
from gluon_nrm.runs.metrics import plain
from gluon_nrm.storage import files
from gluon_nrm.storage.hashes import sha256_of_file, sha256_of_json
from gluon_nrm.storage.json_io import SourceFile, read_json, read_value
from gluon_nrm.storage.npz_io import read_npz

FORMAT = 1

Arrays = Dict[str, np.ndarray]


@dataclass(frozen=True)
class Body:
    """Contents of ``state.json`` without its own hash."""

    format: int
    #: epochs completed
    epoch: int
    #: name of each file of arrays -> its SHA-256
    files: Dict[str, str]
    #: counters
    state: Dict[str, Any]


class Checkpoint(NamedTuple):
    """A checkpoint that was read from the disk."""

    epoch: int  # epochs completed
    arrays: Dict[str, Arrays]  # "student", "teacher", "optimiser", ... -> name -> array
    state: Dict[str, Any]  # counters
    path: Path  # the checkpoint's own folder


def write_folder(
    path: Path, epoch: int, arrays: Mapping[str, Mapping[str, np.ndarray]], state: Mapping[str, Any]
) -> None:
    """Write a checkpoint to the new folder ``path`` and wait until all of it is on the disk.

    Raises:
        OSError: it cannot be written; parts of it may be left.
        ValueError: an entry name has a ``/``, or an array holds Python objects.
    """
    path.mkdir()
    for name, entries in arrays.items():
        _write_arrays(path / f"{name}.npz", entries)
    hashes = {f"{name}.npz": sha256_of_file(path / f"{name}.npz") for name in arrays}
    body = {"format": FORMAT, "epoch": epoch, "files": hashes, "state": dict(state)}
    text = json.dumps(body, indent=2, default=plain)
    checked = {**json.loads(text), "sha256": sha256_of_json(json.loads(text))}
    (path / "state.json").write_text(json.dumps(checked, indent=2) + "\n", encoding="utf-8")
    for child in files.list_folder(path, CheckpointError):
        files.sync(child)
    files.sync(path)


def _write_arrays(path: Path, entries: Mapping[str, np.ndarray]) -> None:
    """Write arrays as ``numpy.savez`` does, but with any names, without objects and without a time stamp."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in entries.items():
            if "/" in name:
                raise ValueError(f"{path.name}: entry name {name!r} has a '/'")
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            with archive.open(info, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)


def read_folder(path: Path) -> Checkpoint:
    """Read a checkpoint and verify every byte of it.

    Raises:
        CheckpointError: a file is missing, unreadable, damaged or of another format.
    """
    with files.os_errors(CheckpointError, "read", path):
        body = _read_state(path / "state.json")
        arrays = {
            name[: -len(".npz")]: _read_arrays(path / name, sha256) for name, sha256 in body.files.items()
        }
    return Checkpoint(body.epoch, arrays, body.state, path)


def _read_state(path: Path) -> Body:
    if not files.is_file(path, CheckpointError):
        raise CheckpointError(f"{path} is missing")
    source = SourceFile(str(path), CheckpointError, "")
    body = read_json(path, CheckpointError, remedy="")
    if body.pop("sha256", None) != sha256_of_json(body):
        source.damaged("its contents do not match their SHA-256")
    if body.get("format") != FORMAT:
        newer = isinstance(body.get("format"), int) and body["format"] > FORMAT
        raise CheckpointError(
            f"{path} has format {body.get('format')}, this version reads format {FORMAT}"
            + ("; use a newer gluon_nrm" if newer else "")
        )
    found: Body = read_value(Body, body, "", source)
    source.expect(found.epoch >= 0, "at least 0", "epoch")
    for name in found.files:
        right = name == Path(name).name and name.endswith(".npz")
        source.expect(right, "a file name without folders that ends in .npz", f"files.{name}")
    return found


def _read_arrays(path: Path, sha256: str) -> Arrays:
    if not files.is_file(path, CheckpointError):
        raise CheckpointError(f"{path} is missing")
    if sha256_of_file(path) != sha256:
        raise CheckpointError(f"{path} is damaged: its contents do not match their SHA-256")
    return read_npz(path, CheckpointError)
