"""Ctrl-C in a command-line tool: one line, whatever the tool is at."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from types import FrameType
from typing import Iterator, NoReturn, Optional

from gluon_nrm.console.display import say

#: As a shell reports a program that SIGINT ended: 128 + the signal's number.
INTERRUPTED = 130
#: Seconds in which further signals are taken for the same wish as the first.
QUICK = 5.0


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """While entered, Ctrl-C ends the process in one line, wherever in the code it comes.

    It raises ``KeyboardInterrupt``. Where that would be swallowed or end in a traceback (while a module is
    imported, in a callback of C code) the process ends at once. A Ctrl-C that was ignored stays so.
    """
    interrupt = Interrupt()
    main_thread = threading.current_thread() is threading.main_thread()
    if not main_thread or signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        yield interrupt
        return
    hook, previous = sys.unraisablehook, signal.signal(signal.SIGINT, interrupt)
    sys.unraisablehook = _leave_if_interrupted
    try:
        yield interrupt
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGINT, previous)


class Interrupt:
    """The handler of Ctrl-C: raises ``KeyboardInterrupt`` once, and ends the process if that does not."""

    def __init__(self) -> None:
        self._first: Optional[float] = None

    @property
    def came(self) -> bool:
        """Whether there was a Ctrl-C."""
        return self._first is not None

    def __call__(self, number: int, frame: Optional[FrameType]) -> None:
        now = time.monotonic()
        if _is_importing(frame) or (self._first is not None and now - self._first > QUICK):
            _leave_now()
        if self._first is None:
            self._first = now
            raise KeyboardInterrupt


def _is_importing(frame: Optional[FrameType]) -> bool:
    """Whether a module is being imported: cut short there, libraries print tracebacks of their own."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _leave_if_interrupted(unraisable: "sys.UnraisableHookArgs") -> None:
    """End the process where Python would print an interrupt it cannot raise, and go on."""
    if unraisable.exc_type is not None and issubclass(unraisable.exc_type, KeyboardInterrupt):
        _leave_now()
    sys.__unraisablehook__(unraisable)


def _leave_now() -> NoReturn:
    say("interrupted")
    os._exit(INTERRUPTED)
