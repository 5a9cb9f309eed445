"""Stop training at SIGINT, SIGTERM or SIGHUP after the current step is finished and saved.

Further signals within ``interrupts.QUICK`` seconds change nothing. A later one abandons the step, but never
interrupts a save.
"""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from types import FrameType
from typing import Any, Callable, Dict, Iterator, Optional

from gluon_nrm.console.interrupts import QUICK
from gluon_nrm.errors import Stopped

_TOLD = (
    "stopping: the step under way is finished and saved first; to stop at once, without that step, "
    f"ask again after {QUICK:.0f} s"
)


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
