"""A run that is stopped, by Ctrl-C or by kill -9, and started again ends in the bits of one never stopped."""

from __future__ import annotations

import io
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Set

import pytest
from cnns import MixedPair, chain
from fakes import ROOT
from mxnet.gluon import HybridBlock, nn
from short_runs import (
    COMPANIONS,
    FULL,
    LADDER,
    PI,
    SAMPLED,
    SUPERVISED,
    TEMPORAL,
    TRACED,
    VAT,
    built,
    contents,
    differences,
    newest,
    no_pictures,
    recipe,
    values,
)

from gluon_nrm.errors import NonFiniteLoss
from gluon_nrm.models import registry
from gluon_nrm.runs.network_arrays import load_network
from gluon_nrm.runs.open_run import load_run
from gluon_nrm.runs.run_folder import RunFolder
from gluon_nrm.training import fit as fit_module
from gluon_nrm.training.fit import fit
from gluon_nrm.training.loop import Loop
from gluon_nrm.training.step import TrainStep

pytestmark = pytest.mark.filterwarnings("ignore:Parameter .* is not used by any computation")

TIMINGS = ("seconds", "images_per_second")
TWO = {"devices": "cpu(0),cpu(1)"}
LOCAL = "train.kvstore=local"


def mixed_pair(classes: int, channels: int) -> HybridBlock:
    """Of few operators: to build the graphs of `digits_shake_resnext` takes longer than a short run."""
    stem = nn.Conv2D(4, 3, padding=1, in_channels=channels, use_bias=False)
    top = (nn.BatchNorm(), nn.Activation("relu"), nn.GlobalAvgPool2D(), nn.Dense(classes))
    return chain(stem, nn.BatchNorm(), nn.Activation("relu"), MixedPair(), *top)


@pytest.fixture(autouse=True)
def _narrow_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the network under its function's name."""
    monkeypatch.setitem(registry._NETWORKS, mixed_pair.__name__, mixed_pair)


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes long and has no bearing on the numbers."""
    no_pictures(monkeypatch)
    monkeypatch.setattr(fit_module, "describe_environment", dict)


def train(root: Path, text: str, *overrides: str, **settings: Any) -> RunFolder:
    """Train, or go on, without a word."""
    return fit(recipe(text, *overrides), root=root, **{"stream": io.StringIO(), **settings})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RunFolder]:
    """Train without a stop; a recipe of several tests once for all of them."""
    runs: Dict[str, RunFolder] = {}

    def train_once(text: str, *overrides: str, **settings: Any) -> RunFolder:
        key = repr((text, overrides, settings))
        if key not in runs:
            runs[key] = train(tmp_path_factory.mktemp("whole"), text, *overrides, **settings)
        return runs[key]

    return train_once


def train_with_stops(root: Path, stops: Set[int], text: str, *overrides: str, **settings: Any) -> RunFolder:
    """Train to the end; in every step of ``stops`` comes a Ctrl-C, and the run is started again."""
    left, take_step = set(stops), TrainStep.__call__

    def step(self: TrainStep, data: Any, weights: Any, trainer: Any, number: int, *more: Any) -> Any:
        result = take_step(self, data, weights, trainer, number, *more)
        if number in left:
            left.remove(number)
            signal.raise_signal(signal.SIGINT)
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainStep, "__call__", step)
        for stop in sorted(stops):
            with pytest.raises(KeyboardInterrupt):
                train(root, text, *overrides, **settings)
            run = load_run(root / "short-s0")
            assert newest(run).state["step"] == stop
            assert not run.finished
        run = train(root, text, *overrides, **settings)
    assert left == set()
    return run


def numbers(run: RunFolder) -> List[Dict[str, Any]]:
    """All metrics but the timings."""
    return [{key: value for key, value in row.items() if key not in TIMINGS} for row in run.read_metrics()]


def assert_same_run(found: RunFolder, expected: RunFolder, epochs: int = 3) -> None:
    """Student, teacher, optimiser, counters and every epoch's metrics are equal."""
    assert found.finished and expected.finished
    one, other = newest(found), newest(expected)
    assert one.arrays.keys() == other.arrays.keys()
    assert {name: differences(one.arrays[name], other.arrays[name]) for name in one.arrays} == {
        name: [] for name in one.arrays
    }
    assert (one.epoch, one.state) == (other.epoch, other.state)
    assert [row["epoch"] for row in numbers(found)] == list(range(1, epochs + 1))
    assert numbers(found) == numbers(expected)


#: Steps of a run, and two that stand for them: an end of an epoch, at which FULL changes its phase, and one
#: within an epoch.
EVERY, TWO_OF_THEM = {1, 2, 3, 4, 5, 6, 7, 8}, {3, 5}


@pytest.mark.parametrize(
    ("text", "overrides", "settings", "stops"),
    [
        (SUPERVISED, [], {}, EVERY),
        (FULL, [], {}, EVERY),
        (FULL, [], {}, TWO_OF_THEM),
        (TRACED, [f"model.name={mixed_pair.__name__}"], {}, TWO_OF_THEM),
        (FULL, ["teacher.bn_statistics=copy"], TWO, TWO_OF_THEM),
        (SUPERVISED, ["train.checkpoint_every_epochs=2", LOCAL], TWO, EVERY),
        (PI, [], {}, TWO_OF_THEM),
        (TEMPORAL, [], {}, TWO_OF_THEM),
        (TEMPORAL, [], TWO, EVERY),
        (VAT, [], {}, TWO_OF_THEM),
        (SAMPLED, [], TWO, TWO_OF_THEM),
        (LADDER, ["model.denoising=[0,0,0,0,0,1,1]"], TWO, TWO_OF_THEM),
    ],
    ids=[
        "supervised",
        "full",
        "full, two stops",
        "traced",
        "full on two devices",
        "supervised on two devices",
        "pi",
        "temporal",
        "temporal on two devices",
        "vat",
        "sampled on two devices",
        "ladder on two devices",
    ],
)
def test_ctrl_c_after_any_step(
    tmp_path: Path,
    whole: Callable[..., RunFolder],
    text: str,
    overrides: Sequence[str],
    settings: Dict[str, Any],
    stops: Set[int],
) -> None:
    """Methods differ in what a checkpoint holds; stops at every step are tried with some of them."""
    expected = whole(text, *overrides, **settings)
    found = train_with_stops(tmp_path, stops, text, *overrides, **settings)
    assert_same_run(found, expected)


@pytest.mark.parametrize("method", sorted(COMPANIONS))
def test_a_companion_resumes(tmp_path: Path, method: str) -> None:
    """Its networks, its optimiser, its random codes; stopped within an epoch, on two devices."""
    overrides = ["train.epochs=2", "teacher.enabled=false", "loss.weights.consistency=0"]
    expected = train(tmp_path / "whole", COMPANIONS[method], *overrides, **TWO)
    found = train_with_stops(tmp_path / "parts", {2, 4}, COMPANIONS[method], *overrides, **TWO)
    assert_same_run(found, expected, epochs=2)
    assert "companion_optimiser" in newest(found).arrays


CHILD = """
import os, signal, sys
from gluon_nrm.recipe import load_recipe
from gluon_nrm.training import evaluate_run, fit as module
from gluon_nrm.training.loop import Loop
from gluon_nrm.runs.run_folder import RunFolder

module.draw = evaluate_run.plot_confusion = evaluate_run.plot_mistakes = lambda *_, **__: None
module.describe_environment = dict
append = RunFolder.append_metrics

def append_and_die(self, row):
    append(self, row)
    if row["epoch"] == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

RunFolder.append_metrics = append_and_die
module.fit(load_recipe(sys.argv[1]), root=sys.argv[2], devices="cpu")
"""


def child(tmp_path: Path, text: str, dies_after: int) -> subprocess.Popen:
    """A process that trains, and kills itself when an epoch's metrics are written, but no checkpoint is."""
    path = tmp_path / "short.yaml"
    path.write_text(text, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), str(tmp_path / "parts"), str(dies_after)],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )


def test_killed_between_metrics_and_checkpoint(tmp_path: Path, whole: Callable[..., RunFolder]) -> None:
    assert child(tmp_path, FULL, dies_after=2).wait(timeout=60) == -signal.SIGKILL
    run = load_run(tmp_path / "parts" / "short-s0")
    assert [row["epoch"] for row in run.read_metrics()] == [1, 2]
    assert newest(run).epoch == 1
    assert_same_run(train(tmp_path / "parts", FULL), whole(FULL))


def test_killed_at_a_random_moment(tmp_path: Path) -> None:
    """Whatever it was doing: the epoch is drawn, the moment in it is the system's."""
    epochs = random.SystemRandom().randint(1, 4)
    text = FULL.replace("epochs: 3", "epochs: 8")
    process = child(tmp_path, text, dies_after=-1)
    metrics = tmp_path / "parts" / "short-s0" / "metrics.jsonl"
    give_up = time.monotonic() + 60
    while not metrics.exists() or metrics.read_bytes().count(b"\n") < epochs:
        assert process.poll() is None and time.monotonic() < give_up
        time.sleep(0.005)
    process.kill()
    assert process.wait(timeout=60) == -signal.SIGKILL
    assert_same_run(train(tmp_path / "parts", text), train(tmp_path / "whole", text), epochs=8)


def test_the_statistics_of_all_devices_are_evaluated_and_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within an epoch each device keeps its own; its end brings them together."""
    seen: List[List[Dict[str, Any]]] = []

    def look(self: Loop) -> Dict[str, float]:
        seen.append([values(net) for net in self.parts.networks.values()])
        return {"error/student": 0.0, "error/teacher": 0.0}

    monkeypatch.setattr(Loop, "_errors", look)
    train(tmp_path, FULL, "train.epochs=1", **TWO)
    for network in seen[0]:
        for name, copies in network.items():
            assert (copies[0] == copies[1]).all(), name


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    run = train(tmp_path, SUPERVISED)
    before, said = contents(tmp_path), io.StringIO()
    again = train(tmp_path, SUPERVISED, stream=said)
    assert again.path == run.path
    assert "short-s0 is finished; give fresh=True" in said.getvalue()
    assert contents(tmp_path) == before

    fresh = train(tmp_path, SUPERVISED, fresh=True)
    assert fresh.path == tmp_path / "short-s0-2"
    assert_same_run(fresh, run)
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before


def test_killed_before_it_was_marked_finished(tmp_path: Path) -> None:
    run = train(tmp_path, SUPERVISED)
    before = numbers(run)
    run.finished_path.unlink()
    again = train(tmp_path, SUPERVISED)
    assert again.finished
    assert numbers(again) == before


@pytest.mark.parametrize("epoch_steps", [3, 1])
def test_a_loss_that_is_no_number_keeps_the_last_good_checkpoint(tmp_path: Path, epoch_steps: int) -> None:
    """From epoch 2 on the rate is absurd; with one step an epoch, every step is due for a checkpoint."""
    settings = ["optimiser.phases.1={name: sgd, lr: 1e38}", "loss.weights.cross_entropy=1000"]
    settings += ["train.epochs=9", f"train.epoch_steps={epoch_steps}"]
    messages = []
    for _ in range(2):  # started again, it stops at the same place
        said = io.StringIO()
        with pytest.raises(NonFiniteLoss) as caught:
            train(tmp_path, FULL, *settings, stream=said)
        messages.append(str(caught.value))
        assert messages[-1] in said.getvalue()
    assert messages[0] == messages[1]
    run = load_run(tmp_path / "short-s0")
    assert not run.finished
    checkpoint = newest(run)
    assert 1 <= checkpoint.epoch < 9
    parts = built(FULL, *settings)
    for name, net in parts.networks.items():
        load_network(net, checkpoint.arrays[name], name)  # refuses what is not finite


def test_another_seed_is_another_run(tmp_path: Path, whole: Callable[..., RunFolder]) -> None:
    first, second = whole(SUPERVISED), train(tmp_path, SUPERVISED, seed=1)
    assert (first.path.name, second.path.name) == ("short-s0", "short-s1")
    one, other = (newest(run).arrays["student"] for run in (first, second))
    assert len(differences(one, other)) > 5
