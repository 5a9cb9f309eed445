"""Start, read, signal and end one process of a job, for the launcher."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from threading import Lock, Thread
from typing import IO, Deque, List, Optional, TextIO

from gluon_nrm.console.display import Display
from gluon_nrm.distributed.plan import Process
from gluon_nrm.errors import DistributedError

#: Number of last lines that are repeated when a process fails.
LAST_LINES = 12

_writing = Lock()


class Child:
    """One process; its output lines are shown with its name as prefix."""

    def __init__(self, plan: Process) -> None:
        """Start it.

        Raises:
            DistributedError: its command cannot be run.
        """
        self.plan = plan
        self._said: Deque[str] = deque(maxlen=LAST_LINES)
        self._errors: Deque[str] = deque(maxlen=LAST_LINES)
        #: exit code, and when it was seen; None while it runs
        self.code: Optional[int] = None
        self.ended_at = 0.0
        try:
            self._process = subprocess.Popen(
                plan.command(), env=plan.environment(), text=True, errors="replace", start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
        except OSError as problem:
            raise DistributedError(f"cannot start {plan.name}: {problem.strerror}") from None
        streams = (
            (self._process.stdout, Display(sys.stdout), self._said),
            (self._process.stderr, Display(sys.stderr), self._errors),
        )
        self._readers = [Thread(target=self._relay, args=stream, daemon=True) for stream in streams]
        for reader in self._readers:
            reader.start()
        self._tell(plan.whisper())

    @property
    def title(self) -> str:
        """Name of the process, and its host if it is remote, for messages."""
        return self.plan.name + (f" on {self.plan.host.name}" if self.plan.host.remote else "")

    @property
    def last(self) -> List[str]:
        """Its last lines of standard error, else of standard output."""
        return list(self._errors or self._said)

    def poll(self) -> bool:
        """Return True if the process has ended; its last lines have then been read."""
        if self.code is None:
            code = self._process.poll()
            if code is not None:
                self.code = code if code >= 0 else 128 - code  # the guard itself, or ssh, was killed
                self.ended_at = time.monotonic()
                for reader in self._readers:
                    reader.join(timeout=2)  # a grandchild may hold the pipe open
        return self.code is not None

    def interrupt(self, number: int) -> None:
        """Pass on a signal that asks to stop."""
        self._tell(f"{number}\n")

    def end(self) -> None:
        """Let its guard kill it with all its descendants."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with suppress(OSError):  # the guard may have gone already
                self._process.stdin.close()

    def kill(self) -> None:
        """Kill the guard, or the ssh connection to it."""
        self._process.kill()

    def fate(self) -> str:
        """Describe how the process ended."""
        code = self.code or 0
        if 128 < code < 128 + signal.NSIG:
            return f"was killed by {signal.Signals(code - 128).name}"
        if self.plan.host.remote and code == 255:
            return "lost its ssh connection"
        return f"ended with exit code {code}"

    def _tell(self, text: str) -> None:
        if self._process.stdin is None or self._process.stdin.closed:
            return
        try:
            self._process.stdin.write(text)
            self._process.stdin.flush()
        except OSError:
            return  # it is gone

    def _relay(self, source: IO[str], target: TextIO, last: Deque[str]) -> None:
        for line in source:
            last.append(line.rstrip())
            with _writing:
                target.write(f"[{self.plan.name}] {line.rstrip()}\n")
                target.flush()
