"""Sizes and numbers of a recipe are bounded before they are used, and every remedy that is named works."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np
import pytest
from fakes import ROOT

from gluon_nrm.data.pipeline.splits import draw_split
from gluon_nrm.errors import DataError, DeviceError, ModelError, NRMError, RecipeError
from gluon_nrm.recipe import Recipe, recipe_from_text
from gluon_nrm.recipe.checks import SMALLEST, limit_problems
from gluon_nrm.recipe.fields import is_section
from gluon_nrm.runs import check_memory
from gluon_nrm.system.devices import check_batch, parse_devices
from gluon_nrm.training.assemble import assemble

TEXT = """\
data: {name: digits, labels: 50}
model: {name: digits_cnn}
loss: {}
teacher: {}
optimiser: {phases: [{name: adam, lr: 0.001}]}
train: {epochs: 1, batch_labelled: 10}
"""


def recipe(*overrides: str) -> Recipe:
    return recipe_from_text(TEXT, "x.yaml", overrides)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.batch_labelled=20000000", "train.batch_labelled: must be at least 0 and at most 1000000"),
        ("train.batch_unlabelled=999999999999", "train.batch_unlabelled: must be at least 0 and at most"),
        ("train.eval_batch=1000001", "train.eval_batch: must be at least 1 and at most 1000000"),
        ("train.epochs=1000000000000000000", "train.epochs: must be at least 1 and at most 1000000"),
        ("train.epoch_steps=1000000000", "train.epoch_steps: must be"),
        ("data.size=1000000", "data.size: must be"),
        ("data.shift=1000000000", "data.shift: must be"),
        ("model.channels=[100000000]", "model.channels.0: must be at least 1 and at most 100000"),
        ("model.channels=[" + "1," * 1001 + "1]", "model.channels: 1002 layers; give at most 1000"),
        ("loss.vat.power_iterations=1000000", "loss.vat.power_iterations: must be"),
        ("optimiser.phases.0.lr=1e-320", "lr: must be from 1e-37 to 1e\\+38 for 32-bit floats, found 1e-320"),
        ("optimiser.phases.0.lr=5e-324", "lr: must be from 1e-37"),
        ("optimiser.phases.0.lr=1e-46", "lr: must be from 1e-37"),
        ("model.dropout=1e-320", "model.dropout: must be 0 or from 1e-37 to"),
        ("loss.weights.entropy=1e39", "loss.weights.entropy: must be 0 or from 1e-37 to"),
        ("loss.vat.xi=1e-45", "loss.vat.xi: must be from 1e-37"),
        ("optimiser.weight_decay=1e-310", "weight_decay: must be 0 or from"),
        ("optimiser.phases.0.lr=.inf", "lr: must be a finite number, found inf"),
        ("data.labels=.inf", "data.labels: expected an integer or null, found .inf"),
        ("data.labels=-.inf", "data.labels: expected an integer or null, found -.inf"),
        ("data.labels=.nan", "data.labels: expected an integer or null, found .nan"),
        ("data.labels=1e400", "data.labels: expected an integer or null, found 1e400"),
        ("data.labels=99999999999999999999", "data.labels|the number 99999999999999999999 is too large"),
        ("model.channels=[.inf]", "model.channels.0: expected"),
        (
            "optimiser.phases.0={name: sgd, lr: 1e-30, schedule: exponential, final_lr: 1e30, "
            "decay_epochs: 0.1}",
            "decay_epochs: the rate would grow to 1e570",
        ),
        (
            "optimiser.phases.0={name: sgd, lr: 1, schedule: steps, milestones: [1, 2, 3], factor: 1e20}",
            "factor: the rate would grow to 1e60 by the end of the phase; give at most 1",
        ),
    ],
)  # fmt: skip
def test_what_is_out_of_bounds_is_named_by_its_key(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        recipe(override)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 400


def limits(section: Any, place: Tuple[str, ...] = ()) -> Iterator[Tuple[Tuple[str, ...], Any, Any]]:
    """Every key of a section with a range: its place, its value, its range."""
    for declared in fields(section):
        value = getattr(section, declared.name)
        if is_section(type(value)):
            yield from limits(value, (*place, declared.name))
        elif any(bound is not None for bound in declared.metadata["range"]):
            yield (*place, declared.name), value, declared.metadata["range"]


def changed(section: Any, place: Tuple[str, ...], value: Any) -> Any:
    inner = value if len(place) == 1 else changed(getattr(section, place[0]), place[1:], value)
    return replace(section, **{place[0]: inner})


def test_every_bound_that_a_message_names_is_accepted() -> None:
    tried = 0
    for whole in (recipe(), recipe().optimiser.phases[0]):
        for place, value, allowed in limits(whole):
            whole_number = isinstance(value, int) or place[-1] in ("labels", "size", "epochs", "epoch_steps")
            kind: Any = int if whole_number or place[-1] == "restart_epochs" else float
            if place[-1] in ("channels", "milestones"):
                continue
            inside: List[Any] = [bound for bound in (allowed.at_least, allowed.at_most) if bound is not None]
            outside: List[Any] = [bound for bound in (allowed.above, allowed.below) if bound is not None]
            outside += [] if allowed.at_least is None else [allowed.at_least - 1]
            outside += [] if allowed.at_most is None else [allowed.at_most * 2]
            inside += [SMALLEST] if kind is float and allowed.holds(SMALLEST) else []
            for bound, good in [*((each, True) for each in inside), *((each, False) for each in outside)]:
                problems = list(limit_problems(changed(whole, place, kind(bound))))
                assert (not problems) == good, (place, bound, problems)
                tried += 1
    assert tried > 100


def test_a_batch_that_memory_cannot_hold_is_refused_before_it_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(check_memory, "free_memory", lambda: 2.0**20)
    devices = parse_devices("cpu")
    for override, message in (
        (
            "train.batch_labelled=1000000",
            r"train.batch_labelled: 1000000 images of 1x8x8 need at least 0.3 GiB",
        ),
        ("train.batch_unlabelled=100000", r"train.batch_unlabelled: .*; lower train.batch_unlabelled"),
        ("train.epoch_steps=100000000", r"train.epoch_steps: the order of 100000000 steps of 10 images need"),
    ):
        with pytest.raises(DataError, match=message):
            assemble(recipe(override), devices)
    monkeypatch.undo()
    with pytest.raises(
        ModelError, match=r"model: the \d+ parameters of the network need at least \d+.* model.channels"
    ):
        assemble(recipe("model.channels=[100000, 100000, pool, 100000]"), devices)


def follow(error: NRMError) -> List[int]:
    """Numbers that the remedy of a message names."""
    return [int(each) for each in re.findall(r"\d+", str(error).rpartition(";")[2])]


def test_every_number_of_labels_that_a_remedy_names_is_accepted() -> None:
    rng = np.random.RandomState(0)
    messages = set()
    for _ in range(400):
        classes = rng.randint(2, 5)
        labels = np.concatenate([np.arange(classes), rng.randint(0, classes, rng.randint(0, 20))])
        validation, labelled = int(rng.randint(0, len(labels) + 2)), int(rng.randint(-3, 30))
        given: Dict[str, Any] = {
            "labelled": labelled,
            "split_seed": 0,
            "validation": validation,
            "classes": classes,
        }
        try:
            draw_split(labels, **given)
            continue
        except DataError as error:
            text, remedy = str(error), follow(error)
        if text.startswith("data.validation"):
            assert "choose from 0 to" in text
            continue
        messages.add(re.sub(r"\d+", "N", text))
        if "lower data.validation" in text:
            assert validation > 0
            continue
        assert remedy, text
        for number in remedy:
            if number != classes or "multiple" not in text or f"up to {number}" in text:
                draw_split(labels, **{**given, "labelled": number})
    assert len(messages) >= 4, messages


def test_a_class_without_an_image_has_a_remedy_that_is_not_zero() -> None:
    with pytest.raises(
        DataError, match=r"3, but class 2 has no image; add images of it, or remove the class"
    ):
        draw_split(np.array([0, 0, 1, 1]), labelled=3, split_seed=0, classes=3)
    with pytest.raises(DataError, match=r"2, but class 1 has no image left to label; lower data.validation"):
        draw_split(np.array([0, 0, 0, 1]), labelled=2, split_seed=0, validation=3, classes=2)


def test_batches_that_a_remedy_names_divide() -> None:
    devices = [None] * 3
    for batch in (1, 2, 4, 5, 100):
        with pytest.raises(DeviceError, match="give ") as caught:
            check_batch("train.batch_labelled", batch, devices, 2)
        numbers = [int(each) for each in re.findall(r"\d+", str(caught.value).rpartition("give")[2])]
        assert numbers
        assert all(number > 0 for number in numbers)
        for number in numbers:
            check_batch("train.batch_labelled", number, devices, 2)


def test_recipes_of_the_package_are_within_the_bounds() -> None:
    for path in sorted((ROOT / "recipes").glob("*.yaml"))[:10]:
        recipe_from_text(path.read_text(encoding="utf-8"), str(path))
