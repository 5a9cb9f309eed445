"""A trained classifier that predicts, loaded from an export (here) or from a run (``run_classifier``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import List, NamedTuple

import numpy as np

from gluon_nrm.errors import DeployError
from gluon_nrm.option_names import either, option
from gluon_nrm.predict.backends import BatchFunction, open_backend
from gluon_nrm.predict.images import normalise, restore_pixels
from gluon_nrm.predict.manifest import MAX, MIN, PROBABILITIES, RENDERING, Input, Output, read_manifest
from gluon_nrm.predict.predict_options import PredictOptions

#: Titles of renderings where there are two.
BRANCHES = {MAX: "Max branch", MIN: "Min branch"}


class BatchPrediction(NamedTuple):
    """The prediction for a batch of images."""

    #: (B, K), rows that sum to 1
    probabilities: np.ndarray
    #: renderings of the predicted classes, (B, C, H, W) in pixels, one per branch
    renderings: List[np.ndarray]


@dataclass(frozen=True)
class FileClassifier:
    """A function from images to scores, with the description of both.

    Attributes:
        where: the folder it was loaded from.
        name: name of the run.
        network: "student" or "teacher".
        backend: "onnxruntime", "mxnet" or "mxnet, int8".
        given: description of the images it takes.
        outputs: description of its outputs; the scores are the first.
        class_names: names of the K classes.
        run: maps images (B, C, H, W) float32 to the outputs.
    """

    where: Path
    name: str
    network: str
    backend: str
    given: Input
    outputs: List[Output]
    class_names: List[str]
    run: BatchFunction

    @property
    def output(self) -> str:
        """The output that predicts: "max", "min" or "mixture"."""
        return self.outputs[0].output

    @property
    def rendered(self) -> List[str]:
        """Titles of its renderings, in order."""
        branches = [output.output for output in self.outputs if output.what == RENDERING]
        return [BRANCHES.get(branch, branch) if len(branches) > 1 else "rendered" for branch in branches]

    def predict(self, pixels: np.ndarray) -> BatchPrediction:
        """Classify images (B, C, H, W) float32, in pixel values.

        Raises:
            DeployError: a score is infinite or not a number, or there is not one for each class.
        """
        found = self.run(normalise(pixels, self.given))
        scores = found[0].astype(np.float64)
        if scores.shape != (len(pixels), len(self.class_names)):
            raise DeployError(
                f"{self.where}: scores of shape {scores.shape} for {len(pixels)} images and "
                f"{len(self.class_names)} classes; export the run again"
            )
        if not np.isfinite(scores).all():
            raise DeployError(f"{self.where}: its scores are not finite; try another checkpoint or export")
        images = [
            restore_pixels(values, self.given)
            for output, values in zip(self.outputs, found)
            if output.what == RENDERING
        ]
        return BatchPrediction(scores if self.outputs[0].what == PROBABILITIES else softmax(scores), images)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Turn scores (B, K) into probabilities."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def open_export(folder: Path, options: PredictOptions) -> FileClassifier:
    """Load an export.

    Raises:
        NRMError: it is damaged, holds another network or output or no rendering, or nothing here can run it.
    """
    manifest = read_manifest(folder)
    first = manifest.outputs[0]
    if first.what == RENDERING:
        raise DeployError(f"{folder}: its first output is a rendering, not scores; export the run again")
    for name, wanted, found in (
        ("network", options.network, manifest.network), ("output", options.output, first.output)
    ):  # fmt: skip
        if wanted not in (None, found):
            raise DeployError(
                f"{option(name)}: {wanted!r}, and {folder} holds {found!r}; leave it out, or export again"
            )
    if options.rendering and all(output.what != RENDERING for output in manifest.outputs):
        given, needed = either("--render", "rendering"), option("rendering", True)
        raise DeployError(f"{given}: {folder} does not render; export the run with {needed}")
    backend = open_backend(folder, manifest, options)
    return FileClassifier(
        folder, manifest.name, manifest.network, backend.name, manifest.input, manifest.outputs,
        manifest.class_names, backend.run,
    )  # fmt: skip
