"""Training on images of one's own, in memory and streamed, as a recipe says."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Iterator

import mxnet as mx
import numpy as np
import picture_files as files
import pytest
from short_runs import differences, newest, recipe

from gluon_nrm.data import Step
from gluon_nrm.errors import DataError
from gluon_nrm.training.assemble import assemble
from gluon_nrm.training.evaluate_run import evaluate_run
from gluon_nrm.training.fit import fit
from gluon_nrm.training.forecast import forecast
from gluon_nrm.training.loop import Loop

pytestmark = pytest.mark.filterwarnings("ignore:Parameter .* is not used by any computation")

TEXT = """\
data: {name: folder, path: images, size: 16, labels: 6, mirror: true, cutout: 4}
model: {name: digits_cnn, channels: [4, pool, 4]}
loss: {weights: {cross_entropy: 1, reconstruction: 0.5}}
optimiser: {phases: [{name: sgd, lr: 1e-2}]}
train: {epochs: 2, epoch_steps: 4, batch_labelled: 2, batch_unlabelled: 4, eval_batch: 3}
"""
STREAMED = TEXT.replace("size: 16", "size: 16, streamed: true")


@pytest.fixture(autouse=True)
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.record_parts(tmp_path / "images", train=18, test=7)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("text", [TEXT, STREAMED], ids=["memory", "streamed"])
def test_a_run(text: str) -> None:
    run = fit(recipe(text), devices="cpu", stream=io.StringIO())
    rows = run.read_metrics()
    assert [row["epoch"] for row in rows] == [1, 2] and run.finished
    assert {path.name for path in run.figures.iterdir()} == {
        f"{name}.png" for name in ("confusion", "curves", "mistakes", "renderings")
    }
    found = evaluate_run(run.path, devices="cpu")
    assert found.images == 7 and found.errors["student"][""] == rows[-1]["error/student"]


def test_a_streamed_run_goes_on_to_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit(recipe(STREAMED), devices="cpu", root="whole", stream=io.StringIO())
    save = Loop._save

    def stop_after_six(loop: Loop, progress: Any, stop: Any) -> None:
        original = loop.parts.streams.epoch

        def epoch(number: int, first: int = 0) -> Iterator[Step]:
            for place, step in enumerate(original(number, first), first):
                yield step
                if (number, place) == (1, 1):  # the second step of the second epoch is done
                    save(loop, stop)
                    raise KeyboardInterrupt

        loop.parts.streams.epoch = epoch  # type: ignore[method-assign, assignment]
        train_epoch(loop, progress, stop)

    train_epoch = Loop._train_epoch
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_train_epoch", stop_after_six)
        with pytest.raises(KeyboardInterrupt):
            fit(recipe(STREAMED), devices="cpu", root="parts", stream=io.StringIO())
    resumed = fit(recipe(STREAMED), devices="cpu", root="parts", stream=io.StringIO())
    assert not differences(newest(resumed).arrays["student"], newest(whole).arrays["student"])
    assert newest(whole).state["step"] == 8


def test_shifts_are_for_images_in_memory() -> None:
    with pytest.raises(DataError, match="data.shift: 2 pixels, but the images of 'folder' are streamed"):
        assemble(recipe(STREAMED, "data.shift=2"), [mx.cpu()])
    assert assemble(recipe(TEXT, "data.shift=2"), [mx.cpu()]).streams.augment.shift == 2  # type: ignore[attr-defined]


def test_settings_reach_the_crops() -> None:
    changes = ["data.crop_area=0.5", "data.crop_aspect=1.5", "data.jitter=0", "data.lighting=0.2"]
    augment = assemble(recipe(STREAMED, *changes), [mx.cpu()]).streams.augment
    assert tuple(augment.settings) == (0.5, 1.5, 0, 0.2)  # type: ignore[attr-defined]
    assert (augment.side, augment.mirror) == (16, True)  # type: ignore[attr-defined]


def test_a_dry_run_of_imagenet_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gluon_nrm.training.step_cost.STEPS", 2)
    text = STREAMED.replace("name: folder, path: images", "name: imagenet").replace("streamed: true, ", "")
    text = text.replace("labels: 6", "labels: 128000").replace("epoch_steps: 4, ", "")
    said = forecast(recipe(text), devices="cpu", data_dir=tmp_path).splitlines()
    assert f"{tmp_path}/imagenet/train.rec is missing; get it: " in said[0]
    # on a busy machine a line about the batch comes before
    step, epoch = (next(line for line in said if line.startswith(word)) for word in ("step", "epoch"))
    assert epoch.startswith(f"epoch    {(1281167 - 128000) // 4} steps")
    assert np.isfinite(float(step.split()[1]))
