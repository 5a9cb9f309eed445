"""Training and the tools with standard streams that are closed, full or gone."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, List

import pytest
from fakes import ROOT
from short_runs import SUPERVISED

from gluon_nrm.console.display import Display
from gluon_nrm.runs.open_run import load_run
from gluon_nrm.runs.run_folder import RunFolder
from gluon_nrm.training.progress import Progress

ROW = {"epoch": 1, "loss/total": 1.0}


class Failing(io.StringIO):
    """Raises what it is given, in place of writing."""

    def __init__(self, problem: Exception, terminal: bool = False) -> None:
        super().__init__()
        self.problem, self.terminal = problem, terminal

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        raise self.problem


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(
    "problem",
    [BrokenPipeError(32, "x"), OSError(5, "x"), OSError(28, "x"), BlockingIOError(11, "x"), ValueError("x")],
    ids=["no reader", "terminal gone", "disk full", "full", "closed"],
)
def test_progress_goes_on_and_the_log_has_it(tmp_path: Path, problem: Exception, terminal: bool) -> None:
    with Progress(2, 2, 0, tmp_path / "train.log", stream=Failing(problem, terminal)) as progress:
        progress.note("first")
        progress.step(4)
        progress.epoch(ROW)
        progress.note("last")
    assert [line.split("  ")[1] for line in (tmp_path / "train.log").read_text().splitlines()] == [
        "first", "epoch 1/2", "last",
    ]  # fmt: skip


def test_no_stream_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with Progress(2, 2, 0, tmp_path / "train.log") as progress:
        progress.note("first")
    assert "first" in (tmp_path / "train.log").read_text()


def test_a_full_pipe_loses_lines_and_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gluon_nrm.console.display.PATIENCE", 0.05)
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as source, os.fdopen(writer, "w", buffering=1) as target:
        display = Display(target)
        started = time.monotonic()
        for _ in range(3000):
            display.write("x" * 99 + "\n")
        assert time.monotonic() - started < 10
        first = source.read(1 << 20)
        display.write("again\n")
        lines = (first + source.read(1 << 20)).decode().splitlines()
    shown = sum(line == "x" * 99 for line in lines)
    assert 0 < shown < 3000
    assert lines[shown:] == [f"({3000 - shown} lines are left out here: this output was full)", "again"]


def test_letters_that_the_stream_does_not_know() -> None:
    raw = io.BytesIO()
    display = Display(io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    display.write("± \ud800\n")
    assert raw.getvalue() == b"\\xb1 \\ud800\n"


# --- the tools, as processes ---


def start(folder: Path, shell: str, epochs: int = 3, **settings: Any) -> "subprocess.Popen[bytes]":
    """``tools/train.py`` on a tiny recipe, in a shell that does to its streams what ``shell`` says."""
    text = SUPERVISED.replace("epochs: 3", f"epochs: {epochs}")
    (folder / "tiny.yaml").write_text(text, encoding="utf-8")
    train = f"'{sys.executable}' '{ROOT / 'tools' / 'train.py'}' tiny.yaml --devices cpu"
    return subprocess.Popen(["/bin/sh", "-c", shell.replace("TRAIN", train)], cwd=folder, **settings)


def finished(folder: Path) -> RunFolder:
    run = load_run(folder / "runs" / "tiny-s0")
    assert run.finished and f"finished: {Path('runs') / 'tiny-s0'}" in run.log_path.read_text()
    return run


def test_train_without_streams(tmp_path: Path) -> None:
    assert start(tmp_path, "exec TRAIN <&- >&- 2>&-").wait(timeout=120) == 0
    checkpoint = finished(tmp_path).checkpoints
    assert (checkpoint / "epoch_0003" / "state.json").is_file()


def wait_for(run: Path, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a row of metrics is there."""
    metrics, give_up = run / "metrics.jsonl", time.monotonic() + 60
    while not (metrics.exists() and metrics.read_bytes()):
        assert process.poll() is None and time.monotonic() < give_up
        time.sleep(0.01)


def test_train_goes_on_when_its_terminal_is_gone(tmp_path: Path) -> None:
    """As after ``nohup``: the hang-up is ignored, and every write fails with EIO."""
    controller, terminal = pty.openpty()
    process = start(
        tmp_path, "trap '' HUP; exec TRAIN", 30, stdin=terminal, stdout=terminal, stderr=terminal,
        start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    wait_for(tmp_path / "runs" / "tiny-s0", process)
    os.close(controller)
    assert process.wait(timeout=120) == 0
    finished(tmp_path)


def test_the_exit_code_of_sigterm(tmp_path: Path) -> None:
    process = start(tmp_path, "exec TRAIN", 2000, stderr=subprocess.PIPE)
    wait_for(tmp_path / "runs" / "tiny-s0", process)
    process.send_signal(signal.SIGTERM)
    # the signal may come between an epoch's row of metrics and its line
    shown = process.communicate(timeout=60)[1].decode().splitlines()
    lines = [line for line in shown if not line.startswith("epoch ")]
    assert process.returncode == 143 and lines[-1] == "interrupted"
    # the row of an epoch that was just saved may be shown between the two
    assert any(line.startswith("stopping: ") for line in lines[-4:-2]), lines
    assert lines[-2].startswith("stopped after step ")
    assert (load_run(tmp_path / "runs" / "tiny-s0").checkpoints / "LAST").is_file()


TOOL = """
from gluon_nrm.console.tool import run_tool
from gluon_nrm.errors import *
def main(arguments):
    {}
run_tool(main)
"""


@pytest.mark.parametrize(
    ("body", "shell", "code", "said"),
    [
        ("print('x'); return 0", ">/dev/full", 2, "error: cannot write the output: No space left"),
        ("print('x' * 100000); return 0", ">/dev/full", 2, "error: cannot write the output: No space left"),
        ("print('x'); return 0", ">&- 2>&-", 0, ""),
        ("raise RecipeError('no')", "2>/dev/full", 2, ""),
        ("raise Stopped(1)", "", 129, "interrupted"),
        ("raise Stopped(15)", "2>/dev/full", 143, ""),
    ],
)
def test_how_a_tool_ends_without_streams(body: str, shell: str, code: int, said: str) -> None:
    ended = subprocess.run(
        ["/bin/sh", "-c", f'"$0" -c "$1" {shell}', sys.executable, TOOL.format(body)],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=60,
    )  # fmt: skip
    lines: List[str] = ended.stderr.splitlines()
    assert ended.returncode == code, ended.stderr
    assert (lines[0].startswith(said) and len(lines) == 1) if said else not lines


def test_a_mistake_without_streams(tmp_path: Path) -> None:
    command = f"'{sys.executable}' '{ROOT / 'tools' / 'predict.py'}' nowhere no.png"
    for closed in ("2>&-", "<&- >&- 2>&-"):
        ended = subprocess.run(["/bin/sh", "-c", f"{command} {closed}"], cwd=tmp_path, timeout=60)
        assert ended.returncode == 2
