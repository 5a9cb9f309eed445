"""Export a finished run for others to serve: MXNet symbol, ONNX, int8, verified against the network.

gluon-nrm export runs/digits_maxmin_mt-s0 --out exports/digits
gluon-nrm export runs/digits_maxmin_mt-s0 --format all --softmax --normalise --out exports/digits-all
gluon-nrm export runs/digits_nrm_rpn-s0 --format symbol onnx --with-rendering --out exports/rendering
"""

from __future__ import annotations

import argparse
from typing import Sequence

from gluon_nrm.console.tool import ToolParser, add_data_dir, place
from gluon_nrm.export.export_run import FORMATS, SYMBOL, export_run
from gluon_nrm.predict.manifest import MANIFEST, MAX, MIN, MIXTURE


def main(arguments: Sequence[str]) -> int:
    """Export, and list what was written."""
    options = _parser().parse_args(arguments)
    manifest = export_run(
        options.run, options.out, FORMATS if "all" in options.format else options.format,
        network=options.network, output=options.output, rendering=options.with_rendering,
        softmax=options.softmax, normalise=options.normalise, data_dir=options.data_dir, note=print,
    )  # fmt: skip
    outputs = ", ".join(f"{output.name} ({output.output})" for output in manifest.outputs)
    print(f"export   {options.out}: {manifest.network}, {outputs}; described in {MANIFEST}")
    for name, file in manifest.files.items():
        print(f"         {name}  {file.bytes / 1e6:.2f} MB")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser("export", __doc__)
    parser.add_argument("run", type=place, metavar="RUN", help="a finished run's folder, as training made it")
    parser.add_argument("--out", type=place, required=True, metavar="DIR", help="the folder to make")
    parser.add_argument(
        "--format", nargs="+", choices=(*FORMATS, "all"), default=[SYMBOL],
        help="one or several (default: symbol)",
    )  # fmt: skip
    parser.add_argument(
        "--network", choices=("student", "teacher"), help="default: the teacher where there is one"
    )
    parser.add_argument(
        "--output", choices=(MAX, MIN, MIXTURE),
        help="branch of a Max-Min network; mixture: their weighted sum, by which it is evaluated (default)",
    )  # fmt: skip
    parser.add_argument(
        "--with-rendering", action="store_true", help="add what the predicted class renders, of each branch"
    )
    parser.add_argument("--softmax", action="store_true", help="probabilities in place of logits")
    parser.add_argument(
        "--normalise", action="store_true",
        help="take pixels as they are stored; otherwise whoever calls computes (pixels - mean) / std",
    )  # fmt: skip
    add_data_dir(parser)
    return parser
