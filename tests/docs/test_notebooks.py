"""Both notebooks run from top to bottom, with fewer epochs."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any, Dict, List

import pytest
from fakes import ROOT
from PIL import Image

nbformat = pytest.importorskip("nbformat", reason="the notebooks need requirements-dev.txt")
nbclient = pytest.importorskip("nbclient", reason="the notebooks need requirements-dev.txt")

FOLDER = ROOT / "docs" / "notebooks"
#: Files that a notebook must have made.
MADE = {
    "digits": ["runs/digits_maxmin_mt-s0/FINISHED.json", "runs/digits_supervised-s0/FINISHED.json"],
    "own_network": ["runs/shapes-s0/FINISHED.json", "new.png"],
}


def run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Execute a notebook in a folder, with one epoch in its cell of parameters."""
    book = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    nbformat.validate(book)
    (parameters,) = (cell for cell in book.cells if "parameters" in cell.metadata.get("tags", []))
    parameters.source, changed = re.subn(r"^EPOCHS = \d+", "EPOCHS = 1", parameters.source)
    assert changed == 1
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for variable in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(folder / variable.lower()))
    client = nbclient.NotebookClient(
        book, kernel_name="python3", timeout=120, resources={"metadata": {"path": str(folder)}}
    )
    return client.execute()


def outputs(book: Any, kind: str) -> List[str]:
    """All outputs of a MIME type, and of streams for ``stream``."""
    found: List[str] = []
    for cell in book.cells:
        for output in cell.get("outputs", []):
            data: Dict[str, str] = output.get("data", {})
            found += [output.text] if kind == output.output_type == "stream" else []
            found += [data[kind]] if kind in data else []
    return found


@pytest.mark.parametrize("name", MADE)
def test_it_runs_as_it_stands(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = run(name, tmp_path, monkeypatch)
    assert all((tmp_path / path).is_file() for path in MADE[name])
    pages = "".join(outputs(book, "text/html"))
    assert "name: shapes" not in pages and "1 of 1, finished" in pages and "data:image/png;base64" in pages
    shown = "".join(outputs(book, "stream"))
    assert "epoch 1/1" in shown and "step" in shown  # the bar, as text where ipywidgets is not installed
    assert "Traceback" not in shown
    for picture in outputs(book, "image/png"):
        Image.open(io.BytesIO(base64.b64decode(picture))).load()
    assert len(outputs(book, "image/png")) == {"digits": 3, "own_network": 1}[name]


@pytest.mark.parametrize("name", MADE)
def test_it_is_stored_without_outputs(name: str) -> None:
    book = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    for cell in book.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None
