"""Ctrl-C, polite termination and a closed terminal: finish the step, save, leave.

The first signal is a promise: the step under way is finished and saved. Further ones soon after it change
nothing. One that comes more than ``interrupts.QUICK`` seconds later gives the step up, but never cuts a save.
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
    """While entered, SIGINT, SIGTERM and SIGHUP ask to stop.

    SIGHUP stays ignored where it was ignored before (``nohup``). Outside the main thread, where Python takes
    no signals, nothing is asked.

    Args:
        tell: takes a line for the user at the first signal.
        clock: seconds that only go forward.
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
        """Whether a signal has come."""
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
        """Give the signals back to the handlers they had before."""
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, handler)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """While entered, no signal interrupts; one that would have does so at the end.

        Raises:
            Stopped: a signal that gives up the step came meanwhile.
        """
        self._saving = True
        try:
            yield
        finally:
            self._saving = False
        if self._give_up:
            raise self.stopped()

    def stopped(self) -> Stopped:
        """The exception to raise for the first signal; for Ctrl-C if another worker was asked."""
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
