"""docs/own_photos.md, followed small in this process."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Sequence

import pytest
from own_photos import commands, follow

from gluon_nrm.recipe.shipped import list_recipes


def in_process(words: Sequence[str]) -> None:
    module = import_module(f"gluon_nrm.cli.{words[0]}")
    assert module.main(words[1:]) == 0, words


def test_the_page_leads_from_photos_to_predictions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    follow(tmp_path, in_process)
    assert (tmp_path / "runs" / "photos-s0" / "figures" / "curves.png").exists()
    assert (tmp_path / "exported" / "model.json").exists()
    # predictions of the run and of its export name each of the photos
    assert capsys.readouterr().out.count("boat.jpg") >= 2


def test_the_page_names_every_step() -> None:
    assert [words[0] for words in commands()] == [
        "data", "train", "train", "train", "evaluate", "plot", "report", "predict", "export", "predict",
    ]  # fmt: skip
    assert {"photos", "photos_supervised"} <= set(list_recipes())
