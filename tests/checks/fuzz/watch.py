"""A process that reads cases, seen from its journal, its memory and the clock."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional

from fuzz import worker


@dataclass
class Tally:
    """What became of the cases of a kind."""

    counts: Counter = field(default_factory=Counter)
    spent: float = 0.0
    peak: int = 0
    next: int = 0


class Watch:
    """A working process, seen from its journal, its memory and the clock."""

    def __init__(
        self, tally: Tally, child: int, journal: int, log: Path, keep: Callable[[int, str], None], hang: float
    ) -> None:
        self.tally, self.child, self.journal, self.log, self.keep = tally, child, journal, log, keep
        self.hang = hang
        #: whether the process has ended its journal, so that it ends by itself
        self.closed = False
        self.number: Optional[int] = None
        self.since = time.monotonic()
        self.text = b""

    def follow(self, until: float) -> None:
        """Read the journal to its end; stop the process where time or memory is used up."""
        verdict = ""
        while True:
            ready, _, _ = select.select([self.journal], [], [], 0.05)
            if ready:
                piece = os.read(self.journal, 65536)
                if not piece:
                    self.closed = True
                    break
                if self._read(piece) and time.monotonic() > until:
                    self.number = None  # the case it has just begun is the next one's
                    break
            verdict = self._excess()
            if verdict:
                break
        self._end(verdict)

    def _read(self, piece: bytes) -> bool:
        """Count what the journal says; True where a case has ended."""
        ended = False
        self.text += piece
        *lines, self.text = self.text.split(b"\n")
        for line in lines:
            entry = json.loads(line)
            self.since = time.monotonic()
            self.number = entry["number"]
            if entry["state"] in (worker.ACCEPTED, worker.REFUSED, worker.FAILED):
                self._count(entry["state"], entry["why"], entry["peak"])
                self.number, ended = None, True
        return ended

    def _count(self, state: str, why: str, peak: int = 0) -> None:
        assert self.number is not None
        self.tally.counts[state] += 1
        self.tally.next = self.number + 1
        self.tally.peak = max(self.tally.peak, peak)
        if state == worker.FAILED:
            self.keep(self.number, why)

    def _excess(self) -> str:
        if self.number is not None and time.monotonic() - self.since > self.hang:
            return f"no answer in {self.hang:.0f} s"
        memory = worker.memory_of(self.child)
        return f"{memory / 2**30:.1f} GiB of memory" if memory > worker.MOST_MEMORY else ""

    def _end(self, verdict: str) -> None:
        ended, status = os.waitpid(self.child, os.WNOHANG)
        stopped = not ended and self._stop(bool(verdict) or self.number is None)
        if not ended:
            _, status = os.waitpid(self.child, 0)
        if self.number is not None:
            if not verdict:
                verdict = f"the process ended ({describe_status(status)})\n{self._said()}"
            self._count(worker.FAILED, verdict)
        elif status and not stopped:
            raise RuntimeError(f"no case was tried:\n{self._said()}")

    def _said(self) -> str:
        """What it has printed last, without the list of modules that ends a crash report."""
        text = self.log.read_text(errors="replace")
        return re.sub(r"Extension modules: .*", "", text)[-3000:]

    def _stop(self, wanted: bool) -> bool:
        """End the process and what it has started, unless it ends by itself."""
        if wanted and not self.closed:
            for stop in (os.killpg, os.kill):  # it may not have made its group yet
                with suppress(ProcessLookupError):
                    stop(self.child, signal.SIGKILL)
        return wanted and not self.closed


def describe_status(status: int) -> str:
    """How a process ended, by what waitpid says of it."""
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit code {os.WEXITSTATUS(status)}"
