"""An export's ONNX file, run by onnxruntime on the CPU; MXNet is not needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List

import onnxruntime

from gluon_nrm.deploy.backends import Arrays, Run
from gluon_nrm.deploy.manifest import Manifest, check_files
from gluon_nrm.errors import DeployError


def load(folder: Path, manifest: Manifest) -> Run:
    """Load the file and check that it is the one that the manifest describes.

    Raises:
        DeployError: it is missing or damaged, onnxruntime refuses it, or it is not what the manifest says.
    """
    (path,) = check_files(folder, manifest, "onnx")
    try:
        session = open_session(path)
    except Exception as problem:  # onnxruntime's own exceptions have no base but this
        reason = str(problem).strip().splitlines()[0]
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
        results: List[Arrays] = session.run(names, {manifest.input.name: images})
        return results

    return run


def open_session(path: Path) -> Any:
    """Load a file, unchecked."""
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def _known(lengths: List[Any]) -> List[Any]:
    return [int(length) if isinstance(length, int) else length for length in lengths]
