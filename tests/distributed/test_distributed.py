"""dist_sync with a real scheduler, server and workers: the run of one process, and what ends it."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Dict, List

import numpy as np
import pytest
from fakes import ROOT
from jobs import (
    LAUNCH,
    PATIENCE,
    TRAIN,
    descendants,
    gone,
    launch,
    processes_of,
    started,
    train_with,
    wait_for,
)
from short_runs import FULL, SUPERVISED, TEMPORAL, VAT, newest, no_pictures, recipe

from gluon_nrm.distributed.supervise import AFTER_INTERRUPT
from gluon_nrm.runs.open_run import load_run
from gluon_nrm.runs.run_folder import RunFolder
from gluon_nrm.training.fit import fit

pytestmark = pytest.mark.filterwarnings("ignore:Parameter .* is not used by any computation")

#: Gates and masks are drawn from one stream for all CPU devices of a process.
NO_DROPOUT = "model.dropout=0"
#: One device has the statistics of the whole batch, two have those of its halves.
NO_STATISTICS = ["model.norm=none", "model.render_norm=none", "loss.weights.moment_matching=0"]
TIMINGS = ("seconds", "images_per_second")
#: tools/train.py, but for the pictures.
PLAIN = """
import sys
from gluon_nrm.cli import train
from gluon_nrm.console.tool import run_tool
from gluon_nrm.training import evaluate_run, fit, loop
fit.draw = evaluate_run.plot_confusion = evaluate_run.plot_mistakes = lambda *_, **__: None
loop.REDRAW_AFTER = float("inf")
run_tool(train.main, sys.argv[1:])
"""


def write(folder: Path, text: str) -> None:
    (folder / "short.yaml").write_text(text, encoding="utf-8")


def job(
    folder: Path, text: str, *overrides: str, kvstore: str = "dist_sync", devices: str = "cpu"
) -> RunFolder:
    """Train with two workers, without pictures."""
    write(folder, text)
    (folder / "plain.py").write_text(PLAIN)
    words = [word for override in overrides for word in ("--set", override)]
    command = [sys.executable, "plain.py", "short.yaml", "--kvstore", kvstore, "--devices", devices, *words]
    done = launch(folder, "-n", "2", "-s", "1", *command, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr
    return load_run(folder / "runs" / "short-s0")


def alone(folder: Path, text: str, *overrides: str, devices: str) -> RunFolder:
    """Train in this process."""
    with pytest.MonkeyPatch.context() as patch:
        no_pictures(patch)
        with open(folder / "said.txt", "w") as stream:
            return fit(recipe(text, *overrides), devices=devices, root=folder / "alone", stream=stream)


def assert_close(found: RunFolder, expected: RunFolder) -> None:
    """All networks and the optimiser within 1e-5, and so the metrics of every epoch."""
    one, other = newest(found), newest(expected)
    assert found.finished and one.arrays.keys() == other.arrays.keys()
    for name, group in other.arrays.items():
        assert one.arrays[name].keys() == group.keys()
        for key, array in group.items():
            np.testing.assert_allclose(one.arrays[name][key], array, rtol=0, atol=1e-5, err_msg=key)
    rows = [numbers(run) for run in (found, expected)]
    assert len(rows[0]) == len(rows[1])
    for row, true in zip(*rows):
        assert row == pytest.approx(true, rel=1e-4, abs=1e-5)


def numbers(run: RunFolder) -> List[Dict[str, float]]:
    return [{key: row[key] for key in row if key not in TIMINGS} for row in run.read_metrics()]


def test_two_workers_are_one_process_with_two_devices(tmp_path: Path) -> None:
    """The other methods' sums are those of `test_ctrl_c_in_an_epoch_changes_nothing`."""
    overrides = [NO_DROPOUT, "data.shift=1", "data.cutout=3"]
    found = job(tmp_path, TEMPORAL, *overrides, kvstore="dist_device_sync")
    assert_close(found, alone(tmp_path, TEMPORAL, *overrides, devices="cpu(0),cpu(1)"))
    assert found.env()["workers"] == 2


def test_two_workers_are_one_device(tmp_path: Path) -> None:
    """Two devices on each worker, against one that sees the global batch."""
    overrides = [NO_DROPOUT, *NO_STATISTICS, "train.batch_labelled=8", "train.batch_unlabelled=12"]
    found = job(tmp_path, VAT, *overrides, devices="cpu(0),cpu(1)")
    assert_close(found, alone(tmp_path, VAT, *overrides, devices="cpu(0)"))


def test_two_devices_are_one_with_targets_of_earlier_epochs(tmp_path: Path) -> None:
    runs = []
    for devices in ("cpu(0)", "cpu(0),cpu(1)"):
        folder = tmp_path / devices
        folder.mkdir()
        runs.append(alone(folder, TEMPORAL, NO_DROPOUT, *NO_STATISTICS, "data.shift=1", devices=devices))
    assert_close(*runs)


def test_updates_on_the_servers_train(tmp_path: Path) -> None:
    """No two runs of dist_async are alike; but it learns, by the recipe's schedule."""
    longer = SUPERVISED
    for short, long in (
        ("labels: 20", "labels: 500"), ("[4, pool, 4]", "[16, pool, 16]"),
        ("batch_labelled: 4", "batch_labelled: 20"), ("epoch_steps: 3", "epoch_steps: 30"),
        ("epochs: 3,", "epochs: 8,"),
        ("nag, lr: 0.05, momentum: 0.9", "adam, lr: 0.02"),
    ):  # fmt: skip
        assert short in longer
        longer = longer.replace(short, long)
    first = job(tmp_path, longer, kvstore="dist_async")
    rows = first.read_metrics()
    assert first.finished and [row["step"] for row in rows] == [30 * epoch for epoch in range(1, 9)]
    assert rows[-1]["loss/cross_entropy"] < 0.5 * rows[0]["loss/cross_entropy"]
    alone_rates = [row["lr"] for row in alone(tmp_path, longer, devices="cpu").read_metrics()]
    assert [row["lr"] for row in rows] == pytest.approx(alone_rates)


def test_one_worker_of_dist_async_is_one_device(tmp_path: Path) -> None:
    """With one worker the servers' updates have an order, so rates, momentum and decay show."""
    overrides = ["train.epochs=4", "optimiser.weight_decay_on=weights", "optimiser.weight_decay=0.05"]
    write(tmp_path, SUPERVISED)
    words = [word for override in overrides for word in ("--set", override)]
    command = ["short.yaml", "--kvstore", "dist_async", "--devices", "cpu", *words]
    done = train_with(1, tmp_path, *command)
    assert done.returncode == 0, done.stderr
    found = newest(load_run(tmp_path / "runs" / "short-s0")).arrays["student"]
    expected = newest(alone(tmp_path, SUPERVISED, *overrides, devices="cpu")).arrays["student"]
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-5, err_msg=name)


def long_run(folder: Path, kvstore: str = "dist_sync") -> List[str]:
    """The command of a job that would take minutes."""
    write(folder, FULL.replace("train: {epochs: 3", "train: {epochs: 2000"))
    return [*LAUNCH, "-n", "2", *TRAIN, "short.yaml", "--kvstore", kvstore, "--devices", "cpu"]


def epochs_done(folder: Path) -> int:
    path = folder / "runs" / "short-s0" / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def has_done(folder: Path, epochs: int) -> bool:
    return epochs_done(folder) >= epochs


def test_a_killed_process_ends_the_job_which_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    command, epoch = long_run(tmp_path), 0
    for role, number in (("worker", 1), ("worker", 0), ("server", 0)):
        with started(tmp_path, command) as process:
            wait_for(partial(has_done, tmp_path, epoch + 2), process)
            everything = descendants(process.pid)
            named = {"GLUON_NRM_WORKER": str(number)} if role == "worker" else {}
            (victim,) = processes_of(process.pid, DMLC_ROLE=role, **named)
            killed = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            said = process.communicate(timeout=30)[1]
        assert time.monotonic() - killed < 30
        assert process.returncode == 128 + signal.SIGKILL
        assert f"error: {role} {number} was killed by SIGKILL; all other processes were ended." in said
        assert len(everything) >= 8 and gone(everything)  # guards and what they guard
        if epoch:
            assert f"[worker 0] run      runs/short-s0, going on after step {3 * epoch}\n" in said
        epoch = newest(load_run(tmp_path / "runs" / "short-s0")).epoch


def test_ctrl_c_in_an_epoch_changes_nothing(tmp_path: Path) -> None:
    """Stopped within an epoch, where devices differ, a job ends in the parameters of one never stopped.

    And so in those of one process with two devices: batch norm, moment matching, a teacher, two optimisers.
    """
    text = FULL.replace("epochs: 3, epoch_steps: 3", "epochs: 2, epoch_steps: 24")
    assert text != FULL
    write(tmp_path, text)
    (tmp_path / "plain.py").write_text(PLAIN)  # a Ctrl-C while curves are drawn would stop between two epochs
    command = [*LAUNCH, "-n", "2", sys.executable, "plain.py", "short.yaml", "--kvstore", "dist_sync"]
    command += ["--devices", "cpu", "--set", NO_DROPOUT]
    with started(tmp_path, command, PYTHONPATH=str(ROOT)) as process:
        # its checkpoint too: a Ctrl-C before that stops between two epochs
        wait_for(lambda: list(tmp_path.glob("runs/short-s0/checkpoints/LAST")), process)
        everything, asked = descendants(process.pid), time.monotonic()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 130 and gone(everything), said
    assert time.monotonic() - asked < AFTER_INTERRUPT  # no worker had to be killed
    # saved after the step at which both stopped, and the command to go on is the job's
    stopped = re.search(r"\[worker 0\] stopped after step (\d+); to go on: (.*)\n", said)
    assert stopped is not None and stopped.group(2).split()[1:] == command[1:]
    checkpoint = newest(load_run(tmp_path / "runs" / "short-s0"))
    assert checkpoint.state["step"] == int(stopped.group(1)) and 24 < int(stopped.group(1)) < 48
    places = {name.partition(".")[0] for name in checkpoint.arrays["student_devices"]}
    assert places == {"1"}
    found = job(tmp_path, text, NO_DROPOUT)
    assert_close(found, alone(tmp_path, text, NO_DROPOUT, devices="cpu(0),cpu(1)"))
