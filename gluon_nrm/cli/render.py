"""Draw Figure 4 of a run: test images, and their renderings at every layer of its network.

gluon-nrm render runs/digits_nrm_rpn-s0
gluon-nrm render runs/mnist_nrm_rpn_all-s0 --images 10 --out figure4.png
"""

from __future__ import annotations

import argparse
from typing import Sequence

from gluon_nrm.console.tool import ToolParser, add_data_dir, place
from gluon_nrm.training.draw_renderings import render_run


def main(arguments: Sequence[str]) -> int:
    """Draw the picture and print its path."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.images is not None and options.images < 1:
        parser.error("--images: at least 1")
    print(render_run(options.run, options.images, options.out, devices=options.devices,
                     data_dir=options.data_dir))  # fmt: skip
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser("render", __doc__)
    parser.add_argument("run", type=place, metavar="RUN", help="folder of a finished run")
    parser.add_argument(
        "--images", type=int, metavar="N", help="test images (default: one of each class, at most 10)"
    )
    parser.add_argument(
        "--out", type=place, metavar="FILE", help="PNG (default: figures/figure4.png in the run's folder)"
    )
    parser.add_argument("--devices", help="cpu or gpu(0); default: a GPU, or the CPU")
    add_data_dir(parser)
    return parser
