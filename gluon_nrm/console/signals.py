"""Signals: Ctrl-C ends a command with one line; SIGINT, SIGTERM and SIGHUP stop training after a saved step.

``interruptible`` is in force in every command, ``StopRequest`` while a run trains. There, further signals
within ``QUICK`` seconds change nothing. A later one abandons the step, but never interrupts a save.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from types import FrameType
from typing import Any, Callable, Dict, Iterator, NoReturn, Optional

from gluon_nrm.console.display import say
from gluon_nrm.errors import Stopped

#: Exit code of a program that SIGINT ended: 128 + the number of the signal.
INTERRUPTED = 130
#: Seconds in which further signals count as the first one.
QUICK = 5.0

_TOLD = (
    "stopping: the step under way is finished and saved first; to stop at once, without that step, "
    f"ask again after {QUICK:.0f} s"
)


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


class StopRequest:
    """Record SIGINT, SIGTERM and SIGHUP as requests to stop, inside the ``with`` body.

    An ignored SIGHUP (``nohup``) stays ignored. Outside the main thread Python gets no signals, so there are
    no requests.

    Args:
        tell: called with a line for the user at the first signal.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        tell: Callable[[str], None] = lambda text: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.number = 0  # of the first signal; 0: none has come
        self._tell, self._clock = tell, clock
        self._first_at = 0.0
        self._saving = self._give_up = False
        self._previous: Dict[int, Any] = {}

    @property
    def asked(self) -> bool:
        """True after a signal."""
        return bool(self.number)

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Restore the previous signal handlers."""
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, handler)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Defer signals to the end of the ``with`` body.

        Raises:
            Stopped: a signal that abandons the step came meanwhile.
        """
        self._saving = True
        try:
            yield
        finally:
            self._saving = False
        if self._give_up:
            raise self.stopped()

    def stopped(self) -> Stopped:
        """Make the exception for the first signal; for Ctrl-C if another worker got the signal."""
        return Stopped(self.number or signal.SIGINT)

    def _ask(self, number: int, frame: Optional[FrameType]) -> None:
        now = self._clock()
        if not self.asked:
            self.number, self._first_at = number, now
            self._tell(_TOLD)
        elif now - self._first_at > QUICK:
            self._give_up = True
            if not self._saving:
                raise self.stopped()
