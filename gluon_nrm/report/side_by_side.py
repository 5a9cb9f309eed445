"""Run commands side by side, each in a process of its own with its share of the cores."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import deque
from contextlib import suppress
from threading import Thread
from typing import Callable, Dict, List, NamedTuple, Sequence

from gluon_nrm.console.display import say
from gluon_nrm.console.signals import StopRequest
from gluon_nrm.errors import RunError
from gluon_nrm.system.job_variables import WORKERS_HERE
from gluon_nrm.system.tune import describe_tuning
from gluon_nrm.training.progress import format_duration

#: Seconds between two looks at the processes, and between two lines of progress.
LOOK, INTERVAL = 0.2, 120.0
#: Start of the lines in which training says how far it is.
PROGRESS = "epoch "
#: Start of the line that says why a command fails.
ERROR = "error: "


class TrainingCommand(NamedTuple):
    """A command to run."""

    title: str
    words: Sequence[str]


def run_side_by_side(
    jobs: Sequence[TrainingCommand],
    at_once: int,
    *,
    tell: Callable[[str], None] = say,
    interval: float = INTERVAL,
) -> None:
    """Run commands, at most ``at_once`` at a time, in their order.

    A command that fails does not stop the others, unless all of the first ``at_once`` fail. Ctrl-C, SIGTERM
    and SIGHUP are passed on as SIGTERM: training saves its step and stops. Nothing more is started then.

    Args:
        jobs: the commands.
        at_once: number of processes, at least 1.
        tell: called with each line of progress.
        interval: seconds between two lines of progress of a command.

    Raises:
        RunError: a command failed, or cannot be started; the others have been run.
        Stopped: a signal came, and the commands have stopped.
    """
    queue = _Queue(jobs, at_once, tell)
    told = time.monotonic()
    with StopRequest(tell) as stop:
        try:
            while queue.advance(starting=not stop.asked):
                if stop.asked:
                    queue.stop()
                elif time.monotonic() - told >= interval:
                    told = time.monotonic()
                    queue.describe()
                time.sleep(LOOK)
        finally:
            queue.kill()
        if stop.asked:
            raise stop.stopped()
    if queue.failed:
        raise RunError(
            f"{len(queue.failed)} of {len(jobs)} runs failed, the first is {queue.failed[0]};\n"
            "the same command runs again what is missing"
        )


class _Queue:
    """Commands that wait, run, have ended and have failed."""

    def __init__(self, jobs: Sequence[TrainingCommand], at_once: int, tell: Callable[[str], None]) -> None:
        self.failed: List[str] = []
        self._waiting = deque(enumerate(jobs, start=1))
        self._total, self._at_once, self._tell = len(jobs), at_once, tell
        self._running: List[_Process] = []
        self._seconds: List[float] = []  # of each command that went well
        self._stopping = False

    def advance(self, starting: bool) -> bool:
        """Note what has ended and start what is next; return False when nothing runs or waits any more."""
        for process in [each for each in self._running if each.ended]:
            self._running.remove(process)
            self._note(process)
        if len(self.failed) >= self._at_once and not self._seconds:
            self._waiting.clear()
        while starting and self._waiting and len(self._running) < self._at_once:
            number, job = self._waiting.popleft()
            name = f"run {number} of {self._total}: {job.title}"
            self._tell(name)
            self._running.append(_Process(name, job.words, self._at_once))
        return bool(self._running or (starting and self._waiting))

    def describe(self) -> None:
        """Say how far each running command is."""
        for process in self._running:
            self._tell(f"{process.name}: {process.progress or 'starting'}")

    def stop(self) -> None:
        """Ask every running command to stop, once."""
        if not self._stopping:
            self._stopping = True
            for process in self._running:
                process.signal(signal.SIGTERM)

    def kill(self) -> None:
        """End at once what still runs."""
        for process in self._running:
            process.signal(signal.SIGKILL)

    def _note(self, process: _Process) -> None:
        if self._stopping:
            return
        if process.code:
            self.failed.append(f"{process.name}: {process.reason.rstrip(';') or f'exit code {process.code}'}")
            self._tell(f"failed: {self.failed[-1]}")
            return
        self._seconds.append(process.seconds)
        left = len(self._waiting) + len(self._running)
        mean = sum(self._seconds) / len(self._seconds)
        waiting = mean * len(self._waiting) + sum(max(mean - each.seconds, 0.0) for each in self._running)
        eta = f"; {left} left, ETA {format_duration(waiting / self._at_once)}" if left else ""
        self._tell(f"{process.name}: done in {format_duration(process.seconds)}{eta}")


class _Process:
    """A command that runs, its newest line of progress, and the line that says why it fails."""

    def __init__(self, name: str, words: Sequence[str], at_once: int) -> None:
        """Start it.

        Raises:
            RunError: it cannot be started.
        """
        self.name, self.progress, self.reason = name, "", ""
        self._began = time.monotonic()
        try:
            self._process = subprocess.Popen(
                words, env=_environment(at_once), text=True, encoding="utf-8", errors="replace",
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        except OSError as problem:
            raise RunError(f"cannot start {words[0]}: {problem.strerror}") from None
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def ended(self) -> bool:
        """True once the command has ended; its output has then been read."""
        if self._process.poll() is None:
            return False
        self._reader.join(timeout=2)  # a grandchild may hold the pipe open
        return True

    @property
    def code(self) -> int:
        """Exit code; negative after a signal."""
        return self._process.returncode

    @property
    def seconds(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._began

    def signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def _read(self) -> None:
        if self._process.stdout is None:
            return
        with self._process.stdout as lines:
            for line in lines:
                text = line.rstrip()
                if text.startswith(PROGRESS):
                    self.progress = text
                elif text.startswith(ERROR) or (text and not self.reason.startswith(ERROR)):
                    self.reason = text  # of an error of two lines the first


def _environment(at_once: int) -> Dict[str, str]:
    """Environment of one of ``at_once`` processes, which share the cores, unless the user set the threads."""
    tuned = (describe_tuning() or {}).get("variables", {})
    given = {name: value for name, value in os.environ.items() if name not in tuned}
    return {**given, WORKERS_HERE: str(at_once), "PYTHONUNBUFFERED": "1"}
