"""Progress of long computations: a bar on a terminal, a line now and then elsewhere, with the time left."""

from __future__ import annotations

import sys
import time
from typing import Callable, Optional, TextIO

from tqdm import tqdm

from gluon_nrm.console.display import Display

#: Seconds between lines where there is no bar.
BETWEEN_LINES = 20.0


class Watch:
    """Counts the steps of a computation.

    Args:
        total: steps in all.
        what: what is done, as a line begins.
        stream: where to show it (standard error).
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        total: int,
        what: str,
        stream: Optional[TextIO] = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = Display(sys.stderr if stream is None else stream)
        self._total, self._what, self._clock = total, what, clock
        self._done, self._started, self._shown = 0, clock(), clock()
        terminal = self._stream.isatty()
        self._bar = tqdm(total=total, desc=what, file=self._stream, leave=False) if terminal else None

    def step(self, steps: int = 1) -> None:
        """Some more steps are done."""
        self._done += steps
        if self._bar is not None:
            self._bar.update(steps)
            return
        now = self._clock()
        if now - self._shown >= BETWEEN_LINES and self._done < self._total:
            self._shown = now
            left = (now - self._started) / self._done * (self._total - self._done)
            self._stream.write(f"{self._what} {self._done}/{self._total}, {left:.0f} s left\n")
            self._stream.flush()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
