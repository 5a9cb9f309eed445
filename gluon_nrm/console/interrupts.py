"""Ctrl-C ends a command-line tool with one line instead of a traceback."""

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

#: Exit code of a program that SIGINT ended: 128 + the number of the signal.
INTERRUPTED = 130
#: Seconds in which further signals count as the first one.
QUICK = 5.0


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Let Ctrl-C end the process with one line, inside the ``with`` body.

    It raises ``KeyboardInterrupt``. While a module is imported, or in a callback of C code, that would be
    swallowed or end in a traceback, so the process ends at once. An ignored Ctrl-C stays ignored.
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
    """Handle Ctrl-C: raise ``KeyboardInterrupt`` once; end the process at a later one."""

    def __init__(self) -> None:
        self._first: Optional[float] = None

    @property
    def came(self) -> bool:
        """True after a Ctrl-C."""
        return self._first is not None

    def __call__(self, number: int, frame: Optional[FrameType]) -> None:
        now = time.monotonic()
        if _is_importing(frame) or (self._first is not None and now - self._first > QUICK):
            _leave_now()
        if self._first is None:
            self._first = now
            raise KeyboardInterrupt


def _is_importing(frame: Optional[FrameType]) -> bool:
    """Return True while a module is imported: libraries print tracebacks of their own there."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _leave_if_interrupted(unraisable: "sys.UnraisableHookArgs") -> None:
    """End the process at an interrupt that Python cannot raise and would only print."""
    if unraisable.exc_type is not None and issubclass(unraisable.exc_type, KeyboardInterrupt):
        _leave_now()
    sys.__unraisablehook__(unraisable)


def _leave_now() -> NoReturn:
    say("interrupted")
    os._exit(INTERRUPTED)
