"""Run the processes of a job until all have ended, or until one fails and the others are ended."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import Any, Iterator, List, Optional, Sequence

from gluon_nrm.console.signals import QUICK
from gluon_nrm.distributed.children import LAST_LINES, Child
from gluon_nrm.distributed.plan import Process
from gluon_nrm.distributed.process_monitor import LEFT_ALONE
from gluon_nrm.errors import DistributedError, Stopped

#: Seconds between looks at the processes.
LOOK = 0.05
#: Seconds that processes have to end by themselves: after a failure, after the end of the last worker, and
#: after the end of the first worker if the user has asked to stop (the run is being saved).
AFTER_FAILURE, AFTER_WORKERS, AFTER_INTERRUPT = 5.0, 5.0, 60.0


class JobError(DistributedError):
    """A process of the job failed; ``exit_code`` is its own, and its last lines are quoted."""

    most_lines = 1 + LAST_LINES

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class _Interrupts:
    """Count the user's requests to stop; signals within ``QUICK`` seconds of the first count as one."""

    def __init__(self) -> None:
        self.count = self.number = 0
        self._first_at = 0.0

    def __call__(self, number: int, frame: Any) -> None:
        now = time.monotonic()
        if not self.count:
            self.count, self.number, self._first_at = 1, number, now
        elif now - self._first_at > QUICK:
            self.count += 1


def supervise(processes: Sequence[Process]) -> None:
    """Start the processes and stay until all have ended.

    The first Ctrl-C, SIGTERM or SIGHUP is passed on to the workers, which finish their step and save; one
    that comes more than ``QUICK`` seconds later ends all.

    Raises:
        JobError: a process failed; by then all have ended, and the message holds its last lines.
        Stopped: the user stopped the job.
    """
    children: List[Child] = []
    with _interrupts() as interrupts:
        try:
            children.extend(Child(process) for process in processes)
            failed = _watch(children, interrupts)
        finally:
            _end(children)
    if interrupts.count:
        raise Stopped(interrupts.number)
    if failed is not None:
        lines = "".join(f"\n  {line}" for line in failed.last)
        raise JobError(
            f"{failed.title} {failed.fate()}; all other processes were ended."
            + (f" Its last lines:{lines}" if lines else ""),
            failed.code or 1,
        )


@contextmanager
def _interrupts() -> Iterator[_Interrupts]:
    interrupts = _Interrupts()
    wanted = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
        wanted.append(signal.SIGHUP)
    previous = {number: signal.signal(number, interrupts) for number in wanted}
    try:
        yield interrupts
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _watch(children: Sequence[Child], interrupts: _Interrupts) -> Optional[Child]:
    """Wait for the end of the job; return the process whose failure ended it, if one did."""
    workers = [child for child in children if child.plan.role == "worker"]
    passed_on, deadline = False, float("inf")
    while interrupts.count < 2:
        ended = [child for child in children if child.poll()]
        if all(worker.code is not None for worker in workers):
            break
        if interrupts.count and not passed_on:
            passed_on = True
            for worker in workers:
                worker.interrupt(interrupts.number)
        if ended and deadline == float("inf"):
            failed = any(child.code for child in ended)
            if passed_on:
                deadline = time.monotonic() + AFTER_INTERRUPT
            elif failed:
                deadline = time.monotonic() + AFTER_FAILURE
        if time.monotonic() > deadline:
            break
        time.sleep(LOOK)
    return first_failure(children)


def first_failure(children: Sequence[Child]) -> Optional[Child]:
    """Find the process that failed first; processes that ended because another one failed come last."""
    failed = [child for child in children if child.code]
    return min(failed, key=lambda child: (child.code == LEFT_ALONE, child.ended_at), default=None)


def _end(children: Sequence[Child]) -> None:
    """End all processes; after an orderly end of the workers, servers and scheduler get some time first."""
    orderly = all(child.code is not None for child in children if child.plan.role == "worker") and not any(
        child.code for child in children
    )
    _wait(children, AFTER_WORKERS if orderly else 0.0)
    for child in children:
        child.end()
    _wait(children, AFTER_FAILURE)
    for child in children:
        if not child.poll():
            child.kill()


def _wait(children: Sequence[Child], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and sum(not child.poll() for child in children):
        time.sleep(LOOK)
