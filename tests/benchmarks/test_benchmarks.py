"""The benchmarks themselves: what the floor counts, who takes turns, what is written; speed is not tested."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, List, Tuple

import mxnet as mx
import numpy as np
import pytest
from commands import end_of
from fakes import ROOT
from mxnet.gluon import HybridBlock, nn

from benchmarks import devices, methods_step, network, profile_step, summary
from benchmarks.__main__ import BENCHMARKS, chosen
from benchmarks.__main__ import main as benchmarks_main
from benchmarks.floor import convolution_calls, floor_run
from benchmarks.harness import BenchmarkError, Child, last_line, read_json, write_json
from benchmarks.recipe_step import recipe_step
from benchmarks.timing import spread, take_turns
from gluon_nrm.losses import TERMS, Objective
from gluon_nrm.models import get_model, initialise
from gluon_nrm.recipe.load import load_recipe
from gluon_nrm.report.paper_tables import METHODS as METHODS_OF_TABLES
from gluon_nrm.training.optimisers import trained_parameters


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
    states = sum(int(np.prod(shape)) for shape in net.zero_shapes)
    calls = convolution_calls(objective, {"image": (4, 1, 8, 8), "label": (4,), "zero_states": (1, states)})
    whole = [call for call in calls if call.data[0] == 4]
    alone = [call for call in calls if call.data[0] == 1]
    branches = 2 if maxmin else 1
    # three layers up (the first once for both branches) and down; the zero image's path down leaves its own
    # batch of 1 only at the pooling of the first layer, where nothing more is computed
    assert len(whole) == branches * 3 - (branches - 1) + branches * 3
    assert len(alone) == 2
    assert all(call.weight_gradient for call in calls)
    # up, once for both streams, and not back
    shared = convolution_calls(objective.zero_states, {"image": (1, 1, 8, 8)}, train=False)
    assert len(shared) == 3 and not any(call.weight_gradient or call.data_gradient for call in shared)
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
    failing = [sys.executable, "-c", "import sys; sys.exit(3)"]
    for run in (lambda: Child(failing).ready, lambda: last_line(failing)):
        with pytest.raises(BenchmarkError, match=r"-c import sys; sys.exit\(3\): ended with code 3"):
            run()


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


def test_ratios_of_the_methods_steps() -> None:
    """Medians by hand: 20 ms with 32 images, 50 ms with 64: 2.5 times, 1.25 times per image."""
    seconds = {"Supervised only": [0.02, 0.01, 0.03], "Pi model": [0.05, 0.04, 0.09]}
    found = methods_step.rows(seconds, {"Supervised only": 32, "Pi model": 64})
    assert methods_step.table(found).splitlines()[2:] == [
        "| Supervised only | 32 | 20.0 | 1.00 | 1.00 |", "| Pi model | 64 | 50.0 | 2.50 | 1.25 |",
    ]  # fmt: skip
    text = summary.table({"methods_step": found})
    assert text.endswith("\n| methods_step | Pi model | 2.50 times the supervised step |  |")
    assert {*METHODS_OF_TABLES, *methods_step.OTHERS} == set(methods_step.methods())


def test_a_step_of_a_recipe() -> None:
    """It has the recipe's batches, and changes the network."""
    step = recipe_step("digits_supervised")
    assert step.images == 32
    step.run()
    assert [len(each.parts[0][0]) for each in step.run()] == [32]


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


def test_the_command_refuses_what_it_does_not_know() -> None:
    asked = end_of(benchmarks_main, "benchmarks", "--only", "spede")
    assert asked.returncode == 2 and asked.stderr.startswith("error: --only: no benchmark 'spede'")
    assert end_of(benchmarks_main, "benchmarks", "--repeats", "0").returncode == 2


def test_two_workers_and_a_server_by_hand() -> None:
    """10 MB at 8 Mbit/s: 10 s over a link, twice as much over the server's, and back."""
    model = network.Model("one key that is split", (2_500_000,))
    assert network.exchange_seconds(model, 2, 1, 8e6) == pytest.approx(2 * 20.0)
    assert network.exchange_seconds(model, 2, 2, 8e6) == pytest.approx(2 * 10.0)
    assert network.exchange_seconds(model, 2, 8, 8e6) == pytest.approx(2 * 10.0)  # the workers' own links
    assert network.speedup(model, 2, 1, 8e6, 40.0) == pytest.approx(1.0)
    for workers in range(1, 40):
        within = network.exchange_seconds(model, workers, 1, 8e6) <= 100.0
        assert within == (workers <= network.most_workers(model, 1, 8e6, 100.0))
    assert network.most_workers(model, 1, 8e6, 19.0) == 0
    # a part may be an element above the equal one
    assert network.most_workers(model, None, 8e6, 20.01) == network.NUMBERS[-1]
    # 0.4 MB more in a small key are one server's, however many there are: 3 * (10 / 3 + 0.4) > 10.4
    lopsided = network.Model("and one that is not", (2_500_000, 100_000))
    assert network.exchange_seconds(lopsided, 3, 3, 8e6) == pytest.approx(2 * 11.2, rel=1e-5)


def test_keys_are_placed_as_mxnet_placed_them() -> None:
    """Bytes of each push of a worker of MXNet 1.9.1 to three servers, as its log (PS_VERBOSE=2) gave them."""
    sent = {
        1000: (4000, 0, 0),
        2000: (0, 8000, 0),
        3000: (0, 0, 12000),
        4000: (16000, 0, 0),
        5000: (0, 20000, 0),
        1_200_001: (1_600_000, 1_600_004, 1_600_000),
        999_999: (3_999_996, 0, 0),
        1_000_000: (1_333_332, 1_333_336, 1_333_332),
    }
    model = network.Model("keys 0 to 7", tuple(sent))
    assert model.server_bytes(3) == [sum(column) for column in zip(*sent.values())]
    assert sum(model.server_bytes(7)) == model.gradient_bytes == 4 * sum(sent)
    assert network.Model("all split", (30, 60), bound=1).server_bytes(3) == [120, 120, 120]


def test_keys_are_those_of_a_run() -> None:
    """Sizes and order of what GradientSum sends, for the network with the most kinds of parameters."""
    recipe = load_recipe(ROOT / "recipes" / "cifar10_nrm_rpn_maxmin.yaml")
    settings = asdict(recipe.model)
    name, scheme = settings.pop("name"), settings.pop("initialiser")
    del settings["weights"], settings["pretrained"]  # of a trained network
    net = initialise(get_model(name, 10, (3, 32, 32), **settings), seed=0, scheme=scheme)
    weights = asdict(recipe.loss.weights)
    objective = Objective(net, [term for term in TERMS if weights[term] > 0])
    trained = trained_parameters(objective)
    (model,) = [each for each in network.models() if each.title == "AllConv13, NRM + RPN + Max-Min"]
    assert model.sizes == tuple(parameter.data().size for parameter in trained)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("network", "--step-seconds", "0"), "'0' is no time above 0"),
        (("network", "--step-seconds", "inf"), "'inf' is no time above 0"),
        (("network", "--step-seconds", "soon"), "--step-seconds"),
        (("network", "--bigarray-bound", "0"), "--bigarray-bound"),
        (("devices", "--epochs", "1"), "error: --epochs: the first is not counted; give 2 or more"),
        (("devices", "--epochs", "0"), "--epochs"),
    ],
)
def test_benchmarks_refuse_bad_arguments(arguments: Tuple[str, ...], message: str) -> None:
    main = {"network": network.main, "devices": devices.main}[arguments[0]]
    asked = end_of(lambda _: main(), *arguments)
    assert asked.returncode == 2 and message in asked.stderr and "Traceback" not in asked.stderr


def test_a_row_of_devices() -> None:
    """A step of the recipe has 32 + 32 images, over all devices and workers."""
    row = devices.row(devices.SETTINGS[1], [{"images_per_second": x} for x in (1.0, 640.0, 320.0, 1280.0)])
    assert row == {"setting": "2 devices", "images_per_second": 640.0, "step_seconds": 0.1}
    assert devices.table([{**row, "over_one": 0.8}]).endswith("\n| 2 devices | 100.0 | 640 | 0.80 |")
