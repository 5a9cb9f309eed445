"""Draw Figure 4 of a run: test images or image files, and their renderings at every layer of its network.

gluon-nrm render runs/digits_nrm_rpn-s0
gluon-nrm render runs/mnist_nrm_rpn_5k-s0 --by-layer --out figure4.png   the paper's layout: layers are rows
gluon-nrm render runs/photos-s0 scan.png more/          images of your own; no data set is read
"""

from __future__ import annotations

import argparse
from typing import Sequence

from gluon_nrm.console.tool import ToolParser, add_data_dir, pattern, place
from gluon_nrm.errors import ChangedData, DataError
from gluon_nrm.system.commands import command_name
from gluon_nrm.training.draw_renderings import render_run
from gluon_nrm.training.render_files import render_files


def main(arguments: Sequence[str]) -> int:
    """Draw the picture and print its path.

    Raises:
        NRMError: the run or the images cannot be read.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.images is not None and options.images < 1:
        parser.error("--images: at least 1")
    if options.files:
        if options.images is not None:
            parser.error("--images is a number of test images; leave it out, or leave the files out")
        if options.by_layer:
            parser.error("--by-layer is for test images; leave it out, or leave the files out")
        print(render_files(options.run, options.files, options.out, devices=options.devices))
        return 0
    try:
        picture = render_run(
            options.run, options.images, options.out, by_layer=options.by_layer, devices=options.devices,
            data_dir=options.data_dir,
        )  # fmt: skip
    except ChangedData:
        raise
    except DataError as problem:
        command = f"{command_name('render')} {options.run} IMAGE"
        raise DataError(f"{problem}; or draw image files: {command}") from problem
    print(picture)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser("render", __doc__)
    parser.add_argument("run", type=place, metavar="RUN", help="folder of a finished run")
    parser.add_argument(
        "files",
        nargs="*",
        type=pattern,
        metavar="IMAGE",
        help="a file, a folder, a pattern (default: test images)",
    )
    parser.add_argument(
        "--images", type=int, metavar="N", help="test images (default: one of each class, at most 10)"
    )
    parser.add_argument(
        "--by-layer", action="store_true", help="a row for each layer, a column for each image"
    )
    parser.add_argument(
        "--out",
        type=place,
        metavar="FILE",
        help="PNG (default, in the run's folder: figures/figure4.png, of files figures/rendered.png)",
    )
    parser.add_argument("--devices", help="cpu or gpu(0); default: a GPU, or the CPU")
    add_data_dir(parser)
    return parser
