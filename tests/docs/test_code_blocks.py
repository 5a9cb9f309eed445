"""Every Python block of README.md and docs/*.md runs as it stands, with training cut short.

The blocks of a document run one after the other with one set of names, as a reader types them, in a folder
that holds what the documents speak of: an export, images, a run.
"""

from __future__ import annotations

import io
import re
from http.server import HTTPServer
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import pytest
from fakes import ROOT
from linear_export import Linear, needs_onnx, write_export
from PIL import Image

import gluon_nrm
from gluon_nrm import recipe as recipes
from gluon_nrm.recipe import Recipe, load_recipe
from gluon_nrm.training.fit import fit

SHORT = ["train.epochs=1", "train.epoch_steps=2"]
#: The run that the documents train first.
RUN = "digits_maxmin_mt"


def blocks(path: Path) -> List[Tuple[int, str]]:
    """The Python blocks of a document: number of the line before the code, and the code."""
    text = path.read_text(encoding="utf-8")
    found = re.finditer(r"^( *)```python\n(.*?)^\1```$", text, re.DOTALL | re.MULTILINE)
    return [(text.count("\n", 0, match.start(2)), match[2]) for match in found]


DOCUMENTS = [path for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))] if blocks(path)]


def short_recipe(path: Any, overrides: Any = ()) -> Recipe:
    return load_recipe(path, [*overrides, *SHORT])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("reader")
    net = Linear((3, 4, 5))
    write_export(made / "exported", net)
    images = np.random.default_rng(0).integers(0, 256, (4, *net.shape), dtype=np.uint8)
    np.save(made / "images.npy", images)
    Image.fromarray(images[0, 0]).resize((12, 12)).save(made / "image.png")
    fit(short_recipe(RUN), root=made / "runs", devices="cpu", stream=io.StringIO())
    return made


@needs_onnx
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_blocks_run(document: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(gluon_nrm, "load_recipe", short_recipe)
    monkeypatch.setattr(recipes, "load_recipe", short_recipe)
    # a server is made, on no port, and ends at once; tests/checks/own_photos.py asks it
    monkeypatch.setattr(HTTPServer, "server_bind", lambda server: None)
    monkeypatch.setattr(HTTPServer, "serve_forever", HTTPServer.server_close)
    names: Dict[str, Any] = {"__name__": "__main__"}
    for line, code in blocks(document):
        # empty lines before it, so that an error names the line of the document
        exec(compile("\n" * line + code, str(document), "exec"), names)


def test_blocks_are_found() -> None:
    found = {path.name: len(blocks(path)) for path in DOCUMENTS}
    assert {"README.md", "any_cnn.md", "deploy.md"} <= set(found) and sum(found.values()) >= 7
    for path in DOCUMENTS:  # a block that the pattern misses would not run
        assert len(blocks(path)) == path.read_text(encoding="utf-8").count("```python\n")
