"""Dry runs: batches that grow until the order of magnitude is clear, in time; advice for long runs."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, List, Tuple

import mxnet as mx
import pytest
from fakes import ROOT

from gluon_nrm.console.progress_bar import ProgressBar
from gluon_nrm.recipe import load_recipe
from gluon_nrm.training import forecast as forecast_module
from gluon_nrm.training import step_cost
from gluon_nrm.training.forecast import small_recipe
from gluon_nrm.training.step_cost import BUDGET, Costs, StepCost, Watch, measure_steps

RECIPES = ROOT / "recipes"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def fake(recipe: str, *devices: Any, **train: Any) -> Any:
    """Parts without a network."""
    loaded = load_recipe(RECIPES / f"{recipe}.yaml")
    loaded = replace(loaded, train=replace(loaded.train, **train))
    streams = SimpleNamespace(steps_per_epoch=100)
    return SimpleNamespace(recipe=loaded, devices=list(devices or [mx.cpu()]), streams=streams)


def measure(
    monkeypatch: pytest.MonkeyPatch, parts: Any, each: float, constant: float = 0.0, building: float = 0.0
) -> Tuple[Costs, float]:
    """Measure steps of ``constant + each * images`` seconds, the first of a batch ``building`` longer."""
    clock = Clock()

    def steps(parts: Any, full: bool, watch: Watch) -> List[float]:
        number = 3
        seconds = constant + each * step_cost.batch_images(parts.recipe)
        clock.now += building + number * seconds
        return [seconds] * (number - 1)

    monkeypatch.setattr(step_cost, "_time_steps", steps)
    monkeypatch.setattr(step_cost, "replace_batch", lambda parts, recipe: SimpleNamespace(recipe=recipe))
    monkeypatch.setattr(step_cost, "free_memory", lambda: 1e15)
    bar = ProgressBar(20, "dry run", stream=io.StringIO())
    return measure_steps(parts, Watch(bar, clock)), clock.now


def test_cheap_steps_are_taken_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    costs, seconds = measure(monkeypatch, fake("digits_maxmin_mt"), each=1e-3)
    assert [cost.images for cost in costs.measured] == [2, 64] and seconds < 1
    assert costs.seconds(64) == pytest.approx(0.064)


@pytest.mark.parametrize("each", [0.1, 0.5, 2.0, 5.0])
def test_long_steps_end_in_time_and_are_estimated(each: float, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = fake("cifar10_resnext29_shakeshake_cutout_maxmin")
    costs, seconds = measure(monkeypatch, parts, each, constant=each)
    assert costs.measured[0].images == 2 and costs.measured[-1].images < 128
    true = each * 129
    # two images alone make the constant part look like a cost of each image
    assert true / 1.6 < costs.seconds(128) < true * 1.6
    # only the first batch, of which nothing is known before, may take longer than the budget
    assert seconds < BUDGET or len(costs.measured) == 1


def test_chains_cost_the_same_whatever_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two chains of ten classes, each as dear as an image: two images alone tell little of 64."""
    parts = fake("fashion_mnist_nrm_rpn_sampled")
    parts.net = SimpleNamespace(classes=10)
    costs, seconds = measure(monkeypatch, parts, each=0.07, constant=20 * 0.07)
    assert costs.chains == 20 and len(costs.measured) > 1 and seconds < BUDGET
    assert costs.seconds(64) == pytest.approx(84 * 0.07)
    alone = Costs(costs.measured[:1], chains=20)
    assert alone.seconds(64) == pytest.approx(84 * 0.07)
    assert alone.memory(64) == pytest.approx(costs.measured[0].memory * 84 / 22)
    assert small_recipe(parts.recipe) == "digits_nrm_rpn_sampled"


def test_a_gpu_takes_its_own_batch_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = fake("cifar10_maxmin_mt", mx.gpu())
    costs, _ = measure(monkeypatch, parts, each=1e-3)
    assert [cost.images for cost in costs.measured] == [step_cost.batch_images(parts.recipe)]


def test_every_device_gets_an_image() -> None:
    parts = fake("digits_maxmin_mt", *[mx.cpu(number) for number in range(3)])
    sizes = [(each.train.batch_labelled, each.train.batch_unlabelled) for each in step_cost._growing(parts)]
    assert sizes[0] == (3, 3) and sizes[-1] == (32, 32)
    assert all(labelled % 3 == 0 for labelled, _ in sizes[:-1])


def test_estimates() -> None:
    one = Costs([StepCost(4, 2.0, 2, 100.0)])
    assert (one.seconds(8), one.memory(8), one.agree(8)) == (4.0, 200.0, False)
    two = Costs([StepCost(4, 2.0, 2, 100.0), StepCost(8, 3.0, 2, 140.0)])
    assert (two.seconds(16), two.memory(16)) == (5.0, 220.0)  # on the line through both
    assert not two.agree(16) and Costs([*two.measured, StepCost(16, 5.5, 2, 0.0)]).agree(32)
    # a larger batch is never cheaper, and never more than proportionally dearer
    assert Costs([StepCost(4, 2.0, 2, 0.0), StepCost(8, 1.0, 2, 0.0)]).seconds(16) == 1.0
    assert Costs([StepCost(4, 1.0, 2, 0.0), StepCost(8, 4.0, 2, 0.0)]).seconds(16) == 8.0


def test_no_batch_that_does_not_fit_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = fake("cifar10_maxmin_mt")
    monkeypatch.setattr(step_cost, "peak_memory", iter([0, 2**20, 2**22]).__next__)
    monkeypatch.setattr(step_cost, "_held_memory", lambda: 0)
    clock = Clock()
    monkeypatch.setattr(step_cost, "_time_steps", lambda *_: [0.5])
    monkeypatch.setattr(step_cost, "replace_batch", lambda parts, recipe: SimpleNamespace(recipe=recipe))
    monkeypatch.setattr(step_cost, "free_memory", lambda: 5 * 2**20)
    costs = measure_steps(parts, Watch(ProgressBar(20, "dry run", stream=io.StringIO()), clock))
    assert costs.memory_is_short and [cost.images for cost in costs.measured] == [2, 8]


def test_a_long_run_gets_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = fake("cifar10_maxmin_mt", epochs=500)
    costs = Costs([StepCost(4, 1.0, 2, 0.0)])
    text = "\n".join(forecast_module._describe(parts, costs))
    per_epoch = 100 * step_cost.batch_images(parts.recipe) / 4
    assert "which would take longer; estimated from those" in text
    assert f"--set train.epochs={int(86400 / per_epoch)} takes a day" in text
    assert "a GPU (--devices gpu(0))" in text and "digits_maxmin_mt, 8x8 digits" in text
    assert all(len(line) <= 100 for line in text.splitlines())
    short = "\n".join(forecast_module._describe(fake("cifar10_maxmin_mt", epochs=1), costs))
    assert "advice" not in short
    on_gpu = "\n".join(forecast_module._describe(fake("digits_mt", mx.gpu(), epochs=100000), costs))
    assert "advice" in on_gpu and "gpu(0)" not in on_gpu and "8x8" not in on_gpu


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_there_is_a_small_recipe_of_every_method(path: Path) -> None:
    recipe = load_recipe(path)
    small = load_recipe(RECIPES / f"{small_recipe(recipe)}.yaml")
    assert small.teacher.enabled == recipe.teacher.enabled
    assert small.adversarial.method == recipe.adversarial.method
    if recipe.teacher.enabled:
        assert small.model.maxmin == recipe.model.maxmin
    assert small.data.name == "digits"


def test_a_bar_shows_how_far_it_is() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream, clock = Terminal(), Clock()
    with ProgressBar(20, "dry run", stream=stream, delay=0.0, mininterval=0.0) as bar:
        watch = Watch(bar, clock)
        watch.show("loading the data")
        clock.now = 7.0
        watch.show("4 of 64 images a step")
        assert watch.left == BUDGET - 7
    text = stream.getvalue()
    assert "loading the data" in text and "4 of 64 images a step" in text and " 7/20" in text
