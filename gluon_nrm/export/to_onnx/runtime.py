"""An ONNX file run by onnxruntime, for the comparison with the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List

import numpy as np

from gluon_nrm.errors import DeployError
from gluon_nrm.export.to_onnx.convert import EXTRA
from gluon_nrm.storage import files


def import_onnxruntime() -> Any:
    """Import ``onnxruntime``.

    Raises:
        DeployError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as problem:
        raise DeployError(
            f"an ONNX file is run to compare it, which needs the package onnxruntime ({problem}); {EXTRA}"
        ) from problem
    return onnxruntime


class OnnxModel:
    """An ONNX file loaded on the CPU."""

    def __init__(self, path: Path) -> None:
        """Load it.

        Raises:
            DeployError: onnxruntime is not installed, or refuses the file.
        """
        runtime = import_onnxruntime()
        options = runtime.SessionOptions()
        options.log_severity_level = 3  # errors; it warns of what it optimises
        # threads that spin while they wait slow down everything else on a busy machine, themselves included
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        with files.os_errors(DeployError, "read", path):
            data = files.read_file(path, 2**31)  # as bytes, for a folder may have a name that is not UTF-8
        try:
            session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as problem:  # of many classes, all its own
            raise DeployError(f"onnxruntime refuses {path.name} ({problem})") from problem
        self._session, self._input = session, session.get_inputs()[0].name

    def __call__(self, images: np.ndarray) -> List[np.ndarray]:
        """Run a batch; the outputs in order."""
        found: List[np.ndarray] = self._session.run(None, {self._input: images})
        return found
