"""Export of a finished run to files that need none of this package, each compared with the network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np

from gluon_nrm.console.progress_bar import ProgressBar
from gluon_nrm.errors import DeployError
from gluon_nrm.export.describe_export import describe_export, export_name
from gluon_nrm.export.finished_run import FinishedRun, load_finished_run
from gluon_nrm.export.graph.inference_graph import InferenceGraph
from gluon_nrm.export.network_to_graph import network_to_graph
from gluon_nrm.export.quantise import CALIBRATION_IMAGES, MODE, quantise
from gluon_nrm.export.symbol_files import BoundModel, read_files, run_once, to_symbol, write_files
from gluon_nrm.export.to_onnx.convert import import_onnx, write_onnx
from gluon_nrm.export.to_onnx.runtime import OnnxModel, import_onnxruntime
from gluon_nrm.export.trace_network import reference
from gluon_nrm.export.verify import (
    BATCHES,
    ONNX_TOLERANCE,
    Comparison,
    check_accuracy,
    count_errors,
    rounded_otherwise,
)
from gluon_nrm.option_names import option
from gluon_nrm.predict.manifest import File, Manifest, Quantised, describe_file, write_manifest
from gluon_nrm.storage import files

SYMBOL, ONNX, INT8 = "symbol", "onnx", "int8"
FORMATS = (SYMBOL, ONNX, INT8)
#: Batch size when errors are counted.
BATCH = 100

Note = Callable[[str], None]


def export_run(
    path: Union[str, Path],
    out: Path,
    formats: Sequence[str] = (SYMBOL,),
    *,
    network: Optional[str] = None,
    output: Optional[str] = None,
    rendering: bool = False,
    softmax: bool = False,
    normalise: bool = False,
    data_dir: Union[str, Path, None] = None,
    note: Note = lambda line: None,
) -> Manifest:
    """Export a finished run's network; the folder ``out`` appears only when all of it has been verified.

    Args:
        path: the run's folder.
        out: the folder to make.
        formats: of "symbol", "onnx" and "int8".
        network: "student" or "teacher"; None: the teacher where there is one.
        output: "max" or "min" branch, or "mixture", their weighted sum; None: what the network predicts by.
        rendering: also the rendering of the predicted class, by each branch.
        softmax: probabilities in place of logits.
        normalise: take pixels as they are stored; otherwise the caller computes (pixels - mean) / std.
        data_dir: as for ``fit``.
        note: called with a line for each format that was verified.

    Returns:
        The contents of ``model.json``.

    Raises:
        DeployError: the request cannot be met (the message says what to change), or the outputs of an
            exported file differ from the network's.
        NRMError: the run cannot be restored.
    """
    _check_request(out, formats, rendering)
    run = load_finished_run(
        path, network=network, output=output, rendering=rendering, softmax=softmax, normalise=normalise,
        data_dir=data_dir,
    )  # fmt: skip
    with files.os_errors(DeployError, "make", out):
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = files.temporary_path(out)
        folder.mkdir()
    try:
        with files.os_errors(DeployError, "write", out):
            manifest = _Exporter(run, folder, note).export(formats)
            write_manifest(folder, manifest)
            _check_free(out)
            os.rename(folder, out)
            files.sync(out.parent)
    except BaseException:
        files.remove(folder)
        raise
    return manifest


def _check_request(out: Path, formats: Sequence[str], rendering: bool) -> None:
    _check_free(out)
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown or not formats:
        raise DeployError(
            f"{option('formats')}: {', '.join(unknown) or 'none'}; give some of {', '.join(FORMATS)}"
        )
    if INT8 in formats and rendering:
        raise DeployError(
            f"{option('rendering')}: int8 holds the classifier alone: rounded states render another image; "
            f"give {option('formats', [SYMBOL])} or {option('formats', [ONNX])}"
        )
    if ONNX in formats:
        import_onnx()
        import_onnxruntime()


def _check_free(out: Path) -> None:
    if files.is_taken(out, DeployError):
        raise DeployError(f"{option('out')} {out}: it exists, and nothing is overwritten; give a new folder")


class _Exporter:
    """Writes and verifies the files of one export."""

    def __init__(self, run: FinishedRun, folder: Path, note: Note) -> None:
        self._run, self._folder, self._note = run, folder, note
        self._image = run.dataset.input_shape
        self._graph: InferenceGraph = network_to_graph(run.chosen.net, run.chosen.choice, run.normalisation)
        self._comparison = self._compare()
        self._prefix = export_name(run)
        self._files: Dict[str, File] = {}

    def export(self, formats: Sequence[str]) -> Manifest:
        """Write and verify every format."""
        if SYMBOL in formats:
            self._write_symbol()
        if ONNX in formats:
            self._write_onnx()
        int8 = self._write_int8() if INT8 in formats else None
        return describe_export(self._run, self._files, int8)

    def _compare(self) -> Comparison:
        run = self._run
        net, choice = run.chosen.net, run.chosen.choice
        images = run.held_out.images[: max(BATCHES)]
        normalised = run.dataset.normalise(images)
        expected, other = (
            reference(net, each, choice, run.normalisation, mx.cpu())
            for each in (normalised, rounded_otherwise(normalised))
        )
        scores = choice.outputs[0].name
        rounding = float(np.abs(other[scores] - expected[scores]).max() / np.abs(expected[scores]).max())
        return Comparison(run.prepare(images), expected, choice.outputs, rounding)

    def _paths(self, kind: str = "") -> Tuple[Path, Path]:
        return (
            self._folder / f"{self._prefix}{kind}-symbol.json",
            self._folder / f"{self._prefix}{kind}-0000.params",
        )

    def _keep(self, path: Path, form: str) -> None:
        files.sync(path)
        self._files[path.name] = describe_file(path, form)

    def _write_symbol(self) -> None:
        paths = self._paths()
        write_files(paths, *to_symbol(self._graph))
        worst = self._comparison.check("SymbolBlock", lambda images: run_once(paths, images))
        bound = BoundModel(read_files(paths), 1, self._image)
        worst = max(worst, self._comparison.check("Module", bound))
        self._keep(paths[0], "symbol")
        self._keep(paths[1], "params")
        self._note(f"symbol   SymbolBlock and Module differ from the network by {worst:.0e} at most")

    def _write_onnx(self) -> None:
        path = self._folder / f"{self._prefix}.onnx"
        write_onnx(self._graph, self._image, path, self._prefix)
        worst = self._comparison.check("onnxruntime", OnnxModel(path), ONNX_TOLERANCE)
        self._keep(path, "onnx")
        self._note(f"onnx     onnxruntime differs from the network by {worst:.0e} at most")

    def _write_int8(self) -> Quantised:
        paths, run = self._paths("-int8"), self._run
        calibration = run.training_images(CALIBRATION_IMAGES)
        quantise(self._graph, calibration, paths)
        run_once(paths, self._comparison.images[:1])
        errors = [
            self._count(what, BoundModel(model, BATCH, self._image))
            for what, model in (("float32", to_symbol(self._graph)), ("int8", read_files(paths)))
        ]
        check_accuracy(*errors)
        self._keep(paths[0], "int8-symbol")
        self._keep(paths[1], "int8-params")
        images = len(run.held_out.labels)
        shown = f"{errors[1]:.2f} % of {images} {run.part} images wrong, float32 {errors[0]:.2f} %"
        self._note(f"int8     {shown}")
        return Quantised(len(calibration), MODE, run.part, images, *errors)

    def _count(self, what: str, model: BoundModel) -> float:
        """Error on the images that the run was evaluated on, in per cent."""
        run, (images, labels) = self._run, self._run.held_out

        def scores(batch: np.ndarray) -> np.ndarray:
            """Run the model on a batch and return its first output."""
            found: List[np.ndarray] = model(batch)
            return found[0]

        with ProgressBar(len(labels), what, unit=" images") as progress:
            return count_errors(
                scores, lambda start, stop: run.prepare(images[start:stop]), labels, BATCH, progress.update
            )
