"""Signals that ask a run to stop: what the first one promises, and what further ones may do."""

from __future__ import annotations

import io
import signal
from pathlib import Path
from typing import Any, List

import pytest
from short_runs import SUPERVISED, newest, no_pictures, recipe

from gluon_nrm.console.signals import QUICK, StopRequest
from gluon_nrm.distributed import supervise
from gluon_nrm.errors import Stopped
from gluon_nrm.runs import checkpoint_files
from gluon_nrm.runs.open_run import load_run
from gluon_nrm.runs.run_folder import RunFolder
from gluon_nrm.training import fit as fit_module
from gluon_nrm.training.fit import fit
from gluon_nrm.training.step import TrainStep

ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    no_pictures(monkeypatch)
    monkeypatch.setattr(fit_module, "describe_environment", dict)


@pytest.mark.parametrize("number", ALL)
def test_every_signal_asks_to_stop_and_is_told_once(number: signal.Signals) -> None:
    said: List[str] = []
    before = [signal.getsignal(each) for each in ALL]
    with StopRequest(said.append) as stop:
        assert not stop.asked
        signal.raise_signal(number)
        signal.raise_signal(signal.SIGTERM)
        assert stop.asked and stop.stopped().exit_code == 128 + number
    assert [signal.getsignal(each) for each in ALL] == before
    assert len(said) == 1 and said[0].startswith("stopping: the step under way is finished and saved")


def test_a_hang_up_that_was_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.asked
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_late_second_signal_gives_up_the_step_but_not_a_save() -> None:
    clock = Clock()
    with StopRequest(clock=clock) as stop:
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
        clock.now += QUICK + 0.1
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGINT)
        save = stop.saving()
        save.__enter__()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped):
            save.__exit__(None, None, None)


def train(root: Path, *overrides: str) -> RunFolder:
    return fit(recipe(SUPERVISED, *overrides), root=root, devices="cpu", stream=io.StringIO())


@pytest.mark.parametrize(("number", "step"), list(zip(ALL, [1, 3, 5])))
def test_three_quick_signals_save_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, step: int
) -> None:
    """In the step, in the midst of its checkpoint, and after it; step 3 ends an epoch."""
    take, write = TrainStep.__call__, checkpoint_files._write_arrays
    sent: List[int] = []

    def stepped(self: TrainStep, data: Any, weights: Any, trainer: Any, done: int, *more: Any) -> Any:
        if done == step:
            sent.append(done)
            signal.raise_signal(number)
        return take(self, data, weights, trainer, done, *more)

    def written(*arguments: Any) -> None:
        if sent:
            signal.raise_signal(number)
        write(*arguments)
        if sent:
            signal.raise_signal(number)

    monkeypatch.setattr(TrainStep, "__call__", stepped)
    monkeypatch.setattr(checkpoint_files, "_write_arrays", written)
    with pytest.raises(Stopped) as caught:
        train(tmp_path)
    assert caught.value.exit_code == 128 + number
    run = load_run(tmp_path / "short-s0")
    assert newest(run).state["step"] == step
    assert f"stopped after step {step}; to go on: " in run.log_path.read_text()


def test_a_late_signal_in_a_save_waits_for_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = checkpoint_files._write_arrays

    def written(*arguments: Any) -> None:
        monkeypatch.setattr("gluon_nrm.console.signals.QUICK", -1.0)  # every further one is late
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        write(*arguments)

    monkeypatch.setattr(checkpoint_files, "_write_arrays", written)
    with pytest.raises(Stopped):
        train(tmp_path)
    assert newest(load_run(tmp_path / "short-s0")).state["step"] == 3


def test_a_signal_in_the_last_step_finishes_the_run_and_still_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = TrainStep.__call__

    def stepped(self: TrainStep, data: Any, weights: Any, trainer: Any, done: int, *more: Any) -> Any:
        if done == 9:
            signal.raise_signal(signal.SIGTERM)
        return take(self, data, weights, trainer, done, *more)

    monkeypatch.setattr(TrainStep, "__call__", stepped)
    with pytest.raises(Stopped):
        train(tmp_path)
    assert load_run(tmp_path / "short-s0").finished


@pytest.mark.parametrize("number", ALL)
def test_a_launcher_counts_quick_signals_once(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    with supervise._interrupts() as interrupts:
        for _ in range(3):
            signal.raise_signal(number)
        assert (interrupts.count, interrupts.number) == (1, number)
        monkeypatch.setattr(supervise, "QUICK", -1.0)
        signal.raise_signal(signal.SIGINT)
        assert (interrupts.count, interrupts.number) == (2, number)
