"""Options of a prediction: the network of a run or of an export, its output, and the backend."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Union


@dataclass(frozen=True)
class PredictOptions:
    """The network that is to predict, and the backend that runs it.

    Attributes:
        network: "student" or "teacher"; None: of a run the teacher where there is one, of an export its own.
        output: "max", "min" or "mixture", their weighted sum; None: of a run what evaluation counts by, of an
            export its own.
        rendering: render the predicted class too.
        backend: "mxnet" or "onnxruntime"; None: onnxruntime where there is an ONNX file and it is installed,
            else MXNet.
        int8: run an export's quantised files, which needs MXNet.
        devices: for MXNet, as for ``fit``; the first one is used.
        data_dir: folder of all data sets; only for runs of early versions, which did not store how images are
            normalised.
    """

    network: Optional[str] = None
    output: Optional[str] = None
    rendering: bool = False
    backend: Optional[str] = None
    int8: bool = False
    devices: Optional[str] = None
    data_dir: Union[str, Path, None] = None
