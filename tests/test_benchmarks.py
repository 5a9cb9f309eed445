"""The benchmarks themselves: what the floor counts, who takes turns, what is written; speed is not tested."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import mxnet as mx
import pytest
from mxnet.gluon import HybridBlock, nn

from benchmarks import network, peer_terms, profile_step, step, summary
from benchmarks.__main__ import BENCHMARKS, chosen
from benchmarks.floor import convolution_calls, floor_run
from benchmarks.harness import BenchmarkError, Child, last_line, read_json, write_json
from benchmarks.peer_torch import METHODS
from benchmarks.timing import spread, take_turns
from gluon_nrm.losses import Objective
from gluon_nrm.models import get_model, initialise

ROOT = Path(__file__).resolve().parents[1]


class Mixed(HybridBlock):
    """Convolutions of each kind: trained, shared, behind a comparison, and with constant filters."""

    def __init__(self) -> None:
        super().__init__()
        with self.name_scope():
            self.first = nn.Conv2D(4, 3, padding=1, in_channels=3)
            self.masked = nn.Conv2D(5, 1, in_channels=4)
            self.ones = self.params.get_constant("ones", mx.nd.ones((4, 1, 3, 3)))

    def hybrid_forward(self, F: Any, x: Any, ones: Any) -> Any:
        y = self.first(x)
        few = self.first(F.slice_axis(x, axis=0, begin=0, end=1))
        mask = F.mean(self.masked(y) > 0)
        sums = F.Convolution(y, ones, kernel=(3, 3), num_filter=4, num_group=4, no_bias=True)
        return F.broadcast_mul(F.sum(sums) + F.sum(few), mask)


def test_the_floor_counts_what_a_step_computes() -> None:
    block = Mixed()
    block.initialize()
    calls = convolution_calls(block, {"x": (2, 3, 8, 8)})
    # nothing flows back towards the image or through the comparison; sums by ones are no convolution
    found = sorted(call[1:] for call in calls)
    assert found == [
        ((1, 3, 8, 8), (4, 3, 3, 3), False, True),
        ((2, 3, 8, 8), (4, 3, 3, 3), False, True),
        ((2, 4, 8, 8), (5, 4, 1, 1), False, False),
    ]
    forward = convolution_calls(block, {"x": (2, 3, 8, 8)}, train=False)
    assert len(forward) == 3 and not any(call.data_gradient or call.weight_gradient for call in forward)
    floor_run(calls)()
    mx.nd.waitall()


@pytest.mark.parametrize("maxmin", [False, True])
def test_the_floor_of_an_objective(maxmin: bool) -> None:
    net = initialise(get_model("digits_cnn", 10, (1, 8, 8), maxmin=maxmin), seed=0)
    objective = Objective(net, ["cross_entropy", "reconstruction", "moment_matching", "path_norm"])
    calls = convolution_calls(objective, {"image": (4, 1, 8, 8), "label": (4,)})
    whole = [call for call in calls if call.data[0] == 4]
    alone = [call for call in calls if call.data[0] == 1]
    branches = 2 if maxmin else 1
    # three layers up (the first once for both branches) and down; the zero image's path down leaves its own
    # batch of 1 only at the pooling of the first layer, where nothing more is computed
    assert len(whole) == branches * 3 - (branches - 1) + branches * 3
    assert len(alone) == 3 + 2
    assert sum(not call.weight_gradient for call in alone) == 3
    assert all(call.weight_gradient for call in whole)
    assert sum(not call.data_gradient for call in whole) == 1  # the image's


def test_works_take_turns() -> None:
    order: List[str] = []
    first, second = take_turns([lambda: order.append("a"), lambda: order.append("b")], rounds=3, warm_up=1)
    assert order == ["a", "b"] * 4
    assert len(first) == len(second) == 3
    assert spread([3.0, 1.0, 2.0]) == {"seconds": 2.0, "seconds_min": 1.0, "seconds_max": 3.0}


def test_a_child_measures_when_it_is_asked() -> None:
    code = (
        "from itertools import count; from benchmarks.serve import serve; numbers = count(1)\n"
        "print('noise'); serve({'ready': True}, lambda: {'number': next(numbers)})"
    )
    child = Child([sys.executable, "-c", code])
    assert child.ready == {"ready": True}
    assert [child.ask()["number"] for _ in range(3)] == [1, 2, 3]
    child.close()
    for run in (Child, last_line):
        with pytest.raises(BenchmarkError, match=r"-c import sys; sys.exit\(3\): ended with code 3"):
            run([sys.executable, "-c", "import sys; sys.exit(3)"])


def test_a_child_that_ends_when_it_is_asked() -> None:
    child = Child([sys.executable, "-c", "print('{}', flush=True); input(); raise SystemExit(4)"])
    with pytest.raises(BenchmarkError, match="ended with code 4"):
        child.ask()
    child.close()


def test_figures_say_what_they_were_measured_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    write_json(str(tmp_path / "x.json"), [1, 2])
    assert read_json(tmp_path / "x.json") == [1, 2]
    environment = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))["environment"]
    assert environment["omp_num_threads"] == 3
    assert {"cpu", "cores", "commit", "mxnet", "numpy", "python"} <= set(environment)


@pytest.mark.parametrize(
    ("operator", "group"),
    [
        ("_backward_Convolution", "convolutions"),
        ("BatchNorm", "norms"),
        ("_contrib_AdaptiveAvgPooling2D", "statistics"),
        ("_backward_contrib_AdaptiveAvgPooling2D", "statistics"),
        ("_backward_Pooling", "pooling and upsampling"),
        ("_greater_scalar", "activations and masks"),
        ("_backward_broadcast_mul", "element-wise sums and products"),
        ("_backward_slice", "flips and copies"),
        ("multi_sgd_update", "optimiser and teacher"),
        ("_broadcast_backward", "flips and copies"),
        ("SomethingNew", profile_step.OTHER),
    ],
)
def test_operators_have_groups(operator: str, group: str) -> None:
    assert profile_step.group_of(operator) == group


def profiled() -> Dict[str, Any]:
    operators = [
        {"operator": name, "calls": 1, "milliseconds": taken}
        for name, taken in (("Convolution", 30.0), ("add_n", 10.0), ("_backward_Convolution", 40.0))
    ]
    return profile_step.summarise_profile("NRM + RPN", 100.0, operators)


def test_a_profile_adds_up(tmp_path: Path) -> None:
    found = profiled()
    assert [(row["group"], row["share"]) for row in found["groups"]] == [
        ("convolutions", 0.7), ("element-wise sums and products", 0.1), (profile_step.OUTSIDE, 0.2),
    ]  # fmt: skip
    line = "| NRM + RPN | convolutions | 70 | 70.0 | _backward_Convolution 40, Convolution 30 |"
    assert line in profile_step.table([found])
    profile_step.plot([found], tmp_path / "profile.png")
    assert (tmp_path / "profile.png").read_bytes().startswith(b"\x89PNG")


def test_rows_of_a_step_and_their_summary() -> None:
    rounds = [{"step_seconds": seconds, "floor_seconds": 2.0} for seconds in (3.0, 2.0, 4.0)]
    row = step._row("nrm_rpn", "hybridised", {"peak_memory_gb": 1.5}, rounds)
    assert row["step_over_floor"] == 1.5 and row["images_per_second"] == 16 / 3
    peer = step._row("nrm_rpn", step.PEER, {"peak_memory_gb": 1.0, "torch": "2"}, [{"step_seconds": 4.0}])
    row["over_peer"], peer["over_peer"] = 0.75, None
    assert step.table([row, peer]).splitlines()[2:] == [
        "| NRM + RPN | hybridised | 3.00 | 2.00..4.00 | 5.33 | 1.50 | 2.00 | 1.50 | 0.75 |",
        "| NRM + RPN | PyTorch | 4.00 | 4.00..4.00 | 4.00 | 1.00 |  |  |  |",
    ]
    terms = {"method": "NRM + RPN", "terms": 1e-6, "gradients": 1e-3}
    lines = summary.table({"step": [row], "profile_step": [profiled()], "peer_terms": [terms]}).splitlines()
    assert "5.33 images/s, 1.50 GB, step / floor 1.50, ours / PyTorch 0.75" in lines[2]
    assert "convolutions 70 %" in lines[3] and "terms 1.0e-06" in lines[4]


def test_every_committed_result_has_a_summary() -> None:
    for path in sorted((ROOT / "results").glob("*.json")):
        assert summary.table({path.stem: read_json(path)}).count("\n") >= 2, path.name


def test_every_benchmark_is_run() -> None:
    tools = {
        path.stem for path in (ROOT / "benchmarks").glob("*.py")
        if "run_tool(lambda" in path.read_text(encoding="utf-8")
    }  # fmt: skip
    assert tools == set(BENCHMARKS) == set(summary.SUMMARIES)
    assert chosen("") == list(BENCHMARKS) and chosen("input, step") == ["step", "input"]
    with pytest.raises(BenchmarkError, match="no benchmark 'stepp'; there are step, "):
        chosen("stepp")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PEER_PYTHON": ""}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, env=environment
    )


def test_the_command_refuses_what_it_does_not_know() -> None:
    asked = run("-m", "benchmarks", "--only", "spede")
    assert asked.returncode == 2 and asked.stderr.startswith("error: --only: no benchmark 'spede'")
    assert run("-m", "benchmarks", "--repeats", "0").returncode == 2


def test_without_pytorch(tmp_path: Path) -> None:
    """No row for the peer, one line that says how to get it, and no failure."""
    bare = tmp_path / "python"
    bare.write_text('#!/bin/sh\nexit 1\n')
    bare.chmod(0o755)
    options = ("--only", "peer_terms", "--peer-python", str(bare), "--out", str(tmp_path))
    asked = run("-m", "benchmarks", *options)
    assert asked.returncode == 0, asked.stderr
    lines = asked.stderr.strip().splitlines()
    assert len(lines) == 1
    assert re.match(r"no row for PyTorch: .*pip install \"gluon_nrm\[peers\]\"", lines[0])
    assert read_json(tmp_path / "peer_terms.json") == []
    assert step.find_peer(str(tmp_path / "nothing")) is None


def test_differences_of_terms() -> None:
    assert peer_terms.difference({"a": 1.0, "b": 1e-9}, {"a": 1.1, "b": 2e-9}) == pytest.approx(0.1 / 1.1)
    with pytest.raises(BenchmarkError, match="not in both: b"):
        peer_terms.difference({"a": 1.0, "b": 1.0}, {"a": 1.0})


def test_methods_of_both_sides_are_the_same() -> None:
    from benchmarks import peer_torch, step_methods

    assert {name: tuple(each) for name, each in step_methods.METHODS.items()} == METHODS
    weights = dict(step_methods.WEIGHTS, consistency=step_methods.CONSISTENCY)
    assert weights == peer_torch.WEIGHTS and step_methods.BATCH == peer_torch.BATCH


def test_two_workers_and_a_server_by_hand() -> None:
    """10 MB at 8 Mbit/s: 10 s over a link, twice as much over the server's, and back."""
    assert network.exchange_seconds(10e6, 2, 1, 8e6) == pytest.approx(2 * 20.0)
    assert network.exchange_seconds(10e6, 2, 2, 8e6) == pytest.approx(2 * 10.0)
    assert network.exchange_seconds(10e6, 2, 8, 8e6) == pytest.approx(2 * 10.0)  # the workers' own links
    assert network.speedup(10e6, 2, 1, 8e6, step=40.0) == pytest.approx(1.0)
    for workers in range(1, 40):
        within = network.exchange_seconds(10e6, workers, 1, 8e6) <= 100.0
        assert within == (workers <= network.most_workers(10e6, 1, 8e6, 100.0))
    assert network.most_workers(10e6, 1, 8e6, 19.0) == 0
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "network.py"), "--step-seconds", "0"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and "'0' is no time above 0" in done.stderr
