"""What a user asks of a run or of an export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Union


@dataclass(frozen=True)
class Request:
    """Which of its networks is to predict, and on what.

    Attributes:
        network: "student" or "teacher"; None: of a run the teacher where there is one, of an export its own.
        head: "max", "min" or "both", the weighted sum; None: of a run what evaluation counts by, of an export
            its own.
        rendering: whether it is to render the class that it predicts.
        backend: "mxnet" or "onnxruntime"; None: onnxruntime where there is an ONNX file and it is installed,
            else MXNet.
        int8: take an export's quantised files, which MXNet runs.
        devices: for MXNet, as for ``fit``; of several the first is used.
        data_dir: as for ``fit``; a run's data set says how images are normalised.
    """

    network: Optional[str] = None
    head: Optional[str] = None
    rendering: bool = False
    backend: Optional[str] = None
    int8: bool = False
    devices: Optional[str] = None
    data_dir: Union[str, Path, None] = None
