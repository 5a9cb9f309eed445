"""Stages of a whole run: what they add up to, and that a real run has each of them."""

from __future__ import annotations

from typing import Any, Dict

import pytest
from fakes import ROOT

from benchmarks import end_to_end, stamped_train, summary
from benchmarks.harness import BenchmarkError


def stages(first: float, evaluation: float) -> Dict[str, Any]:
    """Stages of a run whose epochs take 10 s."""
    sums = {"epochs": 10.0, "evaluation": evaluation, "checkpoints and curves": 0.5}
    return {"until_first_step": {"imports": 2.0, "first step": first}, "sums": sums, "wall": 15.0}


def test_figures_are_medians_over_the_runs() -> None:
    """By hand: first steps at 3, 5 and 4 s; evaluation 1, 3 and 2 of 10 s."""
    found = end_to_end.summarise([stages(1.0, 1.0), stages(3.0, 3.0), stages(2.0, 2.0)])
    assert found["first_step_at"] == 4.0 and found["until_first_step"]["first step"] == 2.0
    assert found["shares"] == {"evaluation": 0.2, "checkpoints and curves": 0.05} and found["wall"] == 15.0
    lines = end_to_end.table(found).splitlines()[2:]
    assert lines[:2] == ["| imports | 2.00 | |", "| first step | 2.00 | |"]
    assert lines[3:5] == ["| epochs | 10.00 |  |", "| evaluation | 2.00 | 20.0 |"]
    text = summary.table({"end_to_end": {"recipe": "x", **found}})
    assert "first step | 4.00 s from the start of Python" in text
    assert "evaluation 20.0 %, checkpoints and curves 5.0 % of their time" in text


def test_a_stage_ends_once_and_sums_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that goes by a second a look."""
    seconds = iter(range(100, 200))
    monkeypatch.setattr("benchmarks.stamped_train.time.time", lambda: float(next(seconds)))
    monkeypatch.setattr(stamped_train, "_wait", lambda: None)

    class Work:
        def do(self, x: int) -> int:
            return x + 1

    found = stamped_train.Stages(90.0)
    found.stamp("imports")  # at 100
    found.ends(Work, "do", "first")
    assert [Work().do(1), Work().do(2)] == [2, 3]  # ends at 101
    found.adds(Work, "do", "all")
    assert [Work().do(1), Work().do(2)] == [2, 3]  # a second each
    assert found.until_first_step == {"imports": 10.0, "first": 1.0} and found.sums == {"all": 2.0}


def test_a_run_has_every_stage() -> None:
    recipe = str(ROOT / "recipes" / "digits_maxmin_mt.yaml")
    found = end_to_end.run(recipe, "--set", "train.epochs=1", "--set", "train.epoch_steps=2")
    assert list(found["until_first_step"]) == [
        "interpreter and imports", "recipe and data", "network and teacher", "run folder, first step",
    ]  # fmt: skip
    assert all(seconds > 0 for seconds in found["until_first_step"].values())
    assert {"epochs", *end_to_end.BESIDE} < set(found["sums"]) and found["wall"] > found["sums"]["epochs"]


def test_a_run_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.end_to_end.sys.executable", "/bin/false")
    with pytest.raises(BenchmarkError, match="training none.yaml ended with code 1"):
        end_to_end.run("none.yaml")
