"""Event files of training, read by TensorBoard's own reader."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest
from short_runs import SUPERVISED, recipe

from gluon_nrm.errors import RunError, SetupError
from gluon_nrm.runs.run import Run
from gluon_nrm.runs.tensorboard_log import TensorBoardLog
from gluon_nrm.training.fit import fit


def train(root: Path, *overrides: str, **options: Any) -> Run:
    return fit(recipe(SUPERVISED, *overrides), root=root, devices="cpu", stream=io.StringIO(), **options)


def check(run: Run, images: List[str]) -> None:
    """Compare every scalar with metrics.jsonl."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(run.path / "tensorboard")).Reload()
    metrics = run.metrics
    assert set(found.Tags()["scalars"]) == set(metrics) - {"epoch"}
    for name, column in metrics.items():
        if name == "epoch":
            continue
        events = found.Scalars(name)
        assert [event.step for event in events] == metrics["epoch"].tolist()
        np.testing.assert_array_equal([event.value for event in events], column.astype(np.float32))
        assert np.all(np.diff([event.wall_time for event in events]) >= 0)
    assert found.Tags()["images"] == images
    for name in images:
        (image,) = found.Images(name)
        assert image.encoded_image_string == (run.path / f"{name}.png").read_bytes()
        assert image.step == run.epoch and image.width > 100 and image.height > 100


def test_its_reader_finds_every_metric_of_every_epoch_once(tmp_path: Path) -> None:
    """The run is started without TensorBoard, and goes on with it."""
    run = train(tmp_path, "train.epochs=2", "optimiser.phases.0.schedule=constant")
    assert not (run.path / "tensorboard").exists()
    longer = ["train.epochs=3", "optimiser.phases.0.schedule=constant"]
    again = train(tmp_path, *longer, tensorboard=True)
    assert again.path == run.path and again.epoch == 3
    drawn = sorted(f"figures/{path.stem}" for path in again.figures.glob("*.png"))
    assert "figures/curves" in drawn
    check(again, drawn)
    with TensorBoardLog(again) as log:  # written anew, without the figures
        assert len(list(log.folder.iterdir())) == 1
    check(again, [])


def test_a_missing_package_is_told_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
    with pytest.raises(SetupError) as caught:
        train(tmp_path, tensorboard=True)
    assert str(caught.value).endswith("run `pip install -r requirements-dev.txt`")
    assert len(str(caught.value).splitlines()) == 1 and not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    run = train(tmp_path, "train.epochs=1", "train.epoch_steps=1")
    (run.path / "tensorboard").write_text("a file", encoding="utf-8")
    with pytest.raises(RunError, match="tensorboard.*: cannot|cannot write .*tensorboard"):
        TensorBoardLog(run)
