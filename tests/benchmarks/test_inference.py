"""Rows of the benchmark of inference: their processes, turns, medians and ratios."""

from __future__ import annotations

import sys
from typing import List

import pytest

from benchmarks import inference, serve


def test_processes_of_inference() -> None:
    """Only networks that are lists of layers are measured in PyTorch too."""
    found = inference.commands("allconv13", 64, "/there", ["plain CNN"], "/a/python", ["eager", "compiled"])
    assert list(found) == ["plain CNN", "PyTorch, eager", "PyTorch, compiled"]
    assert found["PyTorch, compiled"][0] == "/a/python"
    assert found["PyTorch, compiled"][2:] == ["allconv13", "compiled", "64"]
    assert found["plain CNN"][2:] == ["--measure", "allconv13", "plain CNN", "/there", "64"]
    ours = inference.commands("gluon.resnet18_v1", 1, "/there", ["plain CNN"], "/a/python", ["eager"])
    assert list(ours) == ["plain CNN"]
    assert list(inference.commands("allconv13", 1, "/there", ["network"], None, [])) == ["network"]


def test_rows_of_inference() -> None:
    """Medians over all turns; the ratio is that of each start, so that slow minutes cancel."""
    starts = [
        {"plain CNN": [1.0, 1.2, 9.0], "network": [0.5, 0.6, 0.7]},
        {"plain CNN": [2.0, 2.0, 2.0], "network": [1.0, 1.0, 1.0]},
        {"plain CNN": [3.0, 3.0, 3.0], "network": [1.0, 1.0, 1.0]},
    ]
    plain, own = inference.make_rows("allconv13", 8, starts)
    assert plain["images_per_second"] == pytest.approx(8 / 2.0) and plain["over_plain"] == 1.0
    assert own["over_plain_of_starts"] == pytest.approx([2.0, 2.0, 3.0]) and own["over_plain"] == 2.0
    assert inference.line(own) == "| allconv13 | 8 | network | 8.0 | 2.00 (2.00..3.00) |"
    assert inference.line({**own, "over_plain_of_starts": []}).endswith("| 8.0 | 2.00 |")


def test_rows_of_inference_take_turns() -> None:
    """With processes that stand for the real ones: each is asked as often as it should be."""
    served = "from benchmarks.serve import serve; serve({}, lambda: {'seconds': %s})"
    asked = {name: [sys.executable, "-c", served % seconds] for name, seconds in (("a", 1.0), ("b", 2.0))}
    assert inference.start(asked, 2) == {"a": [1.0, 1.0], "b": [2.0, 2.0]}


def test_a_turn_leaves_out_its_first_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "TURN", 0.0)
    runs: List[int] = []
    assert serve.turn(lambda: runs.append(1)) >= 0 and len(runs) == 2
