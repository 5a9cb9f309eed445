"""Classify image files with a run or an export.

gluon-nrm predict runs/digits_maxmin_mt-s0 scan.png more/ "others/*.jpg"
gluon-nrm predict exported/ scan.png --format json --backend onnxruntime
gluon-nrm predict exported/ scan.png --render seen.png     # what the network believes it saw

An export needs numpy, Pillow and either onnxruntime or MXNet; a run needs all that training needs.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Callable, List, Optional, Sequence

from gluon_nrm.console.display import say
from gluon_nrm.console.progress_bar import ProgressBar
from gluon_nrm.console.tool import ToolParser, add_data_dir, pattern, place
from gluon_nrm.data.sets.skipped_files import SkippedNames
from gluon_nrm.errors import DataError, DeployError
from gluon_nrm.predict.backends import MXNET, ONNXRUNTIME
from gluon_nrm.predict.find_images import find_images
from gluon_nrm.predict.manifest import MANIFEST, MAX, MIN, MIXTURE
from gluon_nrm.predict.open_classifier import RECIPE, open_classifier
from gluon_nrm.predict.picture import check_picture, draw
from gluon_nrm.predict.predict_images import ImagePrediction, predict
from gluon_nrm.predict.predict_options import PredictOptions
from gluon_nrm.predict.write_predictions import TABLE, WRITERS, Writer
from gluon_nrm.storage.files import is_dir, is_file
from gluon_nrm.system.commands import command


def main(arguments: Sequence[str]) -> int:
    """Print the classes of the images as they are computed; draw their renderings on request.

    Raises:
        NRMError: nothing can be classified, or some images could not be (raised after all others).
    """
    options = _parser().parse_args(arguments)
    _check_order(options.model, options.images)
    skipped = SkippedNames()
    files = find_images(options.images, skipped)
    if str(skipped.record):
        say(f"note: {skipped.record}")
    if options.render:
        check_picture(options.render, len(files))
    wanted = PredictOptions(
        network=options.network, output=options.output, rendering=options.render is not None,
        backend=options.backend, int8=options.int8, devices=options.devices, data_dir=options.data_dir,
    )  # fmt: skip
    classifier = open_classifier(options.model, wanted)
    refused = _Refused(options.strict)
    writer = WRITERS[options.format](classifier, files, options.top)
    found: List[ImagePrediction] = []
    try:
        with ProgressBar(len(files), "images", interval=10.0, unit=" images", mininterval=1.0) as bar:
            for prediction in predict(
                classifier, files, top=options.top, batch=options.batch, resize=options.resize,
                pictures=wanted.rendering, progress=lambda done, total: bar.update(done - bar.done),
                refuse=refused.of(writer),
            ):  # fmt: skip
                writer.write(prediction)
                if wanted.rendering:
                    found.append(prediction)
    finally:
        writer.close()
    if options.render and found:
        draw(found, classifier.rendered, options.render)
    refused.check(len(files))
    return 0


def _check_order(model: Path, images: Sequence[str]) -> None:
    """Raise DeployError if the run or export is given after an image."""
    if is_dir(model, DeployError):
        return
    for number, given in enumerate(images):
        if any(is_file(Path(given) / name, DeployError) for name in (MANIFEST, RECIPE)):
            line = command("predict", given, str(model), *images[:number], *images[number + 1 :])
            raise DeployError(f"{model} is no folder of a run or an export, which comes first: {line}")


class _Refused:
    """Counts the images that cannot be classified, and names each on standard error."""

    def __init__(self, strict: bool) -> None:
        self._strict, self._count = strict, 0

    def of(self, writer: Writer) -> Optional[Callable[[Path, DataError], None]]:
        """Return what is told of each image; None where the first one is to end the tool."""

        def refuse(file: Path, problem: DataError) -> None:
            """Count an image and name it with its reason."""
            self._count += 1
            writer.refuse(file, str(problem))
            say(f"error: {problem}")

        return None if self._strict else refuse

    def check(self, files: int) -> None:
        """Raise DataError if there was any."""
        if self._count:
            raise DataError(
                f"{self._count} of {files} images are not classified; each is named above with its reason"
            )


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser("predict", __doc__)
    parser.add_argument("model", type=place, metavar="RUN_OR_EXPORT", help="folder of a run or of an export")
    parser.add_argument(
        "images", nargs="+", type=pattern, metavar="IMAGE", help="a file, a folder, a pattern"
    )
    parser.add_argument("--format", choices=tuple(WRITERS), default=TABLE, help="default: table")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="classes of each image (default: 5)")
    parser.add_argument("--network", choices=("student", "teacher"), help="default: the teacher, if any")
    parser.add_argument(
        "--output",
        choices=(MAX, MIN, MIXTURE),
        help="branch of a Max-Min network, or both (default: mixture)",
    )
    parser.add_argument("--batch", type=int, default=64, metavar="N", help="images at a time (default: 64)")
    parser.add_argument(
        "--backend", choices=(MXNET, ONNXRUNTIME), help="default: onnxruntime if it is there, else mxnet"
    )
    parser.add_argument("--int8", action="store_true", help="the quantised files of an export")
    parser.add_argument("--strict", action="store_true", help="end at the first image that cannot be read")
    parser.add_argument("--resize", action="store_true", help="scale other sizes, cut out the middle")
    parser.add_argument(
        "--render", type=place, metavar="FILE.png", help="draw images beside their renderings"
    )
    parser.add_argument("--devices", help="for MXNet: cpu or gpu(0); default: a GPU, or the CPU")
    add_data_dir(parser)
    return parser
