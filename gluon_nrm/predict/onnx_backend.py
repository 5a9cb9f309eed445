"""Backend that runs an export's ONNX file in onnxruntime on the CPU; needs no MXNet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Union

import onnxruntime

from gluon_nrm.errors import DeployError
from gluon_nrm.predict.backends import Arrays, BatchFunction
from gluon_nrm.predict.manifest import Manifest, check_files
from gluon_nrm.predict.onnx_check import check_onnx
from gluon_nrm.storage import files

#: Most bytes of a protocol buffer.
MOST_BYTES = 2**31


def load(folder: Path, manifest: Manifest) -> BatchFunction:
    """Load the ONNX file and compare it with the manifest.

    Raises:
        DeployError: it is missing or damaged, needs another file, onnxruntime refuses it, or it differs
            from the manifest.
    """
    (path,) = check_files(folder, manifest, "onnx")
    with files.os_errors(DeployError, "read", path):
        data = files.read_file(path, MOST_BYTES)
    check_onnx(data, str(path))
    try:
        session = open_session(data)
    except Exception as problem:  # onnxruntime's own exceptions have no base but this
        reason = _first_line(problem)
        raise DeployError(f"{path}: onnxruntime refuses it ({reason}); export the run again") from problem
    names = [output.name for output in manifest.outputs]
    taken = [(each.name, _known(each.shape[1:])) for each in session.get_inputs()]
    expected = [(manifest.input.name, list(manifest.input_shape))]
    given = [each.name for each in session.get_outputs()]
    for what, found, wanted in (("input", taken, expected), ("outputs", given, names)):
        if found != wanted:
            raise DeployError(
                f"{path}: its {what} {found} differ from the manifest's {wanted}; export the run again"
            )

    def run(images: Arrays) -> List[Arrays]:
        """Return the outputs for a batch of images."""
        try:
            results: List[Arrays] = session.run(names, {manifest.input.name: images})
        except Exception as problem:
            raise DeployError(
                f"{path}: onnxruntime cannot run it ({_first_line(problem)}); export the run again"
            ) from problem
        return results

    return run


def open_session(model: Union[Path, bytes]) -> Any:
    """Load a file, or the bytes of one, unchecked.

    For bytes onnxruntime reads no other file, and the path may have any name.
    """
    given = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(given, providers=["CPUExecutionProvider"])


def _first_line(problem: Exception) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0]


def _known(lengths: List[Any]) -> List[Any]:
    return [int(length) if isinstance(length, int) else length for length in lengths]
