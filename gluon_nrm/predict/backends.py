"""Choice of the backend that runs an export: MXNet or onnxruntime."""

from __future__ import annotations

from importlib import import_module, util
from pathlib import Path
from typing import Callable, List, NamedTuple

import numpy as np

from gluon_nrm.errors import DeployError, SetupError
from gluon_nrm.option_names import option
from gluon_nrm.predict.manifest import Manifest
from gluon_nrm.predict.predict_options import PredictOptions

Arrays = np.ndarray
#: Maps images (B, C, H, W) float32, as the manifest describes them, to the outputs in order.
BatchFunction = Callable[[Arrays], List[Arrays]]

MXNET, ONNXRUNTIME = "mxnet", "onnxruntime"


class Backend(NamedTuple):
    """A loaded export."""

    #: name to show: "onnxruntime", "mxnet", "mxnet, int8"
    name: str
    run: BatchFunction


def open_backend(folder: Path, manifest: Manifest, options: PredictOptions) -> Backend:
    """Load the files of an export.

    Raises:
        DeployError: the export has no file for the backend, or one that is missing or damaged.
        SetupError: the backend is not installed.
    """
    for_mxnet = option("int8") if options.int8 else option("devices") if options.devices else None
    if for_mxnet and options.backend == ONNXRUNTIME:
        backend = option("backend", ONNXRUNTIME)
        raise DeployError(f"{for_mxnet} is for MXNet; leave it out, or {backend}")
    chosen = options.backend or (MXNET if for_mxnet else _choose(manifest))
    if chosen == ONNXRUNTIME:
        if not is_installed(ONNXRUNTIME):
            raise SetupError("onnxruntime is not installed in this Python: run `pip install onnxruntime`")
        load = import_module("gluon_nrm.predict.onnx_backend").load
        return Backend(ONNXRUNTIME, load(folder, manifest))
    import_module("gluon_nrm.system.needs_mxnet")
    load = import_module("gluon_nrm.predict.mxnet_backend").load
    int8 = options.int8 or (manifest.find("symbol") is None and manifest.find("int8-symbol") is not None)
    return Backend(f"{MXNET}, int8" if int8 else MXNET, load(folder, manifest, int8, options.devices))


def is_installed(package: str) -> bool:
    """True if a package is installed; it is not imported."""
    return util.find_spec(package) is not None


def _choose(manifest: Manifest) -> str:
    """Choose the installed backend that can run an export.

    Raises:
        SetupError: neither backend is installed.
    """
    has_onnx = manifest.find("onnx") is not None
    if has_onnx and (is_installed(ONNXRUNTIME) or manifest.find("symbol") is None):
        return ONNXRUNTIME
    if has_onnx and not is_installed(MXNET):
        raise SetupError(
            "neither onnxruntime nor MXNet is installed in this Python: run `pip install onnxruntime`, "
            "which needs nothing else"
        )
    return MXNET
