"""The pictures of the documents were drawn by the present code from the present recipes."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import numpy as np
import pytest
from fakes import ROOT
from matplotlib.image import imread


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "docs" / "site" / "pictures.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pictures = _script()
NAMES = sorted(path.name for path in (ROOT / "docs").glob("*.png"))


def test_every_picture_is_made_by_the_script() -> None:
    assert NAMES == sorted(pictures.PICTURES) == sorted(json.loads(pictures.RECORD.read_text("utf-8")))


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_has_the_present_inputs(name: str) -> None:
    recorded = json.loads(pictures.RECORD.read_text(encoding="utf-8"))[name]
    assert recorded == pictures.inputs_hash(pictures.PICTURES[name]), (
        f"the recipe or the drawing code has changed: python docs/site/pictures.py {name}"
    )


def test_layout_and_comments_are_no_inputs() -> None:
    plain = "def f(a, b):\n    return g(a, b)\n"
    other = 'def f(\n    a,\n    b,\n):\n    """Say it."""\n    # why\n    return g(\n        a, b,\n    )\n'
    assert pictures._code(plain) == pictures._code(other)
    assert pictures._code(plain) != pictures._code(plain.replace("g(a, b)", "g(b, a)"))


def test_no_column_of_the_first_picture_is_empty() -> None:
    """Each picture of the grid shows something: its pixels differ."""
    grey = imread(ROOT / "docs" / "renderings.png")[..., :3].mean(axis=-1)
    busy = grey.std(axis=0) > 0.05
    # the widest stretch without contrast is the margin between two columns
    edges = np.flatnonzero(np.diff(np.concatenate([[1], busy.astype(int), [1]])))
    gaps = [b - a for a, b in zip(edges[::2], edges[1::2])]
    assert max(gaps[1:-1], default=0) < 60
