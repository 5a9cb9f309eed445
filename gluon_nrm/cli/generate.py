"""Draw images from the prior of a trained run, and render its classes along chosen paths.

gluon-nrm generate runs/digits_nrm_rpn-s0
gluon-nrm generate runs/digits_nrm_rpn-s0 --classes 0,3,5-7 --samples 8 --sweeps 200 --temperature 0.1

Writes samples.png (one row for each class), layers.png (one draw of each class, from the top layer down) and
paths.png (a test image; its class along the image's path, a zero image's path, the most probable path found
and a drawn path).
"""

from __future__ import annotations

import argparse
from typing import Sequence

from gluon_nrm.console.tool import ToolParser, add_data_dir, place
from gluon_nrm.probability.generate import parse_classes
from gluon_nrm.probability.rendering_model import RenderingModel
from gluon_nrm.report.generation import draw_pictures, generate, table
from gluon_nrm.training.restore import restore


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = ToolParser("generate", __doc__)
    parser.add_argument("run", type=place, metavar="RUN", help="folder of a finished run")
    parser.add_argument("--classes", metavar="LIST", help="such as 0-9 or 0,3,5-7 (default: the first ten)")
    parser.add_argument("--samples", type=int, default=8, metavar="N", help="images per class (default: 8)")
    parser.add_argument("--sweeps", type=int, default=200, metavar="N", help="burn-in sweeps (default: 200)")
    parser.add_argument(
        "--thin", type=int, default=20, metavar="N", help="sweeps between images of a chain (default: 20)"
    )
    parser.add_argument(
        "--chains", type=int, metavar="N", help="chains of each class (default: one for each image)"
    )
    parser.add_argument("--temperature", type=float, metavar="S", help="sigma^2 (default: the run's own)")
    parser.add_argument("--noise", action="store_true", help="add the pixel noise N(0, sigma^2)")
    parser.add_argument("--image", type=int, default=0, metavar="N", help="test image of each class, from 0")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="random seed (default: 0)")
    parser.add_argument("--out", type=place, metavar="DIR", help="folder of pictures (default: RUN/figures)")
    parser.add_argument("--devices", help="cpu or gpu(0); default: a GPU, or the CPU")
    add_data_dir(parser)
    options = parser.parse_args(arguments)
    if options.seed < 0:
        parser.error("--seed must be at least 0")
    return options


def main(arguments: Sequence[str]) -> int:
    """Draw images, print the scores, and write the pictures."""
    options = parse(arguments)
    run = restore(options.run, devices=options.devices, data_dir=options.data_dir)
    dataset = run.parts.dataset
    model = RenderingModel(run.network, temperature=options.temperature, device=run.device)
    classes = parse_classes(options.classes or f"0-{min(dataset.classes, 10) - 1}", dataset.classes)
    found = generate(
        model, dataset, classes, options.samples, image=options.image, chains=options.chains,
        burn_in=options.sweeps, thin=options.thin, noise=options.noise, seed=options.seed,
    )  # fmt: skip
    print(f"run      {run.run.path} ({run.parts.recipe.name}), after epoch {run.epoch}")
    print(f"prior    sigma^2 = {model.temperature:g}, 2^{model.log2_paths:.0f} rendering paths")
    if model.note:
        print("note     " + model.note.replace("\n", "\n         "))
    print("\n" + table(found, dataset.class_names) + "\n")
    title = f"{run.run.path.name}, sigma^2 = {model.temperature:g}"
    for path in draw_pictures(found, dataset.class_names, options.out or run.run.figures, title):
        print(path)
    return 0
